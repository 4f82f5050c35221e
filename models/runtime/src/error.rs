//! What can go wrong between "where is it?" and "it runs". Each situation carries its facts as fields; the message is
//! one line. What the user can do about it the program says.

use std::io;
use std::path::PathBuf;

use crate::library::Looked;
use crate::version::REQUIRED_VERSION;
use crate::wheels::VERSION;

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// No place of the search held a library that can be used.
    #[error("no usable ONNX Runtime was found: {}", places(looked))]
    NotFound {
        /// Every place and what was seen there.
        looked: Vec<Looked>,
    },
    /// CUDA was asked for, and no library of the search has the CUDA provider.
    #[error("no ONNX Runtime with CUDA was found: {}", places(looked))]
    NoCudaLibrary {
        /// Every place and what was seen there.
        looked: Vec<Looked>,
        /// The first place where there would be one, had not another package been put over it.
        overwritten: Option<Box<LibraryError>>,
    },
    /// The path does not name a file.
    #[error("{}: there is no such file", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// The library's file is shorter than its own headers say: loading it would crash.
    #[error("{}: the library is cut off: expected at least {expected} bytes, got {got}", path.display())]
    Truncated {
        /// The library.
        path: PathBuf,
        /// The size that its headers ask for.
        expected: u64,
        /// The size it has.
        got: u64,
    },
    /// The system's loader refuses the file.
    #[error("{}: not a library that can be loaded here", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        source: libloading::Error,
    },
    /// A library, but not ONNX Runtime.
    #[error("{}: not ONNX Runtime: it has no OrtGetApiBase", path.display())]
    NoEntryPoint {
        /// The library.
        path: PathBuf,
    },
    /// ONNX Runtime of a version that cannot be spoken to.
    #[error("{}: expected ONNX Runtime {REQUIRED_VERSION}, got {found}", path.display())]
    Version {
        /// The library.
        path: PathBuf,
        /// The version it reports.
        found: String,
    },
    /// CUDA was asked for, and this library has no CUDA provider beside it.
    #[error("{}: it has no CUDA provider beside it", path.display())]
    NoCudaProvider {
        /// The library.
        path: PathBuf,
    },
    /// The package for the GPU is installed, and the one for the CPU lies over it.
    #[error(
        "{}: it is of the package onnxruntime, which lies over that of onnxruntime-gpu {version}",
        path.display()
    )]
    Overwritten {
        /// The library.
        path: PathBuf,
        /// The version of the package for the GPU.
        version: String,
    },
    /// There is no pinned wheel for this platform.
    #[error("there is no {package} {VERSION} wheel for {os} {arch}")]
    NoWheel {
        /// The package on PyPI.
        package: &'static str,
        /// The operating system.
        os: String,
        /// The processor.
        arch: String,
    },
    /// Something has to be downloaded, and may not.
    #[error("{package} {VERSION} is not installed, and RHO_MASK_OFFLINE forbids to download it")]
    Offline {
        /// The package on PyPI.
        package: &'static str,
    },
    /// The environment names no folder to install into.
    #[error("there is no cache folder to install into")]
    NoCacheFolder,
    /// Python could not be started.
    #[error("{} could not be started", python.display())]
    PythonMissing {
        /// The program that was tried.
        python: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Python has no pip.
    #[error("{} has no pip", python.display())]
    PipMissing {
        /// The Python that was asked.
        python: PathBuf,
    },
    /// pip could not download a wheel.
    #[error("pip could not download {requirement}: {reason}")]
    PipFailed {
        /// What it was asked for.
        requirement: String,
        /// The last lines of what it said, on one line.
        reason: String,
    },
    /// The downloaded wheel is not the pinned one; nothing of it was used.
    #[error("{wheel}: expected SHA-256 {expected}, got {got}")]
    WheelHash {
        /// The wheel's file name.
        wheel: String,
        /// The pinned hash.
        expected: String,
        /// The hash of what came.
        got: String,
    },
    /// The wheel cannot be read, though its hash is right.
    #[error("{wheel}: cannot read {entry}")]
    Wheel {
        /// The wheel's file name.
        wheel: String,
        /// The entry that was asked for.
        entry: String,
        /// The reason.
        source: zip::result::ZipError,
    },
    /// The disk, or a permission on it.
    #[error("{}: cannot {action}", path.display())]
    Disk {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An installed file has changed since it was installed.
    #[error("{}: the installation is damaged: {problem}", folder.display())]
    Damaged {
        /// The folder of the installation.
        folder: PathBuf,
        /// Which file, expected and got.
        problem: String,
    },
    /// A process can load one library only.
    #[error("{} is loaded already, {} cannot be loaded beside it", loaded.display(), asked.display())]
    AlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
    /// The library passed the check and still did not load.
    #[error("{}: cannot load ONNX Runtime", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// The reason.
        source: ort::LoadDynamicError,
    },
    /// The library loaded, and a call to it failed.
    #[error("{}: ONNX Runtime does not start", path.display())]
    Start {
        /// The library.
        path: PathBuf,
        /// The reason.
        source: ort::Error,
    },
}

impl LibraryError {
    pub(crate) fn disk(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk {
            action,
            path,
            source,
        }
    }
}

fn places(looked: &[Looked]) -> String {
    looked
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        // Some libraries repeat their cause in their own message.
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = source.source();
    }
    line
}
