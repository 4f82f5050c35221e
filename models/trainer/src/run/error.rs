//! Why a run stopped.

use std::io;
use std::path::PathBuf;

use super::TraineeError;
use crate::data::DataError;

/// Documents of a batch that are named in a message.
const SHOWN: usize = 5;

/// A step that diverged: the run must not continue from it.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {step}: expected {expected}, got {got}; in its batch: {}; {}",
    some(.documents, .list),
    last(.checkpoint)
)]
pub struct Diverged {
    /// The step.
    pub step: u64,
    /// The expected value.
    pub expected: String,
    /// The actual value of the loss or gradient norm.
    pub got: String,
    /// The documents of the batch, the worst first.
    pub documents: Vec<String>,
    /// The file that lists them all.
    pub list: PathBuf,
    /// The last checkpoint before the step.
    pub checkpoint: Option<PathBuf>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The next batch could not be read.
    #[error("reading the batch of step {step}")]
    Data {
        /// The step.
        step: u64,
        /// The cause.
        source: DataError,
    },

    /// The model could not be computed.
    #[error("computing step {step}")]
    Step {
        /// The step.
        step: u64,
        /// The cause.
        source: TraineeError,
    },

    /// Held-out text could not be evaluated.
    #[error("evaluating {name} after step {step}")]
    Evaluate {
        /// The step.
        step: u64,
        /// The name of the evaluation set.
        name: String,
        /// The cause.
        source: TraineeError,
    },

    /// A loss or gradient norm that is not finite, or a loss spike.
    #[error(transparent)]
    Diverged(Box<Diverged>),

    /// A checkpoint could not be written. Earlier ones are unchanged.
    #[error("{}: cannot be written", .path.display())]
    Save {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: TraineeError,
    },

    /// A checkpoint could not be resumed.
    #[error("{}: cannot be resumed", .path.display())]
    Load {
        /// The checkpoint.
        path: PathBuf,
        /// The cause.
        source: TraineeError,
    },

    /// A file of the run could not be written.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },

    /// A file of the run could not be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
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
        None => "there is no earlier checkpoint".to_owned(),
    }
}
