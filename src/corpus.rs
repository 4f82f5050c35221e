//! Takes the corpus as named on the command line, yields its shards, and prints what its folders hold besides. Cuts it
//! after its first documents on request.

use std::path::PathBuf;

use rho_formats::{Location, ReadOptions, Record, Shard, ShardError, ShardReader};

use crate::{hinted_error::HintedError, hub, shards, terminal};

/// Finds the shards. What is left out is printed once per process, because some commands look several times.
///
/// # Errors
/// If the arguments name no corpus, or the Hub cannot be asked for it.
pub(crate) fn find(arguments: &[PathBuf]) -> anyhow::Result<Vec<Shard>> {
    let found = hub::find_shards(arguments)?;
    if let Some(first) = found.ignored.first() {
        let count = found.ignored.len();
        terminal::once(&format!(
            "note: skipping {count} files of unknown type, such as {}",
            first.display()
        ));
    }
    if found.passed_over.count() > 0 {
        terminal::once(&format!(
            "note: passed over in the corpus: {}; to read one of them, name it",
            found.passed_over
        ));
    }
    Ok(found.shards)
}

/// The shards with the first `limit` documents, the last of them cut. Counts the documents of all shards but the last,
/// so that the cut does not depend on ranks or on where a run resumes; nothing is read if there is only one shard.
///
/// # Errors
/// If standard input would have to be counted, or a remote shard cannot be read.
pub(crate) fn first(
    mut shards: Vec<Shard>,
    limit: u64,
    read: &ReadOptions,
) -> anyhow::Result<Vec<Shard>> {
    let runtime = shards::runtime()?;
    let mut left = limit;
    let last = shards.len().saturating_sub(1);
    for i in 0..shards.len() {
        shards[i].documents = Some(left);
        if i == last {
            break;
        }
        if shards[i].place == Location::StandardInput {
            return Err(HintedError::error(
                "--limit: expected standard input as the last part of the corpus, got others after it",
                "standard input can be read only once: name - last, or omit --limit",
            ));
        }
        let counted = runtime.block_on(count(&shards[i], read))?;
        if counted == left {
            shards.truncate(i + 1);
            break;
        }
        shards[i].documents = None;
        left -= counted;
    }
    Ok(shards)
}

/// The documents of a shard, up to its bound. A damaged shard counts as far as it can be read. A server that does not
/// answer is an error: the next start might count more.
async fn count(shard: &Shard, read: &ReadOptions) -> Result<u64, ShardError> {
    let may_pass = |error: &ShardError| {
        matches!(shard.place, Location::Remote(_))
            && matches!(error, ShardError::Open { .. } | ShardError::Read { .. })
    };
    let mut documents = 0;
    let mut reader = match ShardReader::open(shard, read).await {
        Ok(reader) => reader,
        Err(error) if may_pass(&error) => return Err(error),
        Err(_) => return Ok(0),
    };
    loop {
        match reader.next().await {
            Ok(Some(record)) => documents += u64::from(matches!(record, Record::Document(_))),
            Ok(None) => return Ok(documents),
            Err(error) if may_pass(&error) => return Err(error),
            Err(_) => return Ok(documents),
        }
    }
}
