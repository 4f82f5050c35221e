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
