//! The arguments of `experiment`.

use std::path::PathBuf;

use clap::Args;

use super::threads_and_progress::{ProgressArgs, ThreadsArgs};

/// What `experiment --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  The bundled experiment, which takes a few minutes: tables, results/results.json and results/report.html:
      rho-mask experiment examples/experiment-small.toml --out results/

  An experiment whose file leaves paths open:
      rho-mask experiment examples/experiment-math.toml --out results/ \\
          --path corpus=corpus.jsonl.zst --path good=good.jsonl.zst --path eval=eval/

  List the steps, and which of them are done:
      rho-mask experiment experiment.toml --out results/ --show-plan

To resume an interrupted experiment, repeat the command. Steps whose options and inputs have not changed are not
run again, so an arm that is added or changed costs only its own steps.

Exit codes: 0 all done; 1 finished, but steps skipped documents or shards, also of earlier starts;
2 stopped by an error; 130 interrupted.";

/// Arguments of `experiment`.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// The experiment: a TOML file (see docs/analyses.md).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Folder for all steps and results; an earlier experiment there is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Value of ${NAME} in the paths of the experiment file; may be given several times.
    #[arg(long, value_name = "NAME=PATH", value_parser = path, help_heading = "Input")]
    pub path: Vec<(String, PathBuf)>,

    /// Print the results as one JSON object, that of results.json, instead of tables.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print the steps as JSON, with those that are done, and stop before anything is run or written.
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
