//! Finds what several folders have: shards of the same name, and documents with the same tokens.
//!
//! Documents are compared by their token hash. If there are more than fit in memory, the folders are read several times,
//! each time for a part of the hashes.

use std::collections::HashSet;

use rho_formats::MaskColumns;

use crate::{cli::OnDuplicate, hinted_error::HintedError, masks::finished::Input, stop::Stop};

/// Hashes in memory at a time.
const HASHES: u64 = 1 << 24;
/// Most names in an error.
const SHOWN: usize = 5;

/// The documents of one folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) shards: u64,
    pub(super) documents: u64,
    pub(super) tokens: u64,
    /// Documents that an earlier folder has too: dropped.
    pub(super) dropped: u64,
    /// The names of the shards that an earlier folder has too; all their documents are dropped.
    pub(super) dropped_shards: Vec<String>,
    /// For each file, whether each document is kept; none if all are.
    pub(super) kept: Vec<Option<Vec<bool>>>,
}

/// Finds the duplicates; none if the run is stopped.
///
/// # Errors
/// If there are any and they are not to be dropped, or a file cannot be read.
pub(super) fn find(
    inputs: &[Input],
    on_duplicate: OnDuplicate,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<Part>>> {
    let mut parts = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    let mut documents = 0;
    for input in inputs {
        let Some((part, own)) = shards(input, &names, stop)? else {
            return Ok(None);
        };
        if let (OnDuplicate::Error, Some(_)) = (on_duplicate, part.dropped_shards.first()) {
            return Err(same_shards(input, &part.dropped_shards));
        }
        documents += part.documents + part.dropped;
        names.extend(own);
        parts.push(part);
    }
    let passes = documents.div_ceil(HASHES).max(1);
    for pass in 0..passes {
        let mut earlier: HashSet<i64> = HashSet::new();
        for (i, (input, part)) in inputs.iter().zip(&mut parts).enumerate() {
            let mut own = Vec::new();
            for file in 0..input.files.len() {
                let mut at = 0;
                let mut columns = MaskColumns::open(&input.path(file))?;
                while let Some(batch) = columns.next_checked_of(&["shard"])? {
                    if stop.requested() {
                        return Ok(None);
                    }
                    for (row, tokens) in batch.documents().enumerate() {
                        let (hash, number) = batch.token_hash_and_row(row);
                        let kept = part.keeps(file, at + row);
                        if hash.cast_unsigned() % passes != pass || !kept {
                            continue;
                        }
                        if i > 0 && earlier.contains(&hash) {
                            if on_duplicate == OnDuplicate::Error {
                                return Err(same_document(inputs, i, batch.shard(row), number));
                            }
                            part.drop(file, at + row, tokens.len() as u64);
                        } else {
                            own.push(hash);
                        }
                    }
                    at += batch.rows();
                }
            }
            earlier.extend(own);
        }
    }
    Ok(Some(parts))
}

impl Part {
    /// Whether a document is kept, as far as is known.
    fn keeps(&self, file: usize, row: usize) -> bool {
        let kept = self.kept[file].as_ref().and_then(|kept| kept.get(row));
        kept.copied().unwrap_or(true)
    }

    fn drop(&mut self, file: usize, row: usize, tokens: u64) {
        let kept = self.kept[file].get_or_insert_default();
        if kept.len() <= row {
            // Rows that were not looked at yet are kept.
            kept.resize(row + 1, true);
        }
        kept[row] = false;
        self.dropped += 1;
        self.documents -= 1;
        self.tokens -= tokens;
    }
}

/// The documents of a folder and the names of its shards; those of `names` are dropped.
fn shards(
    input: &Input,
    names: &HashSet<String>,
    stop: &Stop,
) -> anyhow::Result<Option<(Part, HashSet<String>)>> {
    let mut part = Part::default();
    let mut own: HashSet<String> = HashSet::new();
    let mut dropped: HashSet<String> = HashSet::new();
    for file in 0..input.files.len() {
        let mut kept: Vec<bool> = Vec::new();
        let mut columns = MaskColumns::open(&input.path(file))?;
        while let Some(batch) = columns.next_of(&["shard", "input_ids"])? {
            if stop.requested() {
                return Ok(None);
            }
            for (row, tokens) in batch.documents().enumerate() {
                let shard = batch.shard(row);
                let is_new = !names.contains(shard);
                kept.push(is_new);
                let seen = if is_new { &mut own } else { &mut dropped };
                if !seen.contains(shard) {
                    seen.insert(shard.to_owned());
                    if !is_new {
                        part.dropped_shards.push(shard.to_owned());
                    }
                }
                if is_new {
                    part.documents += 1;
                    part.tokens += tokens.len() as u64;
                } else {
                    part.dropped += 1;
                }
            }
        }
        let all = kept.iter().all(|&kept| kept);
        part.kept.push((!all).then_some(kept));
    }
    part.shards = own.len() as u64;
    Ok(Some((part, own)))
}

fn same_shards(input: &Input, names: &[String]) -> anyhow::Error {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    HintedError::error(
        format!(
            "{}: expected other shards than those of the folders before it, got {}{more} again",
            input.folder.display(),
            shown.join(", ")
        ),
        "keep those of the first folder with --on-duplicate first, or score one part under another name",
    )
}

fn same_document(inputs: &[Input], i: usize, shard: &str, row: i64) -> anyhow::Error {
    HintedError::error(
        format!(
            "{}: expected other documents than those of the folders before it, got the tokens of one again: {shard} row {row}",
            inputs[i].folder.display()
        ),
        "keep the first of each with --on-duplicate first; `rho-mask diff --join tokens` lists how many there are",
    )
}
