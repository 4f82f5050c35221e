//! Copies one file with new metadata, without the documents that an earlier folder has, and counts what it holds.

use rho_formats::{MaskColumns, MaskCopy, MaskFile, MasksFolder, OutputError, Storage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{MergePlan, Merged};
use crate::{
    progress::Progress,
    run_folder::ShardRecord,
    selections::{
        counts::{Counts, Selected},
        rule::Rule,
        scores,
    },
    stop::Stop,
};

/// The record of a merged file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The file; none if all its documents were dropped.
    pub(super) files: Vec<MaskFile>,
    pub(super) counts: Counts,
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
        format!("{shard}: it is missing; it is merged again")
    }
}

/// Where the files are written.
pub(super) struct Target<'a> {
    pub(super) folder: &'a MasksFolder,
    pub(super) metadata: &'a Value,
    /// What the masks were selected by, if it is known.
    pub(super) rule: Option<&'a Rule>,
    pub(super) progress: &'a Progress,
}

/// Copies a file; none if the run is stopped before its end.
pub(super) fn copy(
    plan: &MergePlan,
    target: &Target<'_>,
    merged: &Merged,
    kept: Option<&[bool]>,
    stop: &Stop,
) -> anyhow::Result<Option<Record>> {
    let input = &plan.inputs[merged.input];
    let mut columns = MaskColumns::open(&input.path(merged.file))?;
    let mut counts = Counts::default();
    let mut open: Option<MaskCopy> = None;
    let mut at = 0;
    loop {
        if stop.requested() {
            return Ok(None);
        }
        let batch = columns.next_batch()?;
        // The compression is known once the first record batch is read.
        let storage = Storage {
            format: plan.format,
            compression: columns.compression(),
        };
        let copy = match &mut open {
            Some(copy) => copy,
            none => none.insert(MaskCopy::whole(
                target.folder,
                &merged.name,
                &input.first,
                storage,
                target.metadata,
            )?),
        };
        let Some(mut batch) = batch else { break };
        let rows = at..at + batch.rows();
        at = rows.end;
        if let Some(kept) = kept {
            let kept = rows.map(|row| kept.get(row).copied().unwrap_or(true));
            let kept: Vec<bool> = kept.collect();
            if !kept.contains(&true) {
                continue;
            }
            if kept.contains(&false) {
                batch = batch.filter(&kept)?;
            }
        }
        count(&batch, target.rule, &mut counts)?;
        let before = copy.bytes();
        copy.write(&batch, &[], &[])?;
        target
            .progress
            .advance(copy.bytes() - before, batch.tokens());
    }
    input.must_be_unchanged(merged.file)?;
    let mut files = Vec::new();
    // A file without documents is copied, so that each shard has one; a file of which all were dropped is not.
    match open {
        Some(copy) if counts.documents > 0 || at == 0 => files.push(copy.finish()?),
        Some(copy) => copy.discard()?,
        None => {}
    }
    Ok(Some(Record { files, counts }))
}

/// Adds the documents of a record batch.
fn count(
    batch: &rho_formats::MaskBatch,
    rule: Option<&Rule>,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    counts.documents += batch.rows() as u64;
    counts.tokens += batch.tokens() as u64;
    counts.context += batch.context() as u64;
    let Some(rule) = rule else { return Ok(()) };
    counts
        .selections
        .resize(rule.selections.len(), Selected::default());
    let mut space = Vec::new();
    let mut bits = Vec::new();
    for (selection, counts) in rule.selections.iter().zip(&mut counts.selections) {
        space.clear();
        scores::scores(&selection.source, batch, &mut space)?;
        counts.scored += space.iter().map(|s| u64::from(!s.is_nan())).sum::<u64>();
        if selection.is_weights() {
            space.clear();
            batch.all_scores(&selection.column(), &mut space);
            counts.weights += space.iter().map(|&w| f64::from(w)).sum::<f64>();
        } else {
            counts.kept += kept_by(batch, &selection.column(), &mut bits);
            if rule.keep_by.is_some() {
                for (row, tokens) in batch.documents().enumerate() {
                    let scored = space[tokens.clone()].iter().filter(|s| !s.is_nan());
                    let kept = bits[tokens].iter().filter(|&&kept| kept);
                    counts.add_source(
                        scores::Documents::source(batch, row),
                        scored.count() as u64,
                        kept.count() as u64,
                    );
                }
            }
        }
    }
    if let Some(combined) = rule.combined {
        counts.combined += kept_by(batch, &format!("mask_{}", combined.name()), &mut bits);
    }
    Ok(())
}

/// How many tokens a mask column keeps; `bits` has the column afterwards.
fn kept_by(batch: &rho_formats::MaskBatch, column: &str, bits: &mut Vec<bool>) -> u64 {
    bits.clear();
    batch.mask(column, bits);
    bits.iter().map(|&kept| u64::from(kept)).sum()
}
