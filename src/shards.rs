//! Opens the shards of a corpus for all commands, and reports what reading one costs beyond the usual.

use anyhow::Context as _;
use rho_formats::{ReadOptions, Shard, ShardError, ShardReader};

use crate::terminal;

/// Opens a shard.
///
/// # Errors
/// Those of [`ShardReader::open`].
pub(crate) async fn open(shard: &Shard, options: &ReadOptions) -> Result<ShardReader, ShardError> {
    let reader = ShardReader::open(shard, options).await?;
    if let Some(bytes) = reader.large_window() {
        let (name, mebibytes) = (&shard.name, bytes >> 20);
        terminal::once(&format!(
            "note: {name}: its zstd window takes up to {mebibytes} MiB of memory while it is read (zstd --long)"
        ));
    }
    Ok(reader)
}

/// The runtime that reads shards: a thread of its own, so that prefetching continues while the caller works.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the reader's runtime")
}
