//! The plan that is recorded in a run's folder: every setting that changes a byte of its files, and the shards. A
//! resumed run must have the same plan.

use std::{collections::HashSet, path::Path};

use rho_files::InsidePath;
use rho_formats::{MasksFolder, OutputError, Shard, mask_file_stem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Command,
    differences::{Difference, differences},
    records,
};
use crate::{
    groups::{self, Gathered, Group},
    hinted_error::HintedError,
};

const NOTE: &str = "plan.json";
/// Most differences that an error names.
const SHOWN: usize = 5;
/// The hint for any other plan, and for one that only selects other tokens.
const REPEAT: &str =
    "repeat the same command to resume, name another folder, or start over with --restart";
const SELECTS: &str = "`rho-mask select` with the new options does this without scoring, from the scores in this folder";

/// The plan of a run, as it is recorded in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordedPlan {
    /// The shards that share an output file. Older plans have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gathered: Vec<Gathered>,
    /// The settings that change the files.
    #[serde(rename = "plan")]
    pub(crate) settings: Value,
    /// The shards of the corpus, or the input files.
    pub(crate) shards: Vec<RecordedShard>,
}

/// A shard at the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecordedShard {
    pub(crate) bytes: u64,
    pub(crate) name: InsidePath,
}

impl RecordedShard {
    /// # Errors
    /// If the shard's name cannot name files in the folder of a run.
    pub(crate) fn of(shard: &Shard) -> Result<Self, OutputError> {
        Ok(Self {
            name: InsidePath::new(&*shard.name)?,
            bytes: shard.bytes,
        })
    }

    /// Those of a corpus.
    pub(crate) fn all(shards: &[Shard]) -> Result<Vec<Self>, OutputError> {
        shards.iter().map(Self::of).collect()
    }
}

impl RecordedPlan {
    /// The plan of a run over a corpus, whose small shards share output files.
    ///
    /// # Errors
    /// If a shard's name cannot name files in the folder of a run.
    pub(crate) fn of_corpus(settings: Value, shards: &[Shard]) -> Result<Self, OutputError> {
        Ok(Self {
            settings,
            shards: RecordedShard::all(shards)?,
            gathered: groups::gather(shards),
        })
    }

    /// The plan of a run that writes a file for each input.
    pub(crate) fn of_files(settings: Value, files: Vec<RecordedShard>) -> Self {
        Self {
            settings,
            shards: files,
            gathered: Vec::new(),
        }
    }

    /// The groups of the shards, each with an output file.
    ///
    /// # Errors
    /// If the record is damaged.
    pub(crate) fn groups(&self) -> anyhow::Result<Vec<Group>> {
        let names = self.shards.iter().map(|shard| shard.name.as_str());
        groups::of(names, &self.gathered).ok_or_else(|| {
            HintedError::error(
                format!(
                    "{NOTE}: expected groups of the {} recorded shards, got others",
                    self.shards.len()
                ),
                "start over with --restart",
            )
        })
    }

    /// Reads the plan of a folder; none if no run was started there.
    pub(crate) fn read(folder: &MasksFolder) -> anyhow::Result<Option<Self>> {
        records::read(folder, NOTE)
    }

    /// The command that writes the folder.
    pub(crate) fn command(&self) -> Command {
        Command::of(&self.settings)
    }

    pub(crate) fn write(&self, folder: &MasksFolder) -> anyhow::Result<()> {
        // Not as a tree of values, which takes a kilobyte per shard.
        records::write_readable(folder, NOTE, self)
    }

    /// Refuses a different plan and names the differences. The sizes of the shards may differ.
    pub(crate) fn must_equal(&self, wanted: &Self, out: &Path) -> anyhow::Result<()> {
        let command = wanted.command();
        let differences = differences(command.name(), &self.settings, &wanted.settings);
        let scores = [self.command(), command] == [Command::Score; 2];
        let only_selects = scores && differences.iter().all(|difference| difference.selects);
        let mut told: Vec<String> = differences.iter().map(Difference::to_string).collect();
        let names = |plan: &Self| -> Vec<String> {
            let names = plan.shards.iter().map(|shard| shard.name.as_str());
            // The names of mask files say their format, which is a setting of its own.
            let name = |name: &str| match command.copies_masks() {
                true => mask_file_stem(name).unwrap_or(name).to_owned(),
                false => name.to_owned(),
            };
            names.map(name).collect()
        };
        let (before, now) = (names(self), names(wanted));
        let same_shards = before == now;
        if !same_shards {
            let [known, wanted]: [HashSet<&String>; 2] =
                [&before, &now].map(|names| names.iter().collect());
            let missing = before.iter().find(|name| !wanted.contains(name));
            let new = now.iter().find(|name| !known.contains(name));
            let example = match (missing, new) {
                (Some(name), _) => format!("{name} is missing now"),
                (None, Some(name)) => format!("{name} is new"),
                (None, None) => "another order".to_owned(),
            };
            let (before, now) = (before.len(), now.len());
            told.push(format!("shards: {before} before, {now} now ({example})"));
        }
        let hint = match only_selects && same_shards {
            true if out.join("summary.json").exists() => SELECTS.to_owned(),
            true => format!("finish the run with the same command first; then {SELECTS}"),
            false => REPEAT.to_owned(),
        };
        refuse(&told, "the masks in it", out, hint)
    }
}

/// Refuses a plan of `train` that differs from the one that a run in a folder was started with.
#[cfg(feature = "train")]
pub(crate) fn must_equal(before: &Value, now: &Value, out: &Path) -> anyhow::Result<()> {
    let differences = differences("train", before, now);
    let told: Vec<String> = differences.iter().map(Difference::to_string).collect();
    refuse(&told, "the run in it", out, REPEAT.to_owned())
}

/// Names the first few differences, if there are any.
fn refuse(differences: &[String], what: &str, out: &Path, hint: String) -> anyhow::Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(SHOWN);
    let mut shown = differences[..differences.len() - more].to_vec();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    Err(HintedError::error(
        format!(
            "{}: expected the plan of {what}, got another plan: {}",
            out.display(),
            shown.join("; ")
        ),
        hint,
    ))
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_the_first_few() {
        let out = Path::new("out");
        let plan = |value: u64| json!([1, value, value, value, value, value, value, value]);
        must_equal(&plan(1), &plan(1), out).unwrap();
        let error = must_equal(&plan(1), &plan(2), out).unwrap_err().to_string();
        let said =
            "out: expected the plan of the run in it, got another plan: [1]: 1 before, 2 now; ";
        assert!(error.starts_with(said), "{error}");
        assert!(
            error.ends_with("[5]: 1 before, 2 now; and 2 more"),
            "{error}"
        );
    }
}
