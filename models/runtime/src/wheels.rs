//! The pinned wheels: what is downloaded, its hashes, and which files are kept. To use a newer ONNX Runtime, change
//! this table; `python3 -m pip download` and `sha256sum` give the values.
//!
//! A wheel's Python tag does not matter, because only libraries that do not depend on Python are kept: one tag per
//! platform works with any local Python. PyPI has no wheel of this version for macOS on Intel or for musl (Alpine); one
//! for Windows on ARM exists but is not pinned.

use crate::error::LibraryError;

/// The version of ONNX Runtime that is installed.
pub const VERSION: &str = "1.31.1";

/// One file on PyPI.
#[derive(Clone, Debug)]
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// pip's `--abi`.
    pub(crate) abi: &'static str,
    /// pip's `--platform`.
    pub(crate) platform: &'static str,
    pub(crate) sha256: &'static str,
    /// Size of the download in MB, for progress lines.
    pub(crate) megabytes: u32,
    /// The folder in the wheel with the libraries.
    pub(crate) from: &'static str,
    /// The target folder in the installation; empty for its top level.
    pub(crate) into: &'static str,
    /// The libraries to keep.
    pub(crate) files: &'static [&'static str],
}

/// Wheels that are installed together into one folder of the cache.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) folder: &'static str,
    /// The library to load.
    pub(crate) library: &'static str,
    pub(crate) wheels: &'static [Wheel],
}

/// The package for a platform, named as in `std::env::consts`.
pub(crate) fn package(cuda: bool, os: &str, arch: &str) -> Result<&'static Package, LibraryError> {
    // The wheels are built against glibc.
    let wheels_load_here = !cfg!(target_env = "musl");
    let found = match (cuda, os, arch) {
        _ if !wheels_load_here => None,
        (false, "linux", "x86_64") => Some(&LINUX_X86_64),
        (false, "linux", "aarch64") => Some(&LINUX_AARCH64),
        (false, "macos", "aarch64") => Some(&MACOS_ARM64),
        (false, "windows", "x86_64") => Some(&WINDOWS_X86_64),
        (true, "linux", "x86_64") => Some(&LINUX_X86_64_CUDA),
        _ => None,
    };
    found.ok_or_else(|| LibraryError::NoWheel {
        package: name(cuda),
        os: os.to_owned(),
        arch: arch.to_owned(),
    })
}

/// The package's name on PyPI.
pub(crate) fn name(cuda: bool) -> &'static str {
    if cuda {
        "onnxruntime-gpu"
    } else {
        "onnxruntime"
    }
}

/// What all ONNX Runtime wheels have in common.
const ONNX_RUNTIME: Wheel = Wheel {
    package: "onnxruntime",
    version: VERSION,
    abi: "cp312",
    platform: "",
    sha256: "",
    megabytes: 0,
    from: "onnxruntime/capi/",
    into: "",
    files: &["libonnxruntime.so.1.31.1"],
};

static LINUX_X86_64: Package = Package {
    name: "onnxruntime",
    folder: "onnxruntime-1.31.1-linux-x86_64",
    library: "libonnxruntime.so.1.31.1",
    wheels: &[Wheel {
        platform: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        megabytes: 24,
        ..ONNX_RUNTIME
    }],
};

static LINUX_AARCH64: Package = Package {
    name: "onnxruntime",
    folder: "onnxruntime-1.31.1-linux-aarch64",
    library: "libonnxruntime.so.1.31.1",
    wheels: &[Wheel {
        platform: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        megabytes: 21,
        ..ONNX_RUNTIME
    }],
};

static MACOS_ARM64: Package = Package {
    name: "onnxruntime",
    folder: "onnxruntime-1.31.1-macos-arm64",
    library: "libonnxruntime.1.31.1.dylib",
    wheels: &[Wheel {
        platform: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        megabytes: 21,
        files: &["libonnxruntime.1.31.1.dylib"],
        ..ONNX_RUNTIME
    }],
};

static WINDOWS_X86_64: Package = Package {
    name: "onnxruntime",
    folder: "onnxruntime-1.31.1-windows-x86_64",
    library: "onnxruntime.dll",
    wheels: &[Wheel {
        platform: "win_amd64",
        sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        megabytes: 15,
        files: &["onnxruntime.dll"],
        ..ONNX_RUNTIME
    }],
};

