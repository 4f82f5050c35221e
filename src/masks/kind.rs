//! Which command wrote a folder of masks: `dynamics` writes files of the same layout.

use std::path::Path;

use rho_formats::MasksFolder;

use super::files::Masks;
use crate::{
    advised::Advised,
    run_folder::{Command, RecordedPlan},
};

/// Whether `dynamics` wrote to this folder, or this file.
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
    Err(Advised::error(
        format!(
            "{}: expected masks, got what `dynamics` wrote",
            path.display()
        ),
        "`show` and `report` take it, and its summary.json has all numbers; masks come of `score`",
    ))
}
