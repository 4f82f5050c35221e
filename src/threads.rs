//! The number of threads of a command.

#[cfg(feature = "train")]
use anyhow::Context as _;

use crate::{cli::ThreadsArgs, hinted_error::HintedError};

/// Most threads. Each takes memory before it has any work.
const MOST: usize = 4096;

/// The value of `--threads`, or one thread per core.
///
/// # Errors
///
/// `--threads` out of range.
pub(crate) fn count(args: ThreadsArgs) -> anyhow::Result<usize> {
    match args.threads {
        Some(0) => Err(HintedError::error(
            "--threads: expected at least 1, got 0",
            "omit it for the default",
        )),
        Some(threads) if threads > MOST => Err(HintedError::error(
            format!("--threads: expected at most {MOST}, got {threads}"),
            "more threads than cores are of no use",
        )),
        Some(threads) => Ok(threads),
        None => Ok(cores()),
    }
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts the global thread pool that the trainer computes in. It is created only once per process: a later run finds
/// it.
#[cfg(feature = "train")]
pub(crate) fn common_pool(threads: usize) -> anyhow::Result<()> {
    static STARTED: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    if STARTED.get() == Some(&threads) {
        return Ok(());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    pool.context("cannot start the threads that compute")?;
    STARTED.get_or_init(|| threads);
    Ok(())
}
