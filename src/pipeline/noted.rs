//! What a masks folder was begun with: everything of the plan that changes a mask or a byte, and the shards. Who goes on
//! with the folder must want the same.

use std::path::Path;

use rho_formats::{MasksFolder, Shard};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{hint::Advised, plan::Plan};

const NOTE: &str = "plan.json";
/// Differences that are named.
const SHOWN: usize = 5;

/// The note in the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// What changes masks.
    pub(crate) plan: Value,
    /// The corpus.
    pub(crate) shards: Vec<NotedShard>,
}

/// A shard as it was when the folder was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NotedShard {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl NotedShard {
    pub(crate) fn of(shard: &Shard) -> Self {
        Self {
            name: shard.name.clone(),
            bytes: shard.bytes,
        }
    }
}

impl Noted {
    pub(crate) fn of(plan: &Plan, shards: Vec<NotedShard>) -> Self {
        Self {
            plan: plan.what_changes_masks(),
            shards,
        }
    }

    /// Reads the note; none where nothing was begun.
    pub(crate) fn read(folder: &MasksFolder) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = folder.noted(NOTE)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&bytes) {
            Ok(noted) => Ok(Some(noted)),
            Err(source) => Err(damaged(folder, NOTE, source)),
        }
    }

    /// Whether it is `select` that writes the folder.
    pub(crate) fn is_of_select(&self) -> bool {
        self.plan["command"] == "select"
    }

    /// Whether it is `convert` that writes the folder.
    pub(crate) fn is_of_convert(&self) -> bool {
        self.plan["command"] == "convert"
    }

    /// Refuses a folder that `convert` writes; one whose note cannot be read is refused or cleared later.
    pub(crate) fn must_not_be_converted(folder: &MasksFolder) -> anyhow::Result<()> {
        match Self::read(folder) {
            Ok(Some(noted)) if noted.is_of_convert() => Err(Advised::error(
                format!(
                    "{}: expected a new folder, or one of masks, got one of `convert`",
                    folder.path().display()
                ),
                "name another folder",
            )),
            _ => Ok(()),
        }
    }

    /// Whether it is `dynamics` that writes the folder.
    pub(crate) fn is_of_dynamics(&self) -> bool {
        self.plan["command"] == "dynamics"
    }

    pub(crate) fn write(&self, folder: &MasksFolder) -> anyhow::Result<()> {
        Ok(folder.note(
            NOTE,
            format!("{:#}\n", serde_json::to_value(self)?).as_bytes(),
        )?)
    }

    /// Refuses another plan or corpus, naming what differs.
    pub(super) fn must_equal(&self, plan: &Plan, shards: &[Shard]) -> anyhow::Result<()> {
        let shards = shards.iter().map(NotedShard::of).collect();
        self.must_be(&Self::of(plan, shards), &plan.out)
    }

    /// Refuses what is not the same but for the sizes of shards, naming what differs.
    pub(crate) fn must_be(&self, wanted: &Self, out: &Path) -> anyhow::Result<()> {
        let mut differences = Vec::new();
        let before: Vec<&str> = self.shards.iter().map(|s| s.name.as_str()).collect();
        let now: Vec<&str> = wanted.shards.iter().map(|s| s.name.as_str()).collect();
        compare("", &self.plan, &wanted.plan, &mut differences);
        if before != now {
            let missing = before.iter().find(|name| !now.contains(name));
            let new = now.iter().find(|name| !before.contains(name));
            let example = match (missing, new) {
                (Some(name), _) => format!("{name} is missing now"),
                (None, Some(name)) => format!("{name} is new"),
                (None, None) => "another order".to_owned(),
            };
            let (before, now) = (before.len(), now.len());
            differences.push(format!("shards: {before} before, {now} now ({example})"));
        }
        if differences.is_empty() {
            return Ok(());
        }
        let more = differences.len().saturating_sub(SHOWN);
        differences.truncate(SHOWN);
        if more > 0 {
            differences.push(format!("and {more} more"));
        }
        Err(Advised::error(
            format!(
                "{}: expected what the masks in it were begun with, got another plan: {}",
                out.display(),
                differences.join("; ")
            ),
            "start the same command to go on, name another folder, or start over with --restart",
        ))
    }
}

/// A note that is not what was written.
pub(crate) fn damaged(
    folder: &MasksFolder,
    note: &str,
    source: serde_json::Error,
) -> anyhow::Error {
    anyhow::Error::from(source).context(Advised::error(
        format!(
            "{}: expected the notes of a run, got something else",
            folder.note_path(note).display()
        ),
        "start over with --restart",
    ))
}

/// What differs between two plans, in words, the first few.
#[cfg(feature = "train")]
pub(crate) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", before, now, &mut differences);
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    differences
}

fn compare(name: &str, before: &Value, now: &Value, differences: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let name = match name {
                    "" => key.clone(),
                    name => format!("{name}.{key}"),
                };
                let value = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                compare(&name, &value(before), &value(now), differences);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (i, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{name}[{i}]"), before, now, differences);
            }
        }
        (before, now) if before != now => {
            differences.push(format!("{name}: {before} before, {now} now"));
        }
        _ => {}
    }
}
