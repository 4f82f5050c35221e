//! Describes one shard: turns the losses of its tokens under all checkpoints into lines, categories and counts, and
//! writes its file under a temporary name.

use rho_formats::{
    ListsCopy, MaskFile, MasksFolder, NewLists, OutputError, mask_file_name, mask_file_name_in,
};
use rho_selection::{Marker, Seen};
use serde::{Deserialize, Serialize};

use super::{
    counts::{Counts, Fluctuating},
    cuts::Cuts,
    line::{Line, Places},
    losses::{Batch, Folders},
    plan::{DynamicsPlan, REFERENCE_LOSS},
};
use crate::{run_folder::ShardRecord, stop::Stop};

/// Number columns that are not losses, in order.
const NUMBERS: [&str; 5] = ["slope", "l_start", "l_end", "change", "variance"];
/// The category column.
pub(crate) const CATEGORY: &str = "category";

/// Tokens shown before and after a fluctuating token.
const BEFORE: usize = 24;
const AFTER: usize = 8;

/// The record of a finished shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) file: MaskFile,
    pub(super) counts: Counts,
    /// For each checkpoint, the tokens of this shard at the boundaries of its selection; later shards continue from
    /// there.
    seen: Vec<(u64, u64)>,
}

impl ShardRecord for Record {
    const NOTES: &'static str = "dynamics";

    fn files(&self) -> &[MaskFile] {
        std::slice::from_ref(&self.file)
    }

    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError> {
        folder.publish_copy(file)
    }

    fn missing(shard: &str, _: &MaskFile) -> String {
        format!("{shard}: its file is missing; it is written again")
    }
}

impl Record {
    /// Adds the boundary tokens of this shard.
    pub(super) fn add_seen(&self, seen: &mut [Seen]) {
        for (sum, (floor, ceiling)) in seen.iter_mut().zip(&self.seen) {
            sum.floor += floor;
            sum.ceiling += ceiling;
        }
    }
}

/// The columns of the files.
pub(super) fn columns(plan: &DynamicsPlan) -> NewLists {
    let mut numbers = plan.losses();
    numbers.extend(plan.reference.as_ref().map(|_| REFERENCE_LOSS.to_owned()));
    numbers.extend(NUMBERS.map(str::to_owned));
    NewLists {
        numbers,
        codes: vec![CATEGORY.to_owned()],
        metadata: serde_json::json!(plan.metadata()),
    }
}

/// What describing a shard needs.
pub(super) struct Describing<'a> {
    pub(super) plan: &'a DynamicsPlan,
    pub(super) folders: &'a Folders,
    pub(super) cuts: &'a Cuts,
    pub(super) places: Places,
    pub(super) folder: &'a MasksFolder,
    pub(super) columns: NewLists,
}

