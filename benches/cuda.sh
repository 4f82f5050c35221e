#!/usr/bin/env bash
# Checks and measures `rho-mask score` on a CUDA device, and writes one Markdown table.
#
#     benches/cuda.sh PARITY MODEL CORPUS [OUT.md]
#
# PARITY  folder with a folder per model, each with hf/, onnx/, onnx_past/ and expected.jsonl (loss and entropy in f64)
# MODEL   folder with hf/ and onnx/ (f16) of the model to measure, tokenizer.json in both
# CORPUS  JSON lines with a field `text`
#
# 1. parity: every model and export on CUDA, f32 within 1e-3, converted to f16 within 2e-2, and `rho-mask export` of hf/
#    in f32 and f16 within 1e-3 and 5e-2
# 2. figures: tokens/s of the whole command with onnx/ and with `rho-mask export --dtype f16` of hf/, in turn, against
#    PyTorch (SDPA, chunked log-softmax) and the GPU's matmul rate
# 3. leaks: ten minutes of scoring, memory of the process and of the device
#
# Settings: RHO_MASK (the program), PYTHON (with torch, transformers, onnx, onnxruntime, pyarrow, tokenizers),
# ORT_DYLIB_PATH (ONNX Runtime for CUDA; or run `rho-mask setup --cuda` first), DEVICE (cuda), RUNS (5), CONTEXT (2048),
# LEAK_SECONDS (600).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 3 ]; then sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 2; fi
parity=$1 model=$2 corpus=$3 out=${4:-cuda.md}
export RHO_MASK=${RHO_MASK:-$here/../target/release/rho-mask} DEVICE=${DEVICE:-cuda} RUNS=${RUNS:-5}
export CONTEXT=${CONTEXT:-2048} LEAK_SECONDS=${LEAK_SECONDS:-600}
python=${PYTHON:-python3}

[ -x "$RHO_MASK" ] || { echo "expected the program at $RHO_MASK (cargo build --release)" >&2; exit 2; }
"$RHO_MASK" doctor
# Fail here, before anything is measured, if the command cannot work.
"$RHO_MASK" score "$corpus" --model "$model/onnx" --device "$DEVICE" --out - --show-plan > /dev/null
{
    echo "# CUDA, $(date -u +%Y-%m-%d)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | sed 's/^/\n/' || true
    "$python" "$here/cuda/parity.py" "$parity"
    "$python" "$here/cuda/figures.py" "$model" "$corpus"
    "$python" "$here/cuda/leaks.py" "$model" "$corpus"
} | tee "$out"
