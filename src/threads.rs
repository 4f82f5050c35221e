//! The number of threads of a command.

use crate::{cli::ThreadsArgs, hinted_error::HintedError};

/// The value of `--threads`, or one thread per core.
///
/// # Errors
///
/// `--threads 0`.
pub(crate) fn count(args: ThreadsArgs) -> anyhow::Result<usize> {
    match args.threads {
        Some(0) => Err(HintedError::error(
            "--threads: expected at least 1, got 0",
            "omit it for the default",
        )),
        Some(threads) => Ok(threads),
        None => Ok(cores()),
    }
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
