//! What is known of a shard that was converted. A shard has a record only when its files are complete.

use std::{fs, io};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use serde::{Deserialize, Serialize};

use super::targets::Written;
use crate::pipeline::noted::damaged;

/// The folder of the records, among the notes.
const SHARDS: &str = "shards";

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

impl Record {
    /// The record of a shard; none where it is not done.
    pub(super) fn read(folder: &MasksFolder, stem: &str) -> anyhow::Result<Option<Self>> {
        let note = note(stem);
        let Some(bytes) = folder.noted(&note)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(source) => Err(damaged(folder, &note, source)),
        }
    }

    /// The stems of all shards that have a record.
    pub(super) fn all(folder: &MasksFolder) -> anyhow::Result<Vec<String>> {
        let top = folder.note_path(SHARDS);
        let (mut stems, mut folders) = (Vec::new(), vec![top.clone()]);
        while let Some(path) = folders.pop() {
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => {
                    entries.with_context(|| format!("{}: cannot be read", path.display()))?
                }
            };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&top)?.to_string_lossy().into_owned();
                stems.extend(name.strip_suffix(".json").map(str::to_owned));
            }
        }
        Ok(stems)
    }

    pub(super) fn write(&self, folder: &MasksFolder, stem: &str) -> anyhow::Result<()> {
        Ok(folder.note(&note(stem), &serde_json::to_vec(self)?)?)
    }
}

fn note(stem: &str) -> String {
    format!("{SHARDS}/{stem}.json")
}
