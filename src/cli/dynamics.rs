//! What may be typed after `dynamics`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_reference::Device;
use rho_selection::KeepRatio;

use super::{
    input::InputArgs,
    values::{PrecisionChoice, ProgressKind, SpecialToken},
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

    /// Setting of a checkpoint's config.json to leave out of account, by its name; may be given several times.
    ///
    /// A setting that is not known could change every score, so it stops the run. This lets one through, as if it were
    /// not there; settings inside an object have its name before them (`rope_parameters.factor`). The masks' metadata says so.
    #[arg(long, value_name = "NAME", help_heading = "Models")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub) of all models, if it is not beside each.
    #[arg(long, value_name = "PATH", help_heading = "Models")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda, cuda:N or cuda:N,M,... as for `score`.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Models")]
    pub device: Device,

    /// Precision of the products with weights: auto, f32, bf16 or int8, as for `score`.
    #[arg(
        long,
        value_name = "PRECISION",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Models"
    )]
    pub precision: PrecisionChoice,

    /// Longest stretch of tokens that a model sees at once [default: what all of them allow, at most 1024].
    #[arg(long, value_name = "TOKENS", help_heading = "Models")]
    pub context: Option<usize>,

    /// Tokens of context, at the least, before every token of a later window [default: half of the context].
    #[arg(long, value_name = "TOKENS", help_heading = "Models")]
    pub overlap: Option<usize>,

    /// Put a beginning-of-sequence token before each text; `auto` does what the tokenizer does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Models"
    )]
    pub bos: SpecialToken,

    /// Put an end-of-sequence token after each text; `auto` does what the tokenizer does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Models"
    )]
    pub eos: SpecialToken,

    /// ONNX Runtime library to use.
    #[arg(
        long,
        value_name = "FILE",
        env = "ORT_DYLIB_PATH",
        help_heading = "Models"
    )]
    pub ort_lib: Option<PathBuf>,

    /// What of the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// How to show progress, on standard error.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Progress"
    )]
    pub progress: ProgressKind,

    /// Tokens per batch, padding included [default: 1024 on the CPU, 16384 on CUDA].
    #[arg(long, value_name = "TOKENS", help_heading = "Speed")]
    pub batch_tokens: Option<usize>,

    /// Threads for tokenising and computing [default: one per core].
    #[arg(long, value_name = "N", help_heading = "Speed")]
    pub threads: Option<usize>,

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
