//! The words of the search: a library that was found, and a place that was looked at. Values only; the search itself
//! is in `find`.

use std::fmt;
use std::path::PathBuf;

/// What a library's file is called on this system.
pub const EXAMPLE: &str = if cfg!(windows) {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.1.31.1.dylib"
} else {
    "libonnxruntime.so.1.31.1"
};

/// Where a library came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user named it.
    Given,
    /// The Python environment that the program itself was installed into.
    OwnEnvironment,
    /// The active virtual environment.
    VirtualEnvironment,
    /// The active conda environment.
    Conda,
    /// The package that `python3` would import.
    PythonPackage,
    /// The user's cache folder, installed by rho-mask.
    Cache,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "the library that was named",
            Self::OwnEnvironment => "where rho-mask is installed",
            Self::VirtualEnvironment => "VIRTUAL_ENV",
            Self::Conda => "CONDA_PREFIX",
            Self::PythonPackage => "Python's packages",
            Self::Cache => "the cache folder",
        })
    }
}

/// A library that was found and can be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file, absolute.
    pub path: PathBuf,
    /// The version it reports.
    pub version: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the CUDA provider's file lies beside it. What the loaded library says itself: see `has_cuda_provider`.
    pub has_cuda_provider_file: bool,
    /// Folders with NVIDIA's libraries, nearest first, that `load` takes them from; `None` where CUDA was not asked
    /// for or cannot be, and nothing is to be loaded early.
    pub cuda_folders: Option<Vec<PathBuf>>,
}

/// What came of looking at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The library is taken from here.
    Used,
    /// There is one, and it cannot be used.
    Unusable,
    /// There is none.
    Absent,
    /// Not looked at: an earlier place has one.
    NotNeeded,
}

/// One place of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The place.
    pub origin: Origin,
    /// The file or folder in question, where there is one.
    pub path: Option<PathBuf>,
    /// What came of it.
    pub state: State,
    /// What was found, or why nothing was.
    pub found: String,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            // An error's text opens with the path already.
            Some(path) if !self.found.starts_with(&*path.to_string_lossy()) => {
                write!(f, "{}: {}: {}", self.origin, path.display(), self.found)
            }
            _ => write!(f, "{}: {}", self.origin, self.found),
        }
    }
}
