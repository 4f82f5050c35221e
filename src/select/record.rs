//! What is known of a shard that was selected from, and what was counted in it. A shard has a record only when its files
//! are complete.

use rho_formats::{MaskFile, MasksFolder};
use serde::{Deserialize, Serialize};

use crate::pipeline::noted::damaged;

/// The record of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its mask files.
    pub(super) files: Vec<MaskFile>,
    pub(super) counts: Counts,
}

/// What was counted in a shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) tokens: u64,
    /// By selection.
    pub(super) selections: Vec<Selected>,
    /// Tokens kept by what two selections have in common, or together.
    pub(super) combined: u64,
}

/// What was counted of one selection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Selected {
    pub(super) scored: u64,
    pub(super) kept: u64,
    /// The first key kept, in the scope where it was lowest and where it was highest; only where tokens before it are
    /// dropped. Keys, for infinities are no JSON.
    pub(super) first: Option<(u32, u32)>,
    /// The last key kept.
    pub(super) last: Option<(u32, u32)>,
    /// The sum of the weights.
    pub(super) weights: f64,
}

impl Selected {
    /// Adds the boundaries of one scope.
    pub(super) fn bounds(&mut self, (first, last): (Option<u32>, Option<u32>)) {
        widen(&mut self.first, first.map(|key| (key, key)));
        widen(&mut self.last, last.map(|key| (key, key)));
    }

    fn add(&mut self, other: &Self) {
        self.scored += other.scored;
        self.kept += other.kept;
        widen(&mut self.first, other.first);
        widen(&mut self.last, other.last);
        self.weights += other.weights;
    }
}

fn widen(range: &mut Option<(u32, u32)>, other: Option<(u32, u32)>) {
    *range = match (*range, other) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    };
}

impl Counts {
    /// Adds another shard's.
    pub(super) fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.combined += other.combined;
        let missing = other.selections.len().max(self.selections.len());
        self.selections.resize(missing, Selected::default());
        for (sum, other) in self.selections.iter_mut().zip(&other.selections) {
            sum.add(other);
        }
    }
}

impl Record {
    /// The record of a shard; none where it is not done.
    pub(super) fn read(folder: &MasksFolder, shard: &str) -> anyhow::Result<Option<Self>> {
        let note = note(shard);
        let Some(bytes) = folder.noted(&note)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(source) => Err(damaged(folder, &note, source)),
        }
    }

    pub(super) fn write(&self, folder: &MasksFolder, shard: &str) -> anyhow::Result<()> {
        Ok(folder.note(&note(shard), &serde_json::to_vec(self)?)?)
    }
}

fn note(shard: &str) -> String {
    format!("shards/{shard}.json")
}
