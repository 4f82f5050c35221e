//! Tells masks from the output of `dynamics`, which has the same layout.

use std::path::Path;

use rho_formats::MasksFolder;

use super::files::Masks;
use crate::{
    hinted_error::HintedError,
    run_folder::{Command, RecordedPlan},
};

/// Whether `dynamics` wrote this folder or file.
pub(crate) fn is_dynamics(path: &Path) -> bool {
    let recorded = RecordedPlan::read(&MasksFolder::existing(path));
    let recorded = recorded.ok().flatten();
    recorded.is_some_and(|recorded| recorded.command() == Command::Dynamics)
        || Masks::open(path).is_ok_and(|masks| masks.known_metadata().dynamics.is_some())
}

/// Refuses such a folder where masks are expected.
pub(crate) fn must_be_masks(path: &Path) -> anyhow::Result<()> {
    if !is_dynamics(path) {
        return Ok(());
    }
    Err(HintedError::error(
        format!(
            "{}: expected masks, got the output of `dynamics`",
            path.display()
        ),
        "name a folder that `score` wrote; `show` and `report` take the output of `dynamics`, and its summary.json has all numbers",
    ))
}
