//! What is known of a shard that was selected from. A shard has a record only when its files
//! are complete.

use rho_formats::{MaskFile, MasksFolder};
use serde::{Deserialize, Serialize};

use super::counted::Counts;
use crate::pipeline::noted::damaged;

/// The record of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its mask files.
    pub(super) files: Vec<MaskFile>,
    pub(super) counts: Counts,
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
