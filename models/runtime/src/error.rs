//! What can go wrong between "where is it?" and "it runs". Each situation carries its facts as fields; the message is
//! one line. What the user can do about it the program says.

use std::io;
use std::path::PathBuf;

use crate::library::SearchedLocation;
use crate::version::REQUIRED_VERSION;
use crate::wheels::VERSION;

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// No location of the search has a usable library.
    #[error("no usable ONNX Runtime was found: {}", places(looked))]
    NotFound {
        /// Every location, and what was found there.
        looked: Vec<SearchedLocation>,
    },
    /// CUDA is requested, but no library of the search has the CUDA provider.
    #[error("no ONNX Runtime with CUDA was found: {}", places(looked))]
    NoCudaLibrary {
        /// Every location, and what was found there.
        looked: Vec<SearchedLocation>,
        /// The first library with CUDA that the CPU package has overwritten.
        overwritten: Option<Box<LibraryError>>,
    },
    /// The path does not name a file.
    #[error("{}: there is no such file", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },
    /// The library's file is shorter than its headers say: loading it would crash.
    #[error("{}: the library is truncated: expected at least {expected} bytes, got {got}", path.display())]
    Truncated {
        /// The library.
        path: PathBuf,
        /// The size in bytes by its headers.
        expected: u64,
        /// Its size in bytes.
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
    /// The library is not ONNX Runtime.
    #[error("{}: not ONNX Runtime: it has no OrtGetApiBase", path.display())]
    NoEntryPoint {
        /// The library.
        path: PathBuf,
    },
    /// The version of ONNX Runtime is not supported.
    #[error("{}: expected ONNX Runtime {REQUIRED_VERSION}, got {found}", path.display())]
    Version {
        /// The library.
        path: PathBuf,
        /// The version it reports.
        found: String,
    },
    /// CUDA is requested, but this library has no CUDA provider beside it.
    #[error("{}: it has no CUDA provider beside it", path.display())]
    NoCudaProvider {
        /// The library.
        path: PathBuf,
    },
    /// The GPU package is installed, but the CPU package has overwritten its library.
    #[error(
        "{}: it belongs to the package onnxruntime, which has overwritten onnxruntime-gpu {version}",
        path.display()
    )]
    Overwritten {
        /// The library.
        path: PathBuf,
        /// The version of the GPU package.
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
    /// A download is needed but forbidden.
    #[error("{package} {VERSION} is not installed, and RHO_MASK_OFFLINE forbids downloading it")]
    Offline {
        /// The package on PyPI.
        package: &'static str,
    },
    /// The environment does not name a cache folder to install into.
    #[error("there is no cache folder to install into")]
    NoCacheFolder,
    /// Python could not be started.
    #[error("{} could not be started", python.display())]
    PythonMissing {
        /// The program that should run.
        python: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Python has no pip.
    #[error("{} has no pip", python.display())]
    PipMissing {
        /// The Python that was used.
        python: PathBuf,
    },
    /// pip could not download a wheel.
    #[error("pip could not download {requirement}: {reason}")]
    PipFailed {
        /// The requested package and version.
        requirement: String,
        /// The last lines of its output, joined into one.
        reason: String,
    },
    /// The downloaded wheel is not the pinned one; it was not used.
    #[error("{wheel}: expected SHA-256 {expected}, got {got}")]
    WheelHash {
        /// The wheel's file name.
        wheel: String,
        /// The pinned hash.
        expected: String,
        /// The hash of the download.
        got: String,
    },
    /// The wheel cannot be read, though its hash is right.
    #[error("{wheel}: cannot read {entry}")]
    Wheel {
        /// The wheel's file name.
        wheel: String,
        /// The entry to read.
        entry: String,
        /// The reason.
        source: zip::result::ZipError,
    },
    /// A file operation failed.
    #[error("{}: cannot {action}", path.display())]
    Disk {
        /// The operation.
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
        /// The file, with expected and got.
        problem: String,
    },
    /// Another library is loaded; a process can load only one.
    #[error("{} is already loaded, so {} cannot be loaded", loaded.display(), asked.display())]
    AlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The requested library.
        asked: PathBuf,
    },
    /// The library passed the check but cannot be loaded.
    #[error("{}: cannot load ONNX Runtime", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// The reason.
        source: ort::LoadDynamicError,
    },
    /// The library was loaded, but a call to it failed.
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

fn places(looked: &[SearchedLocation]) -> String {
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
