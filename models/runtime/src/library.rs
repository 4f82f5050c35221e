//! The values of the search: a library that was found, and a location that was searched. The search itself is in
//! `find`.

use std::fmt;
use std::path::PathBuf;

/// An example of the library's file name on this platform.
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
            Self::Given => "the named library",
            Self::OwnEnvironment => "where rho-mask is installed",
            Self::VirtualEnvironment => "VIRTUAL_ENV",
            Self::Conda => "CONDA_PREFIX",
            Self::PythonPackage => "Python's packages",
            Self::Cache => "the cache folder",
        })
    }
}

/// A usable library that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file, absolute.
    pub path: PathBuf,
    /// The version it reports.
    pub version: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the CUDA provider's file is beside it. `has_cuda_provider` asks the loaded library.
    pub has_cuda_provider_file: bool,
    /// Folders from which `load` loads NVIDIA's libraries early, nearest first; `None` if CUDA is not requested or not
    /// possible.
    pub cuda_folders: Option<Vec<PathBuf>>,
}

/// The result for a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has the library that is used.
    Used,
    /// It has a library that cannot be used.
    Unusable,
    /// It has no library.
    Absent,
    /// Not searched: an earlier location has a library.
    NotNeeded,
}

/// One location of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchedLocation {
    /// Which location it is.
    pub origin: Origin,
    /// The file or folder, if there is one.
    pub path: Option<PathBuf>,
    /// The result.
    pub state: State,
    /// What was found, or why nothing was.
    pub found: String,
}

impl fmt::Display for SearchedLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            // An error's text already starts with the path.
            Some(path) if !self.found.starts_with(&*path.to_string_lossy()) => {
                write!(f, "{}: {}: {}", self.origin, path.display(), self.found)
            }
            _ => write!(f, "{}: {}", self.origin, self.found),
        }
    }
}
