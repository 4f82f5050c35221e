//! What to do about a training run that stopped.

use rho_trainer::run::RunError;

/// A run that diverged, or whose checkpoints cannot be written or read.
pub(super) fn training(error: &RunError) -> Option<&'static str> {
    match error {
        RunError::Diverged(_) => Some(
            "lower --learning-rate, or look at these documents; the checkpoints before it are whole",
        ),
        RunError::Save { .. } | RunError::Write { .. } => Some(
            "where the disk is full, make room, then start the same command again: it goes on from the last checkpoint",
        ),
        RunError::Load { .. } => Some(
            "remove that checkpoint to go on from the one before, or start over with --restart",
        ),
        _ => None,
    }
}
