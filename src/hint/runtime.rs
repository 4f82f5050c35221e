//! Hints for an ONNX Runtime that is missing or cannot be used.

use rho_runtime::{LIBRARY_NAME, LibraryError, PINNED_VERSION, REQUIRED_VERSION};

/// The option and the variable that name a library.
const NAME_IT: &str = "name its library file with --ort-lib or ORT_DYLIB_PATH";

/// A library that is not found, not installed or not the right one.
pub(crate) fn runtime(error: &LibraryError) -> Option<String> {
    use LibraryError as E;
    Some(match error {
        E::NotFound { .. } => format!(
            "run `rho-mask setup`, or `pip install onnxruntime=={PINNED_VERSION}` in the active \
             Python environment, or {NAME_IT}"
        ),
        E::NoCudaLibrary {
            overwritten: Some(overwritten),
            ..
        } => return runtime(overwritten),
        E::NoCudaLibrary { .. } | E::NoCudaProvider { .. } => format!(
            "run `rho-mask setup --cuda`, or `pip install \
             onnxruntime-gpu[cuda,cudnn]=={PINNED_VERSION}` in the active Python environment, or \
             {NAME_IT}"
        ),
        E::Overwritten { version, .. } => format!(
            "run `pip install --force-reinstall --no-deps onnxruntime-gpu=={version}` in that environment: both \
             packages are installed, and the one installed last overwrote the library"
        ),
        E::NotAFile { .. } => format!("name the library file itself, such as {LIBRARY_NAME}"),
        E::Truncated { .. } => "copy or install the library again".to_owned(),
        E::Open { .. } | E::NoEntryPoint { .. } => format!(
            "use a library for this system, such as {LIBRARY_NAME} of the PyPI package onnxruntime; `rho-mask setup` \
             installs one"
        ),
        E::Version { .. } => format!(
            "run `rho-mask setup`, or `pip install onnxruntime=={PINNED_VERSION}`"
        ),
        E::NoWheel { package, .. } => match *package {
            "onnxruntime-gpu" => {
                "install ONNX Runtime with CUDA yourself and name its library file with --ort-lib: rho-mask installs it \
                 only on Linux x86_64"
                    .to_owned()
            }
            _ => format!("install or build ONNX Runtime {REQUIRED_VERSION} and {NAME_IT}"),
        },
        E::Offline { package } => {
            let cuda = match *package {
                "onnxruntime-gpu" => " --cuda",
                _ => "",
            };
            format!(
                "run `rho-mask setup{cuda}` without RHO_MASK_OFFLINE, or `pip install \
                 {package}=={PINNED_VERSION}` and {NAME_IT}"
            )
        }
        E::NoCacheFolder => {
            "set HOME (or XDG_CACHE_HOME; LOCALAPPDATA on Windows) to a folder of yours".to_owned()
        }
        E::PythonMissing { .. } => format!(
            "install Python 3 with pip, or install ONNX Runtime {REQUIRED_VERSION} in another way and {NAME_IT}"
        ),
        E::PipMissing { python } => format!(
            "run `{} -m ensurepip` or install the system's python3-pip",
            python.display()
        ),
        E::PipFailed { requirement, .. } => format!(
            "run `python3 -m pip download --no-deps {requirement}` to see whether pip reaches its index"
        ),
        E::WheelHash { .. } => {
            "try again; if the error stays, do not trust the index that pip is configured to use. Nothing of the wheel \
             was used"
                .to_owned()
        }
        E::Damaged { .. } => {
            "run `rho-mask setup` (with --cuda for CUDA) to install it again".to_owned()
        }
        E::Disk { .. } => "check the free space and the permissions of this folder".to_owned(),
        _ => return None,
    })
}
