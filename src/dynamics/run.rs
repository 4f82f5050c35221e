//! The folder of a run: its finished shards and their summary.
//!
//! `state.json` and `summary.json` are written last, so that a partial folder is never taken for a finished one. Then
//! the scores are removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_formats::{MaskFile, MasksFolder};
use rho_selection::Seen;
use serde_json::Value;

use super::{
    counts::Counts,
    cuts::cuts,
    folder,
    line::Places,
    losses::Folders,
    plan::{DynamicsPlan, SCORES, Scored},
    shard::{Describing, columns},
    summary::{Corpus, Summary},
};
use crate::{
    files::remove_folder,
    run_folder::{Command, Opening, RunFolder, shards},
    stop::Stop,
};

/// The folder of a run.
pub(crate) struct Started {
    folder: RunFolder,
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
        name: format!("{shard}.arrow"),
        bytes: 0,
    });
    let files: Vec<MaskFile> = files.collect();
    Ok(folder.clear(shards.iter().copied(), &files)?)
}

impl Started {
    /// The summary, if the run is already finished.
    pub(crate) fn finished(&self) -> anyhow::Result<Option<Summary>> {
        if !self.folder.files.path().join(folder::SUMMARY).exists() {
            return Ok(None);
        }
        // An earlier start may have been killed while removing them.
        self.remove_scores()?;
        folder::summary(self.folder.files.path()).map(Some)
    }

    /// Whether a model's scores are complete.
    pub(crate) fn is_scored(&self, model: &Scored) -> bool {
        model.request.out.join(folder::SUMMARY).exists()
    }

    /// Describes the shards that are not done yet, and completes the folder; None if the run was asked to stop.
    pub(crate) fn describe(
        &self,
        plan: &DynamicsPlan,
        stop: &Stop,
    ) -> anyhow::Result<Option<Summary>> {
        let mut folders: Vec<PathBuf> = plan.models().map(|m| m.request.out.clone()).collect();
        let reference = plan.reference.as_ref().and_then(|_| folders.pop());
        let folders = Folders {
            checkpoints: folders,
            reference,
        };
        let Some(cuts) = cuts(plan, &folders, stop)? else {
            return Ok(None);
        };
        let files = &self.folder.files;
        plan.common().put_tokenizer(files)?;
        let describing = Describing {
            plan,
            folders: &folders,
            cuts: &cuts,
            places: Places::new(&plan.x),
            folder: files,
            columns: columns(plan),
        };
        let mut counts = Counts::new(plan.checkpoints.len(), plan.reference.is_some(), plan.top);
        let mut seen = vec![Seen::default(); cuts.selected.len()];
        let mut described = Vec::new();
        for shard in plan.shards() {
            let record = match shards::finished(files, &shard.name)? {
                Some(record) => record,
                None => {
                    let record = describing.shard(&shard.name, &seen, stop)?;
                    let Some(record) = record else {
                        return Ok(None);
                    };
                    shards::complete(files, &shard.name, &record)?;
                    record
                }
            };
            record.add_seen(&mut seen);
            counts.add(&record.counts);
            described.push(record.file);
        }
        let scores = &folders.checkpoints[0];
        let pieces = plan.checkpoints[0].prepared.tokenization.as_ref();
        let pieces = pieces.map(|tokenization| tokenization.pieces());
        let corpus = corpus(scores)?;
        let summary = Summary::of(plan, corpus, &cuts, &counts, pieces.as_ref());
        files.list(&describing.columns.metadata, &described)?;
        let rejected = scores.join(REJECTED);
        let copy =
            |to: &mut dyn io::Write| io::copy(&mut fs::File::open(&rejected)?, to).map(|_| ());
        files.file(REJECTED, rejected.exists().then_some(&copy as _))?;
        files.summary(&serde_json::to_value(&summary)?)?;
        self.remove_scores()?;
        Ok(Some(summary))
    }

    fn remove_scores(&self) -> anyhow::Result<()> {
        remove_folder(&self.folder.files.path().join(SCORES))
    }
}

const REJECTED: &str = "rejected.jsonl";

/// Reads the counts of the corpus from the first checkpoint's scores.
fn corpus(scores: &Path) -> anyhow::Result<Corpus> {
    let path = scores.join(folder::SUMMARY);
    let read = || -> anyhow::Result<Corpus> {
        let summary: Value = serde_json::from_slice(&fs::read(&path)?)?;
        Ok(serde_json::from_value(summary)?)
    };
    read().with_context(|| format!("{}: cannot be read", path.display()))
}
