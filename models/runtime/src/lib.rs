//! Finds, installs, verifies and loads the ONNX Runtime library.
//!
//! ```text
//! environment variables ─► LibraryOptions ─┬─ find ────► Library, and every place of the search
//!                                          └─ install ─► Library: pinned wheels, in the cache folder
//!                                                           │
//!                                            verify ◄───────┼─ load ─► ort's Environment, one per process
//! ```
//!
//! In: what the user and the environment say about where the library may lie ([`LibraryOptions`]). Out: the one
//! [`Environment`](ort::environment::Environment) of this process. Sessions, models and the choice of a device are
//! left to others; nothing is printed here, lines for people go to the caller's `say`.
//!
//! | file | its duty |
//! |---|---|
//! | `options` | the only reader of environment variables |
//! | `find` | the order of the search, and what was seen on the way |
//! | `library` | the words for that: a library, a place |
//! | `python` | what Python environments hold |
//! | `package_clash` | the CPU package in the place of the GPU package |
//! | `version` | is this file an ONNX Runtime that can be spoken to? |
//! | `elf` | Linux: is a library whole, and what does it need? |
//! | `wheels` | the pinned wheels and their hashes: a newer version is a change of this table alone |
//! | `pip` | one wheel from PyPI |
//! | `install` | wheels into the cache folder, safe beside another process |
//! | `manifest` | what an installed folder holds, and whether it still does |
//! | `cuda` | NVIDIA's libraries: where they lie, and loading them early |
//! | `load` | one library, one environment per process |

mod cuda;
#[cfg(target_os = "linux")]
mod elf;
mod error;
mod find;
mod install;
mod library;
mod load;
mod manifest;
mod options;
mod package_clash;
mod pip;
mod python;
mod version;
mod wheels;

pub use cuda::Preloaded;
pub use error::LibraryError;
pub use find::find;
pub use library::{EXAMPLE as LIBRARY_NAME, Library, Looked, Origin, State};
pub use load::{has_cuda_provider, load, preloaded};
pub use options::{LibraryOptions, offline};
pub use version::REQUIRED_VERSION;
pub use wheels::VERSION as PINNED_VERSION;

use install::install_package;
use manifest::Depth;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Finds a library, or installs the pinned CPU build into the cache folder when there is none.
///
/// `say` gets a line for each library that was found and cannot be used, and for each step of an installation.
/// Where CUDA was asked for nothing is installed: a download of 1.3 GB is for the user to ask for.
///
/// # Errors
///
/// A library that the user named and that cannot be used; no library with CUDA where CUDA was asked for; and whatever
/// keeps an installation from being made (see [`install`]).
pub fn find_or_install(
    options: &LibraryOptions,
    say: &mut dyn FnMut(&str),
) -> Result<Library, LibraryError> {
    let (looked, found) = find(options);
    for place in looked.iter().filter(|place| place.state == State::Unusable) {
        say(&format!("passing over {place}"));
    }
    match found {
        Err(LibraryError::NotFound { .. }) => {
            say("no usable ONNX Runtime was found");
            put_in_place(options, false, Depth::Sizes, say)
        }
        found => found,
    }
}

/// Installs the pinned build into the cache folder, whatever else the machine has; with `cuda` the GPU build and the
/// NVIDIA libraries it needs. What is there already is verified, byte for byte, and replaced only if damaged.
///
/// # Errors
///
/// No wheel for this platform, no cache folder, no Python with pip, a download that is forbidden or fails, a wheel with
/// another hash than the pinned one, a full disk, or a library that this system cannot load.
pub fn install(
    options: &LibraryOptions,
    cuda: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Library, LibraryError> {
    put_in_place(options, cuda, Depth::Hashes, say)
}

/// What is wrong with a library that was meant to be another: [`LibraryError::Overwritten`].
#[must_use]
pub fn overwritten(library: &Library) -> Option<LibraryError> {
    package_clash::overwritten(&library.path).map(|version| LibraryError::Overwritten {
        path: library.path.clone(),
        version,
    })
}

/// Reads every byte of an installed library again and compares it with what was installed.
///
/// A library that came from elsewhere has nothing to be compared with and passes.
///
/// # Errors
///
/// [`LibraryError::Damaged`] where a file is missing, shorter, longer or other than it was.
pub fn verify(library: &Library) -> Result<(), LibraryError> {
    let folder = library
        .path
        .parent()
        .filter(|_| library.origin == Origin::Cache);
    folder.map_or(Ok(()), manifest::verify)
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
    find::open(options, Origin::Cache, &folder.join(package.library), cuda)
}
