//! Opens the shards of a corpus for all commands, and reports what reading one costs beyond the usual.

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
