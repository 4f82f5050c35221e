//! The record of a converted shard.

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

/// The counts of a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Documents in the masks.
    pub(super) documents: u64,
    /// Documents without tokens.
    pub(super) empty: u64,
    /// Tokens in the masks.
    pub(super) tokens: u64,
    /// Target tokens.
    pub(super) targets: u64,
    /// Documents that an end-of-sequence token was added to.
    pub(super) ended: u64,
}

impl Counts {
    /// Adds the counts of another shard.
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
        format!("{name}: is missing; {shard} is converted again")
    }
}
