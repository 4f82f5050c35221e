//! Finds, installs, verifies and loads the ONNX Runtime library.
//!
//! ```text
//! environment variables ─► LibraryOptions ─┬─ find ────► Library, and every location of the search
//!                                          └─ install ─► Library: pinned wheels, in the cache folder
//!                                                           │
//!                                            verify ◄───────┼─ load ─► ort's Environment, one per process
//! ```
//!
//! In: where the user and the environment say that the library may be ([`LibraryOptions`]). Out: the one
//! [`Environment`](ort::environment::Environment) of this process. Sessions, models and the choice of a device are not
//! part of this crate. It prints nothing; human-readable lines go to the caller's `say`.
//!
//! | file | its duty |
//! |---|---|
//! | `options` | the only reader of environment variables |
//! | `search` | the order of the search, and its record |
//! | `library` | the values of the search: a library, a location |
//! | `python` | starts Python isolated; packages in Python environments |
//! | `overwritten_package` | detects that the CPU package has overwritten the GPU package |
//! | `version` | checks that a file is a supported ONNX Runtime |
//! | `elf` | Linux: checks that a library is complete, and lists its dependencies |
//! | `wheels` | the pinned wheels and their hashes; the only file to change for a newer version |
//! | `pip` | downloads one wheel from PyPI |
//! | `install` | installs wheels into the cache folder, safe with concurrent processes |
//! | `manifest` | records and checks the files of an installation |
//! | `cuda` | finds NVIDIA's libraries and loads them early |
//! | `load` | one library, one environment per process |

mod cuda;
#[cfg(target_os = "linux")]
mod elf;
mod error;
mod install;
mod library;
mod load;
mod manifest;
mod options;
mod overwritten_package;
mod pip;
mod python;
mod search;
mod version;
mod wheels;

pub use cuda::Preloaded;
pub use error::LibraryError;
pub use library::{EXAMPLE as LIBRARY_NAME, Library, Origin, SearchedLocation, State};
pub use load::{has_cuda_provider, load, preloaded};
pub use options::{LibraryOptions, offline};
pub use python::isolated_python;
pub use search::find;
pub use version::REQUIRED_VERSION;
pub use wheels::VERSION as PINNED_VERSION;

use install::install_package;
use manifest::Depth;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Finds a library, or installs the pinned CPU build into the cache folder if there is none.
///
/// `say` gets a line for each library that was found but cannot be used, and for each step of an installation. If CUDA
/// is requested, nothing is installed: a download of 1.3 GB is the user's decision.
///
/// # Errors
///
/// When the library that the user named cannot be used, CUDA is requested and no library has it, or the installation
/// fails (see [`install`]).
pub fn find_or_install(
    options: &LibraryOptions,
    say: &mut dyn FnMut(&str),
) -> Result<Library, LibraryError> {
    let (looked, found) = find(options);
    for place in looked.iter().filter(|place| place.state == State::Unusable) {
        say(&format!("skipping {place}"));
    }
    match found {
        Err(LibraryError::NotFound { .. }) => {
            say("no usable ONNX Runtime was found");
            put_in_place(options, false, Depth::Fast, say)
        }
        found => found,
    }
}

/// Installs the pinned build into the cache folder, even if other libraries exist; with `cuda`, the GPU build and the
/// NVIDIA libraries that it needs. An existing installation is verified byte for byte, and replaced only if damaged.
///
/// # Errors
///
/// When there is no wheel for this platform, no cache folder or no Python with pip, the download is forbidden or fails,
/// a wheel's hash is not the pinned one, the disk is full, or this system cannot load the library.
pub fn install(
    options: &LibraryOptions,
    cuda: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Library, LibraryError> {
    put_in_place(options, cuda, Depth::Hashes, say)
}

/// [`LibraryError::Overwritten`], if the CPU package has overwritten this library of the GPU package.
#[must_use]
pub fn overwritten(library: &Library) -> Option<LibraryError> {
    overwritten_package::overwritten(&library.path).map(|version| LibraryError::Overwritten {
        path: library.path.clone(),
        version,
    })
}

/// Reads every byte of an installed library and compares it with the installation's record.
///
/// A library from elsewhere has no record and always passes.
///
/// # Errors
///
/// [`LibraryError::Damaged`] when a file is missing or has changed.
pub fn verify(library: &Library) -> Result<(), LibraryError> {
    let folder = library
        .path
        .parent()
        .filter(|_| library.origin == Origin::Cache);
    folder.map_or(Ok(()), |folder| manifest::verify(folder, Depth::Hashes))
}

fn put_in_place(
    options: &LibraryOptions,
    cuda: bool,
    depth: Depth,
    say: &mut dyn FnMut(&str),
) -> Result<Library, LibraryError> {
    let package = wheels::package(cuda, std::env::consts::OS, std::env::consts::ARCH)?;
    let folder = install_package(
        package,
        options,
        depth,
        &|wheel, into| pip::download(&options.python, wheel, into),
        say,
    )?;
    search::open(options, Origin::Cache, &folder.join(package.library), cuda)
}
