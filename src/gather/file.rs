//! Copies one file as masks, without the rows that have no scores, and counts what it holds.

use rho_formats::{
    AnswerErrors, BatchCompression, MaskBatch, MaskColumns, MaskCopy, MaskFile, MasksFolder,
    OutputError, Storage,
};
use serde::{Deserialize, Serialize};

use super::plan::{GatherPlan, Stored};
use crate::{
    hinted_error::HintedError, pipeline::record::Identity, progress::Progress,
    run_folder::ShardRecord, selections::counts::Counts, stop::Stop,
};

/// The record of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) files: Vec<MaskFile>,
    pub(super) counts: Counts,
    /// Tokens with a score.
    pub(super) scored: u64,
    /// Rows without scores.
    pub(super) rejected: u64,
}

impl ShardRecord for Record {
    const NOTES: &'static str = "shards";

    fn files(&self) -> &[MaskFile] {
        &self.files
    }

    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError> {
        folder.publish_copy(file)
    }

    fn missing(shard: &str, _: &MaskFile) -> String {
        format!("{shard}: it is missing; it is gathered again")
    }
}

/// Copies a file; none if the run is stopped before its end.
pub(super) fn copy(
    plan: &GatherPlan,
    folder: &MasksFolder,
    file: &Stored,
    progress: &Progress,
    stop: &Stop,
) -> anyhow::Result<Option<Record>> {
    let (mut columns, _) = MaskColumns::of_answers(&file.path, &plan.schema, &file.shard)?;
    let storage = Storage {
        format: plan.format,
        compression: BatchCompression::None,
    };
    let metadata = &plan.schema.metadata;
    let mut copy = MaskCopy::whole(folder, &file.name, &columns, storage, metadata)?;
    let mut counts = Counts::default();
    let mut scored = 0;
    let mut scores = Vec::new();
    let mut left = columns.left();
    while let Some(batch) = columns.next_batch()? {
        if stop.requested() {
            return Ok(None);
        }
        must_be_tokens(plan, file, &batch)?;
        counts.add_stored(Some(&plan.scoring.rule), &batch)?;
        scores.clear();
        if let Some(first) = plan.schema.scores.first() {
            batch.scores(first, &mut scores);
        }
        scored += scores.iter().map(|s| u64::from(!s.is_nan())).sum::<u64>();
        if batch.rows() > 0 {
            copy.write(&batch, &[], &[])?;
        }
        let now = columns.left();
        progress.advance(left.saturating_sub(now), batch.tokens());
        left = now;
    }
    let mut errors = AnswerErrors::open(&file.path, &file.shard)?;
    let mut rejected = 0;
    while let Some(rows) = errors.next_batch()? {
        rejected += rows.len() as u64;
    }
    must_be_unchanged(file)?;
    Ok(Some(Record {
        files: vec![copy.finish()?],
        counts,
        scored,
        rejected,
    }))
}

/// Refuses token ids that the reference does not have: the rows are of another model than the one named.
fn must_be_tokens(plan: &GatherPlan, file: &Stored, batch: &MaskBatch) -> anyhow::Result<()> {
    let Some(vocabulary) = plan.vocabulary else {
        return Ok(());
    };
    let is_other = |&&token: &&i32| usize::try_from(token).is_ok_and(|token| token >= vocabulary);
    let Some(token) = batch.input_ids().iter().find(is_other) else {
        return Ok(());
    };
    Err(HintedError::error(
        format!(
            "{}: expected token ids below {vocabulary}, the vocabulary of the reference, got {token}",
            file.path.display()
        ),
        "name the model of the worker",
    ))
}

fn must_be_unchanged(file: &Stored) -> anyhow::Result<()> {
    let now = Identity::of_file(&file.path).unwrap_or_default();
    match file.identity.difference(&now) {
        None => Ok(()),
        Some(difference) => Err(HintedError::error(
            format!(
                "{}: expected an unchanged file, got one that changed while it was read: {difference}",
                file.path.display()
            ),
            "wait until the engine is done, then start over with --restart",
        )),
    }
}
