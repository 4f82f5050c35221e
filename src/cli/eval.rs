//! The arguments of `eval`.

use std::path::PathBuf;

use clap::Args;

use super::{
    input::TextArgs,
    model::ModelArgs,
    threads_and_progress::{ProgressArgs, ThreadsArgs},
};

/// What `eval --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Loss, perplexity and bits per byte of held-out text, and of the text after a marker:
      rho-mask eval --model trained/ --data held-out.jsonl svamp.jsonl --after 'Answer: '

  The same for the tokens that masks of this text keep, and for those that they drop:
      rho-mask score held-out.jsonl --model ref/ --out masks/
      rho-mask eval --model trained/ --data held-out.jsonl --masks masks/

  Multiple choice by likelihood; each line has question, choices and answer (index, letter or text):
      rho-mask eval --model trained/ --data questions.jsonl --choices --after 'Answer: '

Intervals are 95 % bootstrap intervals: documents (or questions) are drawn with replacement, --resamples
times. Standard output has the table, or one JSON object with --json.

Exit codes: 0 everything was measured; 1 measured, but rows without a document were skipped; 2 stopped by
an error; 130 interrupted.";

/// Arguments of `eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Model: whatever `score --model` takes, such as the folder of a training run, or org/name[@REVISION] on the Hub.
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: PathBuf,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// Files and folders to measure on, as `score` reads them; each is measured as a separate set.
    #[arg(long, value_name = "DATA", num_args = 1.., required = true, help_heading = "Data")]
    pub data: Vec<PathBuf>,

    /// Also measure the text after the first occurrence of this marker in each document, such as 'Answer: '.
    ///
    /// With --choices: text to insert on a new line between a question and its choices.
    #[arg(long, value_name = "TEXT", help_heading = "Data")]
    pub after: Option<String>,

    /// Read the data as multiple choice: JSON lines with question, choices and answer.
    ///
    /// The model picks the choice with the highest likelihood after the question; for the length-normalised accuracy,
    /// the one with the highest likelihood per UTF-8 byte of the choice.
    #[arg(long, conflicts_with_all = ["masks", "tokens_field", "text_field"], help_heading = "Data")]
    pub choices: bool,

    /// Masks of this data: also measure the tokens that they keep, and those that they drop.
    ///
    /// Documents are matched by their tokens, whatever shard and row they came from.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub masks: Option<PathBuf>,

    /// Mask column to use [default: mask_intersection, or the only one].
    #[arg(long, value_name = "COLUMN", requires = "masks", help_heading = "Data")]
    pub mask: Option<String>,

    /// Where a row's text is.
    #[command(flatten)]
    pub text: TextArgs,

    /// Bootstrap resamples for the intervals; 0 means no intervals.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        help_heading = "Intervals"
    )]
    pub resamples: usize,

    /// Seed of the bootstrap and of --sample.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Intervals"
    )]
    pub seed: u64,

    /// Print one JSON object instead of a table.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
