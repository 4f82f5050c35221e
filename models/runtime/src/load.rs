//! Loads one library into this process and starts ONNX Runtime once. In: a [`Library`]. Out: the environment that every
//! session of this process is made in. Which device a session gets is left to the sessions.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};

use crate::cuda::{self, Preloaded};
use crate::error::LibraryError;
use crate::library::Library;

struct Loaded {
    path: PathBuf,
    /// Kept for the life of the process: ONNX Runtime's threads and the CUDA driver do not outlive a second start.
    environment: Environment,
    preloaded: Vec<Preloaded>,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads the library, NVIDIA's first where CUDA was asked for, and starts ONNX Runtime.
///
/// Called again with the same library it gives the same environment; with another one it is an error, for the first
/// would go on being used unnoticed.
///
/// # Errors
///
/// [`LibraryError::AlreadyLoaded`] for a second library; [`LibraryError::Load`] and [`LibraryError::Start`] where ONNX
/// Runtime itself refuses.
pub fn load(library: &Library) -> Result<Environment, LibraryError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = loaded.as_mut() {
        if loaded.path != library.path {
            return Err(LibraryError::AlreadyLoaded {
                loaded: loaded.path.clone(),
                asked: library.path.clone(),
            });
        }
        // CUDA may be asked for later: the provider is loaded with the first session that wants it.
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

/// The libraries that were loaded early for CUDA in this process, in their order, failures included.
#[must_use]
pub fn preloaded() -> Vec<Preloaded> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded
        .as_ref()
        .map(|loaded| loaded.preloaded.clone())
        .unwrap_or_default()
}

/// Whether the loaded library lists `CUDAExecutionProvider` among those it was built with. That a device is there, and
/// that NVIDIA's libraries load, only a session can tell.
///
/// It takes the environment as the proof that a library is loaded.
///
/// # Errors
///
/// [`LibraryError::Start`] where the library does not answer.
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
