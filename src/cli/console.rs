//! The options of all commands: messages, and a file with options.

use std::path::PathBuf;

use clap::Args;

/// Messages, and options from a file.
#[derive(Debug, Clone, Default, Args)]
pub struct ConsoleArgs {
    /// Print only errors: no messages and no progress.
    #[arg(long, short, global = true, help_heading = "All commands")]
    pub quiet: bool,

    /// Append every message, with the time, to this file, also with --quiet and with --progress none.
    ///
    /// The file holds at most 64 MiB; what comes after that is not logged.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "All commands"
    )]
    pub log_file: Option<PathBuf>,

    /// Read options of the command from a TOML file; the command line takes precedence.
    ///
    /// A key is the long name of an option, or the name of a positional argument in small letters: `keep = 0.6`,
    /// `model = ["a/", "b/"]`, `keep-text = true`, `corpus = "data/"`. Paths are relative to the current folder. The
    /// file takes precedence over environment variables.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "All commands"
    )]
    pub config: Option<PathBuf>,
}
