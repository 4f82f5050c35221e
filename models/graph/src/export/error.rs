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
    #[error("--portable: expected a model with standard operators only, got {part}")]
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

impl ExportError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Checkpoint(error) => return error.hint().map(str::to_owned),
            Self::NotPortable { .. } => "leave --portable out: ONNX Runtime has operators for it",
            Self::OutOfRange { dtype: "f16", .. } => "export it with --dtype bf16 or f32",
            Self::OutOfRange { .. } => {
                "the checkpoint is broken: training has diverged before it was saved"
            }
            Self::OutExists { .. } => "name another folder with --out, or remove this one first",
            Self::Read { .. } | Self::Write { .. } | Self::Stopped { .. } | Self::Graph(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}
