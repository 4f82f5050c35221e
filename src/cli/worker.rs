//! The arguments of `worker`.

use clap::Args;

use super::row_scoring::{RowScoringArgs, without_corpus};

/// What `worker --help` ends with.
pub(super) const EXAMPLES: &str = "\
Example, from Python (rho_mask.Scorer does this and restarts a worker that died):
  worker = subprocess.Popen([\"rho-mask\", \"worker\", \"--model\", \"ref/\"], stdin=PIPE, stdout=PIPE)
  into = pyarrow.ipc.new_stream(worker.stdin, table.schema)
  into.write_batch(batch); worker.stdin.flush()
  scores = pyarrow.ipc.open_stream(worker.stdout).read_next_batch()

Exit codes: 0 at the end of the input; 2 stopped by an error, or because the parent process is gone.";

/// The highest `--first-row`: as many rows again can be counted from it.
const MOST_FIRST_ROW: i64 = i64::MAX / 2;

/// Arguments of `worker`.
#[derive(Debug, Args)]
#[command(mut_args(without_corpus))]
pub struct WorkerArgs {
    /// What is scored.
    #[command(flatten)]
    pub scoring: RowScoringArgs,

    /// Columns of the input to pass through, behind those of the scores; may be given several times.
    #[arg(
        long,
        value_name = "COLUMN,...",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub pass: Vec<String>,

    /// Pass all columns of the input through, except the id, which the output has.
    #[arg(long, conflicts_with = "pass", help_heading = "Output")]
    pub pass_all: bool,

    /// Number of the first row, for a worker that continues where another one ended.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..=MOST_FIRST_ROW),
        help_heading = "Output"
    )]
    pub first_row: i64,

    /// Write only the schema of the output and stop, without opening a model.
    ///
    /// With --pass or --pass-all, the schema of the input is read from standard input first. The schema has no metadata.
    #[arg(long)]
    pub show_schema: bool,
}
