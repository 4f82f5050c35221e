//! What is recorded of a shard that was converted.

use rho_formats::{MaskFile, MasksFolder, OutputError, trainers::NewFiles};
use serde::{Deserialize, Serialize};

use super::targets::Written;
use crate::run_folder::ShardRecord;

/// The record of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) written: Written,
    pub(super) counts: Counts,
}

/// What was counted in a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// In the masks.
    pub(super) documents: u64,
    /// Of them without tokens.
    pub(super) empty: u64,
    /// In the masks.
    pub(super) tokens: u64,
    /// Tokens that are targets.
    pub(super) targets: u64,
    /// Documents that an end-of-sequence token was put to.
    pub(super) ended: u64,
}

impl Counts {
    /// Adds another shard's.
    pub(super) fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.empty += other.empty;
        self.tokens += other.tokens;
        self.targets += other.targets;
        self.ended += other.ended;
    }
}

impl ShardRecord for Record {
    const NOTES: &'static str = "shards";

    fn files(&self) -> &[MaskFile] {
        &self.written.files
    }

    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError> {
        NewFiles::of(folder).publish(file)
    }

    fn missing(shard: &str, file: &MaskFile) -> String {
        let name = &file.name;
        format!("{name}: is not there any more; {shard} is converted anew")
    }
}
