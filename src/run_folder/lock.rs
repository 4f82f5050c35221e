//! The locks that let only one run at a time write a shard.

use rho_files::Lock;
use rho_formats::MasksFolder;

use crate::hinted_error::HintedError;

/// Takes the lock of a rank. Refuses if another run writes the same shards.
pub(crate) fn take_rank(
    folder: &MasksFolder,
    rank: usize,
    world_size: usize,
) -> anyhow::Result<Lock> {
    let own = format!("{rank}-of-{world_size}");
    let refuse = |who: &str| {
        HintedError::error(
            format!(
                "{}: another run is writing to it (rank {who})",
                folder.path().display()
            ),
            "wait for it to end, or name another folder",
        )
    };
    let Some(held) = folder.try_lock(&own)? else {
        return Err(refuse(&own.replace('-', " ")));
    };
    // Runs with another world size may write some of the same shards.
    let same = format!("-of-{world_size}");
    for name in folder.record_names("locks")? {
        if name.contains("-of-") && !name.ends_with(&same) && folder.try_lock(&name)?.is_none() {
            return Err(refuse(&name.replace('-', " ")));
        }
    }
    Ok(held)
}
