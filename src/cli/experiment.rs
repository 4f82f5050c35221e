//! What may be typed after `experiment`.

use std::path::PathBuf;

use clap::Args;

use super::work::{ProgressArgs, ThreadsArgs};

/// What `experiment --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  The bundled experiment, of a few minutes: tables, results/results.json and results/report.html:
      rho-mask experiment examples/experiment-small.toml --out results/

  One whose file leaves paths open:
      rho-mask experiment examples/experiment-math.toml --out results/ \\
          --path corpus=corpus.jsonl.zst --path good=good.jsonl.zst --path eval=eval/

  What it would do, and what of it is done:
      rho-mask experiment experiment.toml --out results/ --show-plan

However it ends, the same command goes on where it stopped. Steps whose options and inputs have not changed are
not done again, so that an arm that is added or changed costs itself alone.

Exit codes: 0 all is done; 2 stopped; 130 interrupted.";

/// Arguments of `experiment`.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// The experiment: a TOML file (see docs/analyses.md).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Folder for everything that comes of it; begun ones are gone on with.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// What ${NAME} in the file's paths stands for; may be given several times.
    #[arg(long, value_name = "NAME=PATH", value_parser = path, help_heading = "Input")]
    pub path: Vec<(String, PathBuf)>,

    /// Print the results as one JSON object instead of tables; it is that of results.json.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print the steps as JSON, and which are done, and stop before anything is done or written.
    #[arg(long)]
    pub show_plan: bool,
}

fn path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("expected NAME=PATH, such as corpus=corpus.jsonl.zst".to_owned()),
    }
}
