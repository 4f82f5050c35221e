//! Loads one library into this process and starts ONNX Runtime once. In: a [`Library`]. Out: the environment in which
//! all sessions of this process are created. Sessions choose their device.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};

use crate::cuda::{self, Preloaded};
use crate::error::LibraryError;
use crate::library::Library;

struct Loaded {
    path: PathBuf,
    /// Kept for the life of the process: ONNX Runtime's threads and the CUDA driver do not survive a second start.
    environment: Environment,
    preloaded: Vec<Preloaded>,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads the library, after NVIDIA's libraries if CUDA is requested, and starts ONNX Runtime.
///
/// A second call with the same library returns the same environment. With another library it is an error, because the
/// first one would silently stay in use.
///
/// # Errors
///
/// [`LibraryError::AlreadyLoaded`] when another library is loaded; [`LibraryError::Load`] and [`LibraryError::Start`]
/// when ONNX Runtime itself fails.
pub fn load(library: &Library) -> Result<Environment, LibraryError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = loaded.as_mut() {
        if loaded.path != library.path {
            return Err(LibraryError::AlreadyLoaded {
                loaded: loaded.path.clone(),
                asked: library.path.clone(),
            });
        }
        // CUDA may be requested later: the provider is loaded with the first session that uses it.
        if loaded.preloaded.is_empty() {
            loaded.preloaded = preload(library);
        }
        return Ok(loaded.environment.clone());
    }
    let preloaded = preload(library);
    let path = library.path.clone();
    let environment = ort::init_from(&path)
        .map_err(|source| LibraryError::Load {
            path: path.clone(),
            source,
        })?
        .with_name("rho-mask")
        .with_telemetry(false)
        .build()
        .map_err(|source| LibraryError::Start {
            path: path.clone(),
            source,
        })?;
    *loaded = Some(Loaded {
        path,
        environment: environment.clone(),
        preloaded,
    });
    Ok(environment)
}

fn preload(library: &Library) -> Vec<Preloaded> {
    library
        .cuda_folders
        .as_ref()
        .map(|folders| cuda::preload(&library.path, folders))
        .unwrap_or_default()
}

/// The libraries that were loaded early for CUDA in this process, in order, including failures.
#[must_use]
pub fn preloaded() -> Vec<Preloaded> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded
        .as_ref()
        .map(|loaded| loaded.preloaded.clone())
        .unwrap_or_default()
}

/// Whether the loaded library was built with `CUDAExecutionProvider`. Only a session shows whether a device exists and
/// NVIDIA's libraries can be loaded.
///
/// The environment is a proof that a library is loaded.
///
/// # Errors
///
/// [`LibraryError::Start`] when the call to the library fails.
pub fn has_cuda_provider(_loaded: &Environment) -> Result<bool, LibraryError> {
    CUDA::is_available().map_err(|source| {
        let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        LibraryError::Start {
            path: loaded
                .as_ref()
                .map(|loaded| loaded.path.clone())
                .unwrap_or_default(),
            source,
        }
    })
}
