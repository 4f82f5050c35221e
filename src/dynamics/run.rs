//! The folder of a run: its finished shards and their summary.
//!
//! `state.json` and `summary.json` are written last, so that a partial folder is never taken for a finished one. Then
//! the scores are removed.

use std::path::PathBuf;

use rho_formats::MasksFolder;
use rho_selection::Seen;

use super::{
    counts::Counts,
    cuts::cuts,
    line::Places,
    losses::Folders,
    output_folder::Started,
    plan::DynamicsPlan,
    shard::{Describing, columns},
    summary::{Corpus, Summary},
};
use crate::{left_out::REJECTED, run_folder::shards, stop::Stop};

impl Started {
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
        let groups = self.folder.plan.groups()?;
        let Some(cuts) = cuts(plan, &groups, &folders, stop)? else {
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
        for group in &groups {
            let record = match shards::finished(files, &group.name)? {
                Some(record) => record,
                None => {
                    let record = describing.shard(&group.name, &seen, stop)?;
                    let Some(record) = record else {
                        return Ok(None);
                    };
                    shards::complete(files, &group.name, &record)?;
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
        let corpus = Corpus::read(scores)?;
        let summary = Summary::of(plan, corpus, &cuts, &counts, pieces.as_ref());
        files.list(&describing.columns.metadata, &described)?;
        files.copy(MasksFolder::existing(scores).folder(), REJECTED)?;
        files.summary(&serde_json::to_value(&summary)?)?;
        self.remove_scores()?;
        Ok(Some(summary))
    }
}
