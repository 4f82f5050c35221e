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
    /// The documents and tokens that the filter dropped.
    #[serde(default)]
    pub(super) dropped: Dropped,
}

/// The documents that the filter drops, and their tokens.
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
