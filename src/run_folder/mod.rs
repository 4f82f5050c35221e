//! Takes the name of a folder and what a run must have in common with the one that started it, yields a folder that is
//! locked against other runs, and the shards that are done in it.
//!
//! ```text
//! out/.rho-mask/plan.json              the plan it was started with
//!               locks/0-of-1           who writes to it
//!               shards/NAME.json       a shard that is done, or how far it is
//! out/...                              the results; what speaks of all shards comes last
//! ```
//!
//! * `command`: whose folder it is, and who may not write to it. `lock`: one run at a time.
//! * `plan`: what a folder was started with, and what differs from it now. `notes`: read and written.
//! * `owner`: the folders of `train` and `experiment`, which are no datasets of masks.
//! * `shards`: what is done of them, on several `threads`.
//!
//! It knows none of the commands: what they write, and what they remove before they start over, they say themselves.

mod command;
pub(crate) mod lock;
pub(crate) mod notes;
#[cfg(feature = "train")]
pub(crate) mod owner;
pub(crate) mod plan;
pub(crate) mod shards;
mod threads;

use std::path::Path;

use rho_files::Lock;
use rho_formats::MasksFolder;

pub(crate) use command::Command;
pub(crate) use plan::{RecordedPlan, RecordedShard};
pub(crate) use shards::{ShardRecord, Shards};
pub(crate) use threads::on_threads;

/// What a run wants of its folder.
pub(crate) struct Opening<'a> {
    pub(crate) path: &'a Path,
    pub(crate) command: Command,
    /// What must be the same for a run to be resumed.
    pub(crate) plan: RecordedPlan,
    /// Whether to remove what earlier runs wrote.
    pub(crate) restart: bool,
    /// Its rank and how many there are, where several runs share out the shards.
    pub(crate) rank: Option<(usize, usize)>,
}

/// The lock under which the plan of a folder is recorded that several runs share.
pub(crate) const STARTING: &str = "start";

/// A folder that no other run writes to, or none that writes the same shards.
pub(crate) struct RunFolder {
    pub(crate) files: MasksFolder,
    /// As it was recorded first.
    pub(crate) plan: RecordedPlan,
    _lock: Lock,
}

impl RunFolder {
    /// Creates or opens a folder. Refuses one that another run writes to, one of another command, and one that was
    /// started with something else. `clear` removes what was written of the shards with these names, and the notes last.
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
            let recorded = recorded.iter().flat_map(|recorded| &recorded.shards);
            let shards = recorded.chain(&wanted.shards);
            let names: Vec<&str> = shards.map(|shard| shard.name.as_str()).collect();
            clear(&files, &names)?;
        }
        let _starting = rank.map(|_| files.lock(STARTING)).transpose()?;
        // Read once more: another rank may have recorded it by now.
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
