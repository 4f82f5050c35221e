//! Hints for training runs that stopped.

use rho_trainer::run::RunError;

/// A run that diverged, or whose checkpoints cannot be written or read.
pub(super) fn training(error: &RunError) -> Option<&'static str> {
    match error {
        RunError::Diverged(_) => Some(
            "lower --learning-rate, or look at these documents; the earlier checkpoints are valid",
        ),
        RunError::Save { .. } | RunError::Write { .. } => Some(
            "if the disk is full, make room; then start the same command again: it resumes from the last checkpoint",
        ),
        RunError::Load { .. } => Some(
            "remove that checkpoint to resume from the previous one, or start over with --restart",
        ),
        _ => None,
    }
}
