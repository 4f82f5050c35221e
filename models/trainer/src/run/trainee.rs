//! What the loop asks of whatever is trained: a model with its optimiser, or something simpler in a test.

use std::path::Path;

use rho_selection::KeepRatio;

use crate::data::GlobalBatch;

/// An error of the model, its optimiser, or the files they are kept in.
pub type TraineeError = Box<dyn std::error::Error + Send + Sync>;

/// A loss or a gradient that is no number; nothing was updated.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the {what} is {got}: nothing was updated")]
pub struct NotFinite {
    /// Which of them.
    pub what: &'static str,
    /// The number.
    pub got: f64,
}

/// What came of a step. The lists speak of the batch's tokens, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepOutcome {
    /// The value that was minimised, in nats: the mean over the kept tokens, with what is mixed in.
    pub objective: f64,
    /// Loss of each token before the update, in nats; NaN where it is no target.
    pub loss: Vec<f32>,
    /// Which targets the gradient came from.
    pub kept: Vec<bool>,
    /// Norm of the gradient before it was clipped.
    pub gradient_norm: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
}

/// A model that learns.
pub trait Trainee {
    /// Learns from a batch: ranks its targets all together, keeps the share, updates once.
    ///
    /// # Errors
    /// Where it cannot be computed. A number that is not finite may be reported as [`NotFinite`], or as it is.
    fn step(
        &mut self,
        batch: &GlobalBatch,
        step: u64,
        keep: KeepRatio,
    ) -> Result<StepOutcome, TraineeError>;

    /// Loss of each token as it is now, in nats, NaN where it is no target; learns nothing.
    ///
    /// # Errors
    /// Where it cannot be computed.
    fn losses(&mut self, batch: &GlobalBatch) -> Result<Vec<f32>, TraineeError>;

    /// Which targets a step with these losses would learn from.
    ///
    /// # Errors
    /// Where the batch does not hold what the selection asks for.
    fn select(
        &self,
        batch: &GlobalBatch,
        loss: &[f32],
        step: u64,
        keep: KeepRatio,
    ) -> Result<Vec<bool>, TraineeError>;

    /// Writes the model to a folder that is there, as others read it.
    ///
    /// # Errors
    /// Where a file cannot be written.
    fn save_model(&self, folder: &Path) -> Result<(), TraineeError>;

    /// Writes what else going on needs: the optimiser's moments.
    ///
    /// # Errors
    /// Where a file cannot be written.
    fn save_optimiser(&self, folder: &Path) -> Result<(), TraineeError>;

    /// Takes up what was saved in a folder, model and optimiser.
    ///
    /// # Errors
    /// Where a file cannot be read, or is not of this model.
    fn load(&mut self, folder: &Path) -> Result<(), TraineeError>;
}