impl Describing<'_> {
    /// Describes a shard. `before` counts the boundary tokens of the shards before it. None if the run was asked to
    /// stop.
    pub(super) fn shard(
        &self,
        shard: &str,
        before: &[Seen],
        stop: &Stop,
    ) -> anyhow::Result<Option<Record>> {
        let plan = self.plan;
        let mut files = self.folders.open(shard, true)?;
        let name = mask_file_name_in(&mask_file_name(shard), plan.format);
        let mut copy = ListsCopy::create(
            self.folder,
            &name,
            files.first(),
            plan.format,
            &self.columns,
        )?;
        let selecting = plan.reference.is_some();
        let mut counts = Counts::new(plan.checkpoints.len(), selecting, plan.top);
        let mut seen = vec![Seen::default(); self.cuts.selected.len()];
        let pairs = self.cuts.selected.iter().zip(before);
        let mut markers: Vec<Marker> = pairs.map(|(cut, before)| cut.marker(*before)).collect();
        while let Some(batch) = files.next()? {
            if stop.requested() {
                return Ok(None);
            }
            let mut kept = Vec::with_capacity(markers.len());
            for (checkpoint, marker) in markers.iter_mut().enumerate() {
                let keys = batch.keys(checkpoint);
                let mut of_batch = Vec::with_capacity(keys.len());
                marker.mark(&keys, &mut of_batch);
                self.cuts.selected[checkpoint].see(&keys, &mut seen[checkpoint]);
                kept.push(of_batch);
            }
            let described = self.batch(&batch, &kept, &mut counts);
            copy.write(&batch.first, &described.numbers, &[described.categories])?;
        }
        Ok(Some(Record {
            file: copy.finish()?,
            counts,
            seen: seen.iter().map(|s| (s.floor, s.ceiling)).collect(),
        }))
    }

    fn batch(&self, batch: &Batch, kept: &[Vec<bool>], counts: &mut Counts) -> Described {
        let tokens = batch.tokens();
        let mut described = Described {
            numbers: vec![Vec::with_capacity(tokens); NUMBERS.len()],
            categories: Vec::with_capacity(tokens),
        };
        let threshold = self.plan.threshold;
        let last_mean = self.cuts.means.last().copied().unwrap_or_default();
        let mut losses = Vec::with_capacity(batch.losses.len());
        for (row, document) in batch.first.documents().enumerate() {
            counts.documents += 1;
            counts.tokens += document.len() as u64;
            for i in document.clone() {
                losses.clear();
                losses.extend(batch.losses.iter().map(|losses| f64::from(losses[i])));
                let Some(line) = self.places.line(&losses) else {
                    described.none();
                    continue;
                };
                let last = losses.last().copied().unwrap_or_default();
                let category = line.category(threshold, last, last_mean);
                described.token(&line, category);
                counts.token(category, &losses);
                for (kept, selected) in kept.iter().zip(&mut counts.selected) {
                    if kept[i] {
                        selected.token(&losses);
                    }
                }
                let offered = || fluctuating(batch, (row, &document, i), &line, category);
                counts.fluctuating.offer(line.variance, offered);
            }
        }
        let mut numbers = batch.losses.clone();
        numbers.extend(batch.reference.clone());
        numbers.append(&mut described.numbers);
        Described {
            numbers,
            ..described
        }
    }
}

/// The columns of a record batch.
struct Described {
    numbers: Vec<Vec<f32>>,
    categories: Vec<Option<u8>>,
}

impl Described {
    fn token(&mut self, line: &Line, category: u8) {
        let Line {
            slope,
            start,
            end,
            variance,
        } = *line;
        let numbers = [slope, start, end, line.change(), variance];
        for (column, number) in self.numbers.iter_mut().zip(numbers) {
            column.push(number as f32);
        }
        self.categories.push(Some(category));
    }

    fn none(&mut self) {
        for column in &mut self.numbers {
            column.push(f32::NAN);
        }
        self.categories.push(None);
    }
}

/// A token with the tokens around it.
fn fluctuating(
    batch: &Batch,
    (row, document, i): (usize, &std::ops::Range<usize>, usize),
    line: &Line,
    category: u8,
) -> Fluctuating {
    let ids = batch.first.input_ids();
    // No id is negative: that was checked when the batch was read.
    let ids = |range: std::ops::Range<usize>| -> Vec<u32> {
        ids[range].iter().map(|id| id.cast_unsigned()).collect()
    };
    Fluctuating {
        document: batch.first.id(row).to_owned(),
        shard: batch.first.shard(row).to_owned(),
        row: batch.first.token_hash_and_row(row).1,
        token: i - document.start,
        before: ids(i.saturating_sub(BEFORE).max(document.start)..i),
        id: ids(i..i + 1)[0],
        after: ids(i + 1..(i + 1 + AFTER).min(document.end)),
        category,
        variance: line.variance,
        slope: line.slope,
        start: line.start,
        end: line.end,
        losses: batch.losses.iter().map(|losses| losses[i]).collect(),
    }
}
