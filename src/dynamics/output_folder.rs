//! The folder of a run of `dynamics`: opened, cleared, and whether it is finished.

use rho_formats::{MaskFile, MasksFolder, mask_file_name};

use super::{
    folder,
    plan::{DynamicsPlan, SCORES, Scored},
    summary::{SUMMARY, Summary},
};
use crate::{
    files::remove_folder,
    run_folder::{Command, Opening, RunFolder},
};

/// The folder of a run.
pub(crate) struct Started {
    pub(super) folder: RunFolder,
}

/// Opens the folder of a run.
pub(crate) fn open(plan: &DynamicsPlan) -> anyhow::Result<Started> {
    let folder = RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Dynamics,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        clear,
    )?;
    Ok(Started { folder })
}

/// Removes the output of these shards.
fn clear(folder: &MasksFolder, shards: &[&str]) -> anyhow::Result<()> {
    let files = shards.iter().map(|shard| MaskFile {
        name: mask_file_name(shard),
        bytes: 0,
    });
    let files: Vec<MaskFile> = files.collect();
    Ok(folder.clear(shards.iter().copied(), &files)?)
}

impl Started {
    /// The summary, if the run is already finished.
    pub(crate) fn finished(&self) -> anyhow::Result<Option<Summary>> {
        if !self.folder.files.path().join(SUMMARY).exists() {
            return Ok(None);
        }
        // An earlier start may have been killed while removing them.
        self.remove_scores()?;
        folder::summary(self.folder.files.path()).map(Some)
    }

    /// Whether a model's scores are complete.
    pub(crate) fn is_scored(&self, model: &Scored) -> bool {
        model.request.out.join(SUMMARY).exists()
    }

    /// Removes the scores: all that is described of them is written.
    pub(super) fn remove_scores(&self) -> anyhow::Result<()> {
        remove_folder(&self.folder.files.path().join(SCORES))
    }
}
