//! Why a run stopped.

use std::io;
use std::path::PathBuf;

use super::TraineeError;
use crate::data::DataError;

/// Documents of a batch that are named in a message.
const SHOWN: usize = 5;

/// A step that must not be gone on from.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {step}: expected {expected}, got {got}; in its batch: {}; {}",
    some(.documents, .list),
    last(.checkpoint)
)]
pub struct Diverged {
    /// The step.
    pub step: u64,
    /// What was expected of it.
    pub expected: String,
    /// The loss, or what else is wrong.
    pub got: String,
    /// The documents of the batch, the worst first.
    pub documents: Vec<String>,
    /// The file that lists them all.
    pub list: PathBuf,
    /// The last checkpoint before it.
    pub checkpoint: Option<PathBuf>,
}

/// What ends a run before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no next batch.
    #[error("reading the batch of step {step}")]
    Data {
        /// The step.
        step: u64,
        /// Why.
        source: DataError,
    },

    /// The model could not be computed.
    #[error("computing step {step}")]
    Step {
        /// The step.
        step: u64,
        /// Why.
        source: TraineeError,
    },

    /// Text that is not trained on could not be evaluated.
    #[error("evaluating {name} after step {step}")]
    Evaluate {
        /// The step.
        step: u64,
        /// The text.
        name: String,
        /// Why.
        source: TraineeError,
    },

    /// A loss or a gradient that is no number, or far above the others.
    #[error(transparent)]
    Diverged(Box<Diverged>),

    /// A checkpoint that could not be written; those before it are as they were.
    #[error("{}: cannot be written", .path.display())]
    Save {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: TraineeError,
    },

    /// A checkpoint that could not be taken up.
    #[error("{}: cannot be gone on with", .path.display())]
    Load {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        source: TraineeError,
    },

    /// A file of the run that could not be written.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A file of the run that could not be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn some(documents: &[String], list: &std::path::Path) -> String {
    let named = documents.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match documents.len().saturating_sub(SHOWN) {
        0 => named.join(", "),
        more => format!(
            "{} and {more} more (all in {})",
            named.join(", "),
            list.display()
        ),
    }
}

fn last(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "there is no checkpoint before it".to_owned(),
    }
}
