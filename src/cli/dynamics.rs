//! The arguments of `dynamics`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_selection::KeepRatio;

use super::{
    input::InputArgs,
    model::ModelArgs,
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::MaskFormat,
};

/// What `dynamics --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Train, keep all checkpoints, then see how the loss of each validation token changed:
      rho-mask train --objective clm --model base/ --corpus corpus/ --save-every 50 --keep-last 0 --out run/
      rho-mask dynamics --checkpoints run/ --corpus validation.jsonl --out dynamics/
      rho-mask report dynamics/ --out dynamics.html

  With the base as the first point, and a reference, to see what each checkpoint would select:
      rho-mask dynamics --checkpoints base/ run/ --corpus validation.jsonl --reference reference/ --out dynamics/
      rho-mask show dynamics/ --document validation-7

  Checkpoints that are revisions on the Hub:
      rho-mask dynamics --checkpoints EleutherAI/pythia-70m@step1000 EleutherAI/pythia-70m@step8000 \\
          EleutherAI/pythia-70m --corpus validation.jsonl --out dynamics/

  Other checkpoints, in order; those of Transformers' Trainer (checkpoint-500/ ...) are ordered by their number:
      rho-mask dynamics --checkpoints ckpt-a/ ckpt-b/ ckpt-c.onnx --corpus validation.jsonl --out dynamics/

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 all done; 1 finished, but documents or shards were skipped (see rejected.jsonl in the output folder;
--restart reads broken shards again); 2 stopped by an error; 130 interrupted.";

/// Arguments of `dynamics`.
#[derive(Debug, Args)]
pub struct DynamicsArgs {
    /// Output folder of `train`, or models in training order; at least three checkpoints in all.
    ///
    /// A folder that contains step-N/ or checkpoint-N/, itself or in checkpoints/, stands for all of these in order of
    /// their number, followed by the model in the folder itself if its weights differ from the last checkpoint's. Any
    /// other path is one model: a Hugging Face checkpoint, which is exported once into the cache folder, an ONNX
    /// reference, or org/name[@REVISION] on the Hub (see `score`). All must have the same tokenizer.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub checkpoints: Vec<PathBuf>,

    /// Text to score with every checkpoint: files and folders as `score` takes them.
    #[arg(long, value_name = "CORPUS", num_args = 1.., required = true)]
    pub corpus: Vec<PathBuf>,

    /// Folder to write to.
    ///
    /// It must be new or empty, or hold an earlier run of the same command, which is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `dynamics` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Format of the files; all commands read all of them.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub format: MaskFormat,

    /// Number of most fluctuating tokens to list.
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Output")]
    pub top: u16,

    /// A token whose fitted loss changes by more than this, in nats, has fallen (H->L) or risen (L->H).
    #[arg(
        long,
        value_name = "NATS",
        default_value_t = 0.2,
        help_heading = "Analysis"
    )]
    pub threshold: f64,

    /// The x values of the line that is fitted to the losses.
    #[arg(
        long,
        value_name = "PLACE",
        value_enum,
        default_value_t,
        help_heading = "Analysis"
    )]
    pub x: LinePlaces,

    /// Reference model: each checkpoint selects by its excess loss over the reference.
    ///
    /// Without a reference there is no perplexity of selected tokens, and preference is by the checkpoints' own loss.
    #[arg(long, value_name = "PATH", help_heading = "Analysis")]
    pub reference: Option<PathBuf>,

    /// Share of all scored tokens that a checkpoint selects, those with the highest excess loss [default: 0.6].
    #[arg(
        long,
        value_name = "RATIO",
        requires = "reference",
        help_heading = "Analysis"
    )]
    pub keep: Option<KeepRatio>,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// How the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Seed of --sample; another seed reads other rows [default: 0].
    #[arg(long, value_name = "N", requires = "sample", help_heading = "Input")]
    pub seed: Option<u64>,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print the resolved plan as JSON and stop before anything is scored or written.
    #[arg(long)]
    pub show_plan: bool,
}

/// The x values of the line that is fitted to the losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinePlaces {
    /// 0, 1, 2 and so on, as in the paper.
    #[default]
    Index,
    /// The checkpoints' step numbers, which their folder names must contain.
    Step,
}

impl LinePlaces {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Step => "step",
        }
    }
}
