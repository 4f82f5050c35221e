//! What may be typed after `dynamics`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_selection::KeepRatio;

use super::{
    input::InputArgs,
    model::ModelArgs,
    work::{ProgressArgs, ThreadsArgs},
};

/// What `dynamics --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Train with all checkpoints kept, then see what each validation token's loss did:
      rho-mask train --objective clm --model base/ --corpus corpus/ --save-every 50 --keep-last 0 --out run/
      rho-mask dynamics --checkpoints run/ --corpus validation.jsonl --out dynamics/
      rho-mask report dynamics/ --out dynamics.html

  With the base as the first point, and a reference, for what each checkpoint would select:
      rho-mask dynamics --checkpoints base/ run/ --corpus validation.jsonl --reference reference/ --out dynamics/
      rho-mask show dynamics/ --document validation-7

  Checkpoints that are revisions on the Hub:
      rho-mask dynamics --checkpoints EleutherAI/pythia-70m@step1000 EleutherAI/pythia-70m@step8000 \
          EleutherAI/pythia-70m --corpus validation.jsonl --out dynamics/

  Checkpoints from elsewhere, in order; folders of Transformers' Trainer (checkpoint-500/ ...) are gone through by number:
      rho-mask dynamics --checkpoints ckpt-a/ ckpt-b/ ckpt-c.onnx --corpus validation.jsonl --out dynamics/

However a run ends, the same command goes on where it stopped, and comes to the same files.

Exit codes: 0 all done; 1 finished, but documents or shards were left out (see rejected.jsonl in the output folder;
--restart reads broken shards again); 2 stopped; 130 interrupted.";

/// Arguments of `dynamics`.
#[derive(Debug, Args)]
pub struct DynamicsArgs {
    /// Training folder of `train`, or models in the order of training; at least three checkpoints in all.
    ///
    /// A folder with step-N/ or checkpoint-N/ in it, or in checkpoints/ below it, stands for these, by number, and for
    /// the model in the folder itself where its weights are others than the last of them. Anything else is one model: a
    /// Hugging Face checkpoint, which is exported once into the cache folder, an ONNX reference, or
    /// org/name[@REVISION] on the Hub (see `score`). All need the same tokenizer.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub checkpoints: Vec<PathBuf>,

    /// Text to score under every checkpoint: files and folders as `score` takes them.
    #[arg(long, value_name = "CORPUS", num_args = 1.., required = true)]
    pub corpus: Vec<PathBuf>,

    /// Folder to write to.
    ///
    /// It must not exist yet, or be empty, or be one that the same command began: then it is gone on with.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over in a folder that was begun: remove what `dynamics` wrote there.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// How many of the tokens that fluctuate most to list.
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Output")]
    pub top: u16,

    /// A change of the fitted loss of more than this, in nats, is a fall (H->L) or a rise (L->H).
    #[arg(
        long,
        value_name = "NATS",
        default_value_t = 0.2,
        help_heading = "Analysis"
    )]
    pub threshold: f64,

    /// Where the checkpoints stand on the line that is fitted.
    #[arg(
        long,
        value_name = "PLACE",
        value_enum,
        default_value_t,
        help_heading = "Analysis"
    )]
    pub x: LinePlaces,

    /// Reference model: the excess loss over it says what each checkpoint would select.
    ///
    /// Without it there is no perplexity of selected tokens, and preference is shown by the checkpoints' own loss.
    #[arg(long, value_name = "PATH", help_heading = "Analysis")]
    pub reference: Option<PathBuf>,

    /// The share of all scored tokens that a checkpoint would select: those of highest excess loss [default: 0.6].
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

    /// What of the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

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

/// Where the checkpoints stand on the line that is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinePlaces {
    /// At 0, 1, 2 and so on, as in the paper.
    #[default]
    Index,
    /// At their numbers of steps, which their folders' names must tell.
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
