//! Takes the corpus as named on the command line, yields its shards, and prints what its folders hold besides. Cuts it
//! after its first documents on request.

use std::path::PathBuf;

use anyhow::Context as _;
use rho_formats::{CorpusError, Location, ReadOptions, Record, Shard, ShardReader, find_shards};

use crate::{hinted_error::HintedError, terminal};

/// Finds the shards. What is left out is printed once per process, because some commands look several times.
///
/// # Errors
/// If the arguments name no corpus.
pub(crate) fn find(arguments: &[PathBuf]) -> Result<Vec<Shard>, CorpusError> {
    let found = find_shards(arguments)?;
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
/// If standard input would have to be counted.
pub(crate) fn first(
    mut shards: Vec<Shard>,
    limit: u64,
    read: &ReadOptions,
) -> anyhow::Result<Vec<Shard>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the reader's runtime")?;
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
        let counted = runtime.block_on(count(&shards[i], read));
        if counted == left {
            shards.truncate(i + 1);
            break;
        }
        shards[i].documents = None;
        left -= counted;
    }
    Ok(shards)
}

/// The documents of a shard, up to its bound. A shard that breaks off counts as far as it can be read.
async fn count(shard: &Shard, read: &ReadOptions) -> u64 {
    let Ok(mut reader) = ShardReader::open(shard, read).await else {
        return 0;
    };
    let mut documents = 0;
    while let Ok(Some(record)) = reader.next().await {
        documents += u64::from(matches!(record, Record::Document(_)));
    }
    documents
}
