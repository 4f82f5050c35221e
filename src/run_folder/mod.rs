//! The folder of a run: opened and locked against other runs, its plan checked against the recorded one, its finished
//! shards found.
//!
//! ```text
//! out/.rho-mask/plan.json              the run's plan
//!               locks/0-of-1           the lock of a rank that is running
//!               shards/NAME.json       the record of a shard: finished, or its progress
//! out/...                              the results; files about all shards are written last
//! ```
//!
//! * `command`: which command writes a folder, and which are refused. `lock`: one run at a time.
//! * `plan`: the recorded plan, and its differences from the current one. `records`: JSON records.
//! * `own_folder`: the folders of `train` and `experiment`, which are not datasets of masks.
//! * `shards`: the finished shards and their records, written by several `threads`.
//!
//! This module does not depend on the commands: they pass in what they write and what a restart removes.

mod command;
pub(crate) mod lock;
#[cfg(feature = "train")]
pub(crate) mod own_folder;
pub(crate) mod plan;
pub(crate) mod records;
pub(crate) mod shards;
mod threads;

use std::path::Path;

use rho_files::Lock;
use rho_formats::{MasksFolder, same_files};

pub(crate) use command::Command;
pub(crate) use plan::{RecordedPlan, RecordedShard};
pub(crate) use shards::{ShardRecord, Shards};
pub(crate) use threads::on_threads;

use crate::{groups::Group, hinted_error::HintedError};

/// How a run opens its folder.
pub(crate) struct Opening<'a> {
    pub(crate) path: &'a Path,
    pub(crate) command: Command,
    /// The plan. A resumed run must have the same.
    pub(crate) plan: RecordedPlan,
    /// Whether to remove what earlier runs wrote.
    pub(crate) restart: bool,
    /// Rank and world size, if several runs share the shards.
    pub(crate) rank: Option<(usize, usize)>,
}

/// How a run over shards ended.
pub(crate) enum Ended<S> {
    /// All shards are done: their summary, and whether this run had anything to do.
    Done(S, bool),
    /// The run was stopped.
    Stopped { done: usize, of: usize },
}

/// The lock that is held while the plan of a shared folder is recorded.
pub(crate) const STARTING: &str = "start";

/// A folder in which no other run writes the same shards.
pub(crate) struct RunFolder {
    pub(crate) files: MasksFolder,
    /// The plan as it was first recorded.
    pub(crate) plan: RecordedPlan,
    _lock: Lock,
}

impl RunFolder {
    /// Creates or opens a folder. Refuses a folder that another run writes to, one of another command, and one with
    /// another plan. `clear` removes the output files with these names, then the records.
    pub(crate) fn open(
        opening: &Opening<'_>,
        clear: impl FnOnce(&MasksFolder, &[&str]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let Opening {
            path,
            command,
            plan: wanted,
            restart,
            rank,
        } = opening;
        let names = wanted.shards.iter().map(|shard| shard.name.as_str());
        if let Some((first, second)) = same_files(names) {
            return Err(HintedError::error(
                format!("{first} and {second}: expected shards whose masks get different names"),
                "rename one of them",
            ));
        }
        let mut files = MasksFolder::begin(*path)?;
        let (own, of) = rank.unwrap_or((0, 1));
        let lock = lock::take_rank(&files, own, of)?;
        let recorded = match RecordedPlan::read(&files) {
            Err(_) if *restart => None,
            recorded => recorded?,
        };
        if let Some(recorded) = &recorded {
            command.must_own(recorded.command(), path)?;
        }
        if command.writes_a_dataset() {
            files = MasksFolder::create(*path)?;
        }
        if *restart {
            // A damaged plan names nothing.
            let recorded = recorded.iter().flat_map(RecordedPlan::groups);
            let mut groups: Vec<Group> = recorded.flatten().collect();
            groups.extend(wanted.groups()?);
            let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            clear(&files, &names)?;
        }
        let _starting = rank.map(|_| files.lock(STARTING)).transpose()?;
        // Read again: another rank may have recorded it in the meantime.
        let plan = match RecordedPlan::read(&files)? {
            Some(recorded) => {
                recorded.must_equal(wanted, path)?;
                recorded
            }
            None => {
                wanted.write(&files)?;
                wanted.clone()
            }
        };
        Ok(Self {
            files,
            plan,
            _lock: lock,
        })
    }
}

#[cfg(test)]
mod tests;
