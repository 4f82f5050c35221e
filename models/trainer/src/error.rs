//! The errors of the trainer: where, what was expected and what was found.

use std::path::PathBuf;

/// An error of the trainer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// A file could not be read or written.
    #[error("{path}: {action}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// A configuration that is not JSON, or whose values have other types.
    #[error("{path}: not a model configuration")]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// A configuration lacks a field that has no default.
    #[error("model configuration: missing field {field:?}")]
    ConfigMissing {
        /// The field.
        field: &'static str,
    },
    /// A model with a part that the trainer does not support. It is refused: silently training something else would be
    /// worse.
    #[error("expected a model that can be trained, got {family} with {part}")]
    NotTrainable {
        /// Its family.
        family: &'static str,
        /// The part.
        part: String,
    },
    /// A checkpoint that cannot be read or is not understood.
    #[error(transparent)]
    Checkpoint(#[from] rho_checkpoint::CheckpointError),
    /// A weight that is not finite. A step with it would learn nothing, and other tokens could hide that.
    #[error("{path}: tensor {name}: expected numbers that f32 can hold, got {got} at element {at}")]
    Weight {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The value.
        got: f32,
        /// Its index in the tensor.
        at: usize,
    },
    /// A safetensors file that cannot be read or written.
    #[error("{path}: cannot read or write the safetensors file")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: safetensors::SafeTensorError,
    },
    /// An optimiser's file lacks a tensor that the model needs.
    #[error("{path}: missing tensor {name:?}")]
    TensorMissing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A column that does not fit the batch or its objective.
    #[error("batch: {what}: expected {expected}, got {got}")]
    Batch {
        /// The column or object.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// A setting outside its range.
    #[error("{setting}: expected {expected}, got {got}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// The allowed range.
        expected: &'static str,
        /// The given value.
        got: f64,
    },
    /// A loss or gradient that is not finite. Nothing was updated.
    #[error("step {step}: the {what} is {got}: nothing was updated")]
    NotFinite {
        /// The optimiser's step.
        step: u64,
        /// Loss or gradient.
        what: &'static str,
        /// The value.
        got: f64,
    },
    /// A set of tensors does not match the model.
    #[error("{what}: expected {expected} tensors of the model's sizes, got {got}")]
    State {
        /// Which set.
        what: &'static str,
        /// The number of the model's tensors.
        expected: usize,
        /// The number of given tensors that match.
        got: usize,
    },
    /// An operation of candle failed.
    #[error("a tensor operation failed")]
    Candle(#[from] candle_core::Error),
}

/// The result of the trainer's functions.
pub type Result<T> = std::result::Result<T, TrainerError>;
