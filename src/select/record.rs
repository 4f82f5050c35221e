//! The record of a finished shard of `select`.

use rho_formats::{MaskFile, MasksFolder, OutputError};
use serde::{Deserialize, Serialize};

use crate::{run_folder::ShardRecord, selections::counts::Counts};

/// The record of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its mask files.
    pub(super) files: Vec<MaskFile>,
    pub(super) counts: Counts,
    /// The documents that were dropped.
    #[serde(flatten)]
    pub(super) dropped: DroppedBy,
}

/// The documents that were dropped, by the first reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DroppedBy {
    /// By the filter.
    #[serde(rename = "dropped", default)]
    pub(super) filter: Dropped,
    /// They came before.
    #[serde(default)]
    pub(super) duplicates: Dropped,
    /// They were not selected.
    #[serde(default)]
    pub(super) unselected: Dropped,
}

/// Documents that are dropped, and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub(super) documents: u64,
    pub(super) tokens: u64,
}

impl Dropped {
    pub(super) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
    }
}

impl DroppedBy {
    pub(super) fn add(&mut self, other: &Self) {
        self.filter.add(other.filter);
        self.duplicates.add(other.duplicates);
        self.unselected.add(other.unselected);
    }

    /// All of them.
    pub(super) fn all(&self) -> Dropped {
        let mut all = self.filter;
        all.add(self.duplicates);
        all.add(self.unselected);
        all
    }
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
        format!("{shard}: its masks are missing; they are selected again")
    }
}