/// What NVIDIA's wheels have in common. CUDA 13.0 is the version that ONNX Runtime was built with; libraries of a later
/// 13.x may need a newer driver.
const NVIDIA: Wheel = Wheel {
    package: "",
    version: "",
    abi: "none",
    platform: "manylinux_2_27_x86_64",
    sha256: "",
    megabytes: 0,
    from: "nvidia/cu13/lib/",
    into: "nvidia",
    files: &[],
};

/// The CUDA provider needs cuBLAS, cuRAND and the CUDA runtime, and searches for cuDNN and NVRTC (which cuDNN also
/// uses) when it starts. Not installed: cuFFT, which only graphs with an FFT need, and nvJitLink, which none of these
/// needs.
static LINUX_X86_64_CUDA: Package = Package {
    name: "onnxruntime-gpu",
    folder: "onnxruntime-gpu-1.31.1-linux-x86_64",
    library: "libonnxruntime.so.1.31.1",
    wheels: &[
        Wheel {
            package: "onnxruntime-gpu",
            platform: "manylinux_2_28_x86_64",
            sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
            megabytes: 256,
            files: &[
                "libonnxruntime.so.1.31.1",
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_cuda.so",
            ],
            ..ONNX_RUNTIME
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            platform: "manylinux_2_17_x86_64",
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            megabytes: 2,
            files: &["libcudart.so.13"],
            ..NVIDIA
        },
        Wheel {
            package: "nvidia-cublas",
            version: "13.1.0.3",
            sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
            megabytes: 423,
            files: &["libcublas.so.13", "libcublasLt.so.13"],
            ..NVIDIA
        },
        Wheel {
            package: "nvidia-curand",
            version: "10.4.0.35",
            sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
            megabytes: 60,
            files: &["libcurand.so.10"],
            ..NVIDIA
        },
        Wheel {
            package: "nvidia-cuda-nvrtc",
            version: "13.0.88",
            platform: "manylinux_2_12_x86_64",
            sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
            megabytes: 90,
            files: &["libnvrtc.so.13", "libnvrtc-builtins.so.13.0"],
            ..NVIDIA
        },
        Wheel {
            package: "nvidia-cudnn-cu13",
            version: "9.28.0.42",
            sha256: "7358353c75bb121a58e5f7712fe6d588883dc1df8ba00f428237e44e97543c4d",
            megabytes: 517,
            from: "nvidia/cudnn/lib/",
            files: &[
                "libcudnn.so.9",
                "libcudnn_adv.so.9",
                "libcudnn_cnn.so.9",
                "libcudnn_engines_precompiled.so.9",
                "libcudnn_engines_runtime_compiled.so.9",
                "libcudnn_engines_tensor_ir.so.9",
                "libcudnn_ext.so.9",
                "libcudnn_graph.so.9",
                "libcudnn_heuristic.so.9",
                "libcudnn_ops.so.9",
            ],
            ..NVIDIA
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete() {
        let all = [
            &LINUX_X86_64,
            &LINUX_AARCH64,
            &MACOS_ARM64,
            &WINDOWS_X86_64,
            &LINUX_X86_64_CUDA,
        ];
        for package in all {
            assert!(
                package
                    .folder
                    .starts_with(&format!("{}-{VERSION}-", package.name)),
                "{package:?}"
            );
            assert_eq!(package.wheels[0].package, package.name);
            assert!(
                package.wheels[0].files.contains(&package.library),
                "{package:?}"
            );
            for wheel in package.wheels {
                assert!(
                    wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|c| c.is_ascii_hexdigit()),
                    "{wheel:?}"
                );
                assert!(
                    !wheel.version.is_empty() && !wheel.platform.is_empty() && wheel.megabytes > 0,
                    "{wheel:?}"
                );
                assert!(
                    !wheel.files.is_empty() && wheel.from.ends_with('/'),
                    "{wheel:?}"
                );
            }
        }
    }

    #[test]
    fn a_platform_without_a_wheel_is_named() {
        let error = package(false, "macos", "x86_64").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no onnxruntime 1.31.1 wheel for macos x86_64"
        );
        let error = package(true, "macos", "aarch64").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no onnxruntime-gpu 1.31.1 wheel for macos aarch64"
        );
    }
}
