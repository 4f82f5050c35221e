//! The arguments of `merge`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::MaskFormat,
};

/// What `merge --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Masks of two parts of a corpus, scored on two machines:
      rho-mask merge masks-a/ masks-b/ --out masks/

  Parts that overlap:
      rho-mask merge monday/ tuesday/ --out masks/ --on-duplicate first

The folders must have been written with the same tokenizer, columns and settings; the option that
differs is named. Tokens keep the masks of their own folder: with --scope corpus, each folder was
ranked by itself. `select` ranks all of them together.

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 everything was merged; 2 stopped by an error; 130 interrupted.";

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Finished masks folders, two or more; nothing in them is changed.
    #[arg(value_name = "MASKS", required = true, num_args = 2..)]
    pub masks: Vec<PathBuf>,

    /// Folder to write the merged masks to; it may not contain another one, or be inside it.
    ///
    /// It must be new or empty, or hold an earlier run of the same command, which is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `merge` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Format of the new files, whatever that of the input is.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub format: MaskFormat,

    /// What to do with a shard name, or a document (by its token ids), that several folders have.
    ///
    /// Documents that one folder has several times are not duplicates.
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        help_heading = "Duplicates"
    )]
    pub on_duplicate: OnDuplicate,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// What to do with shards and documents that several folders have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// Stop before anything is written.
    #[default]
    Error,
    /// Keep those of the folder that is named first; drop and count the others.
    First,
}
