//! The folder of a run of `dynamics`: opened, cleared, and whether it is finished.

use rho_files::InsidePath;
use rho_formats::{
    FileFormat, MaskFile, MasksFolder, OutputError, mask_file_name, mask_file_name_in,
};

use super::{
    folder,
    plan::{DynamicsPlan, SCORES, Scored},
    summary::{SUMMARY, Summary},
};
use crate::run_folder::{Command, Opening, RunFolder};

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
            plan: plan.recorded()?,
            restart: plan.restart,
            rank: None,
        },
        clear,
    )?;
    // The folders of the scores are opened by their paths, as folders of runs of their own.
    for model in plan.models() {
        let inside = model.request.out.strip_prefix(&plan.out)?;
        folder.files.make(&inside.to_string_lossy())?;
    }
    Ok(Started { folder })
}

/// Removes the output of these shards.
fn clear(folder: &MasksFolder, shards: &[&str]) -> anyhow::Result<()> {
    let formats = [FileFormat::ArrowStream, FileFormat::Parquet];
    let names = shards.iter().flat_map(|shard| {
        let name = mask_file_name(shard);
        formats.map(|format| mask_file_name_in(&name, format))
    });
    let files = names.map(|name| {
        Ok(MaskFile {
            name: InsidePath::new(name)?,
            bytes: 0,
            rewritten: false,
        })
    });
    let files = files.collect::<Result<Vec<_>, OutputError>>()?;
    Ok(folder.clear(shards.iter().copied(), &files)?)
}

impl Started {
    /// The summary, if the run is already finished.
    pub(crate) fn finished(&self) -> anyhow::Result<Option<Summary>> {
        if self.folder.files.folder().bytes(SUMMARY).is_none() {
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
        Ok(self.folder.files.remove_records(SCORES)?)
    }
}
