//! The loop's interface to what is trained: a model with its optimiser, or something simpler in a test.

use std::path::Path;

use rho_selection::KeepRatio;

use crate::data::GlobalBatch;

/// An error of the model, its optimiser or their files.
pub type TraineeError = Box<dyn std::error::Error + Send + Sync>;

/// A loss or gradient norm that is not finite; nothing was updated.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the {what} is {got}: nothing was updated")]
pub struct NotFinite {
    /// Loss or gradient norm.
    pub what: &'static str,
    /// The value.
    pub got: f64,
}

/// The result of a step. The lists have an entry for each token of the batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepOutcome {
    /// The minimised value, in nats: the mean loss of the kept tokens, plus the mixed-in plain loss.
    pub objective: f64,
    /// Loss of each token before the update, in nats; NaN if it is not a target.
    pub loss: Vec<f32>,
    /// Which targets the gradient came from.
    pub kept: Vec<bool>,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
}

/// A model that can be trained.
pub trait Trainee {
    /// Trains on a batch: ranks all its targets together, keeps a share of them, and updates once.
    ///
    /// # Errors
    /// If it cannot be computed. A value that is not finite may be returned as the error [`NotFinite`] or in the
    /// outcome.
    fn step(
        &mut self,
        batch: &GlobalBatch,
        step: u64,
        keep: KeepRatio,
    ) -> Result<StepOutcome, TraineeError>;

    /// The current loss of each token, in nats; NaN if it is not a target. Does not train.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn losses(&mut self, batch: &GlobalBatch) -> Result<Vec<f32>, TraineeError>;

    /// The targets that a step with these losses would train on.
    ///
    /// # Errors
    /// If the batch lacks a column that the selection reads.
    fn select(
        &self,
        batch: &GlobalBatch,
        loss: &[f32],
        step: u64,
        keep: KeepRatio,
    ) -> Result<Vec<bool>, TraineeError>;

    /// Writes the model to an existing folder, as a Hugging Face checkpoint.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn save_model(&self, folder: &Path) -> Result<(), TraineeError>;

    /// Writes the optimiser's moments, which resuming needs as well.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn save_optimiser(&self, folder: &Path) -> Result<(), TraineeError>;

    /// Loads model and optimiser from a folder.
    ///
    /// # Errors
    /// If a file cannot be read, or does not belong to this model.
    fn load(&mut self, folder: &Path) -> Result<(), TraineeError>;
}
