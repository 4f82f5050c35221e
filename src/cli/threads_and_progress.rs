//! Threads and progress: options that do not change what a command writes.

use clap::Args;

use super::values::ProgressKind;

/// How many threads.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ThreadsArgs {
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N", help_heading = "Speed")]
    pub threads: Option<usize>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ProgressArgs {
    /// How to show progress, on standard error.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Progress"
    )]
    pub progress: ProgressKind,
}
