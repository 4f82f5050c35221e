//! Copies one file with new metadata, without the documents that an earlier folder has, and counts what it holds.

use rho_formats::{MaskColumns, MaskCopy, MaskFile, MasksFolder, OutputError, Storage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    duplicates::Duplicates,
    plan::{MergePlan, Merged},
};
use crate::{
    progress::Progress,
    run_folder::ShardRecord,
    selections::{counts::Counts, rule::Rule},
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
    duplicates: &Duplicates,
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
        if let Some(kept) = duplicates.kept(merged.input, merged.file, rows)? {
            if !kept.contains(&true) {
                continue;
            }
            batch = batch.filter(&kept)?;
        }
        counts.add_stored(target.rule, &batch)?;
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
