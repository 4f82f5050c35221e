# rho-mask for the CPU (the default) and for CUDA, with ONNX Runtime:
#
#     docker build --tag rho-mask:cpu .
#     docker build --tag rho-mask:cuda --target cuda .
#     docker run --rm --volume "$PWD:/data" rho-mask:cpu score corpus/ --out masks/
#     docker run --rm --volume "$PWD:/data" --gpus all rho-mask:cuda score corpus/ --out masks/ --device cuda
#
# The program runs as user 1000 in /data: a folder that it writes to must allow that, or add --user "$(id -u)".

FROM rust:1.92.0-slim-bookworm AS build
# pip downloads ONNX Runtime; the program checks its SHA-256.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.lock Cargo.toml build.rs ./
COPY benches/tokenize.rs benches/
COPY examples/corpus examples/corpus
COPY formats formats
COPY models models
COPY selection selection
COPY src src
# The commit that `rho-mask --version` prints: --build-arg RHO_MASK_COMMIT="$(git rev-parse HEAD)"
ARG RHO_MASK_COMMIT=""
RUN cargo build --release --locked --bin rho-mask \
    && cp target/release/rho-mask /usr/local/bin/
ENV XDG_CACHE_HOME=/opt

FROM build AS cpu-library
ARG ONNX_RUNTIME=1.31.1
RUN rho-mask setup && mv /opt/rho-mask/onnxruntime-$ONNX_RUNTIME-linux-* /opt/onnxruntime

FROM build AS cuda-library
ARG ONNX_RUNTIME=1.31.1
RUN rho-mask setup --cuda && mv /opt/rho-mask/onnxruntime-gpu-$ONNX_RUNTIME-linux-* /opt/onnxruntime

FROM debian:12.12-slim AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 rho
COPY --from=build /usr/local/bin/rho-mask /usr/local/bin/
ENV ORT_DYLIB_PATH=/opt/onnxruntime/libonnxruntime.so.1.31.1
WORKDIR /data

FROM runtime AS cuda
COPY --from=cuda-library /opt/onnxruntime /opt/onnxruntime
# Read by NVIDIA's container runtime, which provides the driver.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
ENTRYPOINT ["rho-mask"]

FROM runtime AS cpu
COPY --from=cpu-library /opt/onnxruntime /opt/onnxruntime
USER 1000
ENTRYPOINT ["rho-mask"]
