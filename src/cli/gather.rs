//! The arguments of `gather`.

use std::path::PathBuf;

use clap::Args;

use super::{
    row_scoring::{RowScoringArgs, without_corpus},
    threads_and_progress::ProgressArgs,
    values::MaskFormat,
};

/// What `gather --help` ends with.
pub(super) const EXAMPLES: &str = "\
Example, after a job that scored with `worker --model ref/ --scores-only` and wrote Parquet:
  rho-mask gather scores/ --out masks/ --model ref/ --scores-only
  rho-mask select masks/ --out masks-60/ --by loss --keep 0.6 --scope corpus

Give the options that the workers had: they say what the columns mean. Files that say themselves how
they were scored must say the same. The model does not run.

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 every row has scores; 1 some have none (rejected.jsonl says why); 2 stopped by an error;
130 interrupted.";

/// Arguments of `gather`.
#[derive(Debug, Args)]
#[command(mut_args(without_corpus))]
pub struct GatherArgs {
    /// Parquet or Arrow files with the columns of `worker`, or folders of them; nothing in them is changed.
    ///
    /// Names that begin with _ or a dot are passed over. Columns that were passed through are left out.
    #[arg(value_name = "SCORES", required = true)]
    pub scores: Vec<PathBuf>,

    /// Folder to write the masks to; it may not contain the scores, or be inside them.
    ///
    /// It must be new or empty, or hold an earlier run of the same command, which is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `gather` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Format of the new files.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub format: MaskFormat,

    /// What the workers scored.
    #[command(flatten)]
    pub scoring: RowScoringArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}
