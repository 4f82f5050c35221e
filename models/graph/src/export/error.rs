//! Errors of an export, and hints.

use std::path::PathBuf;

use rho_checkpoint::CheckpointError;

use crate::GraphError;

/// A checkpoint that cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A part of the model has no standard operators.
    #[error("expected a model with standard operators only, got {part}")]
    NotPortable {
        /// The part.
        part: &'static str,
    },
    /// A weight that the dtype cannot hold, or NaN or infinity.
    #[error(
        "{path}: tensor {name}: expected numbers that {dtype} can hold, got {got} at element {at}"
    )]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The requested dtype.
        dtype: &'static str,
        /// The value.
        got: f32,
        /// Its index in the flattened tensor.
        at: usize,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The output folder is taken.
    #[error("{path}: expected a folder that does not exist yet or is empty, got {got}")]
    OutExists {
        /// The folder.
        path: PathBuf,
        /// What exists there.
        got: String,
    },
    /// Writing failed.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The caller stopped the export; nothing was left behind.
    #[error("stopped before {path} was written; nothing was left behind")]
    Stopped {
        /// The folder.
        path: PathBuf,
    },
    /// A tensor or model file cannot be used.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
