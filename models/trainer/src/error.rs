//! What can go wrong, with where, what was expected and what was found.

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
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A configuration that is no JSON, or whose values have other types.
    #[error("{path}: no model configuration")]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A configuration without a field that has no default.
    #[error("model configuration: no field {field:?}")]
    ConfigMissing {
        /// Its name.
        field: &'static str,
    },
    /// A model with a part that the trainer does not have: training something else in silence would be worse.
    #[error("expected a model that can be trained, got {family} with {part}")]
    NotTrainable {
        /// Its family.
        family: &'static str,
        /// The part.
        part: String,
    },
    /// A checkpoint that cannot be read, or is not understood.
    #[error(transparent)]
    Checkpoint(#[from] rho_checkpoint::CheckpointError),
    /// A weight that is no number: what a step with it teaches is nothing, and other tokens hide it.
    #[error("{path}: tensor {name}: expected numbers that f32 can hold, got {got} at element {at}")]
    Weight {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The value.
        got: f32,
        /// Its place.
        at: usize,
    },
    /// A file of tensors that cannot be read as one.
    #[error("{path}: no safetensors file")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A file of an optimiser without a tensor that its model asks for.
    #[error("{path}: no tensor {name:?}")]
    TensorMissing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A column that does not fit the batch or its objective.
    #[error("batch: {what}: expected {expected}, got {got}")]
    Batch {
        /// Which part.
        what: &'static str,
        /// What fits.
        expected: String,
        /// What is there.
        got: String,
    },
    /// A setting outside its range.
    #[error("{setting}: expected {expected}, got {got}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What was given.
        got: f64,
    },
    /// A loss or gradient that is no number. Nothing was updated.
    #[error("step {step}: the {what} is {got}: nothing was updated")]
    NotFinite {
        /// The optimiser's step.
        step: u64,
        /// Loss or gradient.
        what: &'static str,
        /// The value.
        got: f64,
    },
    /// Two sets of tensors that should belong together do not.
    #[error("{what}: expected {expected} tensors of the model's sizes, got {got}")]
    State {
        /// Which set.
        what: &'static str,
        /// How many the model has.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// An operation of candle failed.
    #[error("tensor operation")]
    Candle(#[from] candle_core::Error),
}

/// What the trainer's functions return.
pub type Result<T> = std::result::Result<T, TrainerError>;
