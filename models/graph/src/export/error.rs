//! What can be wrong with a checkpoint, and what to do about it.

use std::path::PathBuf;

use rho_checkpoint::CheckpointError;

use crate::GraphError;

/// A checkpoint that cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The checkpoint itself.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A part that has no standard operators.
    #[error("expected a model of standard operators, got one with {part}")]
    NotPortable {
        /// The part.
        part: &'static str,
    },
    /// A number that f16 cannot hold, or no number at all.
    #[error(
        "{path}: tensor {name}: expected numbers that {dtype} can hold, got {got} at element {at}"
    )]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type asked for.
        dtype: &'static str,
        /// The number.
        got: f32,
        /// Where.
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
    /// The place to write to is taken.
    #[error("{path}: expected a folder that does not exist yet or is empty, got {got}")]
    OutExists {
        /// The folder.
        path: PathBuf,
        /// What is there.
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
    /// Somebody said stop; nothing was left behind.
    #[error("stopped before {path} was written; nothing was left behind")]
    Stopped {
        /// The folder.
        path: PathBuf,
    },
    /// A mapped file.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
