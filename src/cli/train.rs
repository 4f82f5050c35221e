//! The arguments of `train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_reference::Device;
use rho_selection::KeepRatio;

use super::{
    input::TextArgs,
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::SpecialToken,
};

/// What `train --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  The three steps of Rho-1: a reference, its scores, and a model trained on the tokens where it is worse
  than the reference:
      rho-mask train --objective clm --model base/ --corpus good/ --out reference/
      rho-mask score corpus/ --model reference/ --out masks/
      rho-mask train --objective slm --masks masks/ --model base/ --keep 0.6 --out trained/

  The baselines that every comparison needs, on the same tokens:
      rho-mask train --objective clm --masks masks/ --model base/ --out all/
      rho-mask train --objective random --masks masks/ --model base/ --keep 0.6 --seed 1 --out random/

  From scratch, with an evaluation every 100 steps, also of the text after a marker:
      rho-mask train --objective clm --init config.json --tokenizer tokenizer.json --corpus corpus/ \\
          --out base/ --eval held-out.jsonl --eval-every 100 --eval-after 'Answer: '

To resume an interrupted run from its last checkpoint, repeat the command; on the CPU the result is
identical, byte for byte.

Exit codes: 0 all steps are done; 1 done, but documents or shards were skipped (see rejected.jsonl in the
output folder; --restart reads them again); 2 stopped by an error; 130 interrupted, after a checkpoint.";

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Which tokens to train on.
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Method")]
    pub objective: ObjectiveName,

    /// Share of the tokens of a global batch to train on (slm, random, hard, easy) [default: 0.6].
    #[arg(long, value_name = "RATIO", help_heading = "Method")]
    pub keep: Option<KeepRatio>,

    /// How --keep changes over the run: constant, or linear:FROM:TO:STEPS (linear:1.0:0.6:1000), which then stays at
    /// TO.
    #[arg(
        long,
        value_name = "SCHEDULE",
        default_value = "constant",
        help_heading = "Method"
    )]
    pub keep_schedule: String,

    /// Weight of the mean loss of all tokens that is added to the objective.
    #[arg(
        long,
        value_name = "WEIGHT",
        default_value_t = 0.0,
        help_heading = "Method"
    )]
    pub mix_clm: f64,

    /// Column of the masks that holds the reference's loss.
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "loss",
        help_heading = "Method"
    )]
    pub loss_column: String,

    /// Mask column for static [default: mask_intersection, or the only one].
    #[arg(long, value_name = "COLUMN", help_heading = "Method")]
    pub mask_column: Option<String>,

    /// Weight column for weighted [default: the only one].
    #[arg(long, value_name = "COLUMN", help_heading = "Method")]
    pub weight_column: Option<String>,

    /// Model to start from: a Hugging Face checkpoint folder, or org/name[@REVISION] on the Hub (see `score`).
    #[arg(
        long,
        short,
        value_name = "MODEL",
        required_unless_present = "init",
        help_heading = "Model"
    )]
    pub model: Option<PathBuf>,

    /// Start from random weights instead: a config.json, or the model on the Hub whose config.json to use (see --seed).
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "model",
        help_heading = "Model"
    )]
    pub init: Option<PathBuf>,

    /// Name of a setting in a checkpoint's config.json to ignore; may be given several times.
    ///
    /// An unknown setting could change every score, so it stops the run. This option ignores it, as if it were absent.
    /// Name a setting inside an object with a dot (`rope_parameters.factor`). The run's plan records it.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub), if it is not in the model's folder.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N.
    ///
    /// `auto` uses CUDA if the program was built with it and there is a device, else the CPU. `cuda` fails without
    /// CUDA.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: Device,

    /// Recompute the activations of each block in the backward pass: less memory, a third more time.
    #[arg(long, help_heading = "Model")]
    pub gradient_checkpointing: bool,

    /// Masks folder that `score` or `select` wrote; train on its documents, or on those of --corpus.
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "corpus",
        help_heading = "Data"
    )]
    pub masks: Option<PathBuf>,

    /// Files and folders to train on, as `score` reads them; they are tokenised once, into the output folder.
    ///
    /// With --masks, each document gets the masks of the document with the same tokens, whatever shard and row they
    /// came from.
    #[arg(long, value_name = "CORPUS", num_args = 1.., help_heading = "Data")]
    pub corpus: Vec<PathBuf>,

    /// Stop if more than this share of the corpus's documents (1% or 0.01) has no masks; such documents are skipped.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "5%",
        value_parser = super::values::share,
        help_heading = "Data"
    )]
    pub max_unmatched: f64,

    /// Where a row's text is.
    #[command(flatten)]
    pub text: TextArgs,

    /// Field with the document's id.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "id",
        help_heading = "Input"
    )]
    pub id_field: String,

    /// When to put a beginning-of-sequence token before each text; with --masks, as in the masks.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Data"
    )]
    pub bos: SpecialToken,

    /// When to put an end-of-sequence token after each text; with --masks, as in the masks.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Data"
    )]
    pub eos: SpecialToken,

    /// Tokens per row [default: what the model's config.json allows, at most 1024].
    ///
    /// Documents are packed into rows and never attend to each other; longer ones are cut, and no token is lost.
    #[arg(long, value_name = "TOKENS", help_heading = "Steps")]
    pub length: Option<usize>,

    /// Tokens per step, in whole rows [default: 16384; 1048576 in the paper].
    ///
    /// Tokens are ranked among all tokens of the step, whatever --micro-batch is.
    #[arg(long, value_name = "TOKENS", help_heading = "Steps")]
    pub batch_tokens: Option<usize>,

    /// Rows to compute at once [default: as many as hold 4096 tokens, 16384 on CUDA].
    #[arg(long, value_name = "ROWS", help_heading = "Steps")]
    pub micro_batch: Option<usize>,

    /// Passes over the data [default: 1].
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "steps",
        help_heading = "Steps"
    )]
    pub epochs: Option<u64>,

    /// Total number of steps; the data is repeated as often as needed.
    #[arg(long, value_name = "N", help_heading = "Steps")]
    pub steps: Option<u64>,

    /// Seed for the order of the documents, for random, for weights from scratch, and for --sample.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Steps")]
    pub seed: u64,

    /// Peak learning rate.
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 8e-5,
        help_heading = "Optimiser"
    )]
    pub learning_rate: f64,

    /// How the learning rate falls after the warm-up.
    #[arg(
        long,
        value_name = "SCHEDULE",
        value_enum,
        default_value_t,
        help_heading = "Optimiser"
    )]
    pub schedule: ScheduleName,

    /// Warm-up steps, in which the learning rate rises [default: 1 % of all steps].
    #[arg(long, value_name = "STEPS", help_heading = "Optimiser")]
    pub warm_up: Option<u64>,

    /// Final learning rate, as a share of the peak.
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        help_heading = "Optimiser"
    )]
    pub final_rate: f64,

    /// AdamW's betas.
    #[arg(long, value_name = "B1,B2", value_delimiter = ',', num_args = 2, default_values_t = [0.9, 0.95], help_heading = "Optimiser")]
    pub betas: Vec<f64>,

    /// Weight decay; not applied to norms and biases.
    #[arg(
        long,
        value_name = "DECAY",
        default_value_t = 0.1,
        help_heading = "Optimiser"
    )]
    pub weight_decay: f64,

    /// Clip the gradient to this norm; 0 means no clipping.
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 1.0,
        help_heading = "Optimiser"
    )]
    pub clip: f64,

    /// Folder of the run: metrics, checkpoints, and at the end the model.
    ///
    /// It must be new or empty, or hold an earlier run of the same command, which is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `train` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Steps between checkpoints; 0 saves only at the end, and when interrupted.
    #[arg(
        long,
        value_name = "STEPS",
        default_value_t = 500,
        help_heading = "Output"
    )]
    pub save_every: u64,

    /// Number of newest checkpoints to keep; 0 keeps all, for `dynamics`.
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Output")]
    pub keep_last: usize,

    /// Text to evaluate on, before, during and after training: loss and perplexity of each file.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Evaluation")]
    pub eval: Vec<PathBuf>,

    /// Steps between evaluations [default: a tenth of all steps].
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    pub eval_every: Option<u64>,

    /// Also evaluate the text after the first occurrence of this marker in each document, such as 'Answer: '.
    #[arg(long, value_name = "TEXT", help_heading = "Evaluation")]
    pub eval_after: Option<String>,

    /// Steps between checks of how the selection in the first batch changed; 0 means never [default: a tenth of all
    /// steps].
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    pub changed_every: Option<u64>,

    /// Stop if the loss exceeds this many times the median of the last 128 steps; 0 means never.
    #[arg(
        long,
        value_name = "TIMES",
        default_value_t = 3.0,
        help_heading = "Output"
    )]
    pub spike: f64,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print the resolved plan as JSON and stop before anything is trained or written.
    #[arg(long)]
    pub show_plan: bool,
}

/// Which tokens to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveName {
    /// Selective: the tokens with the highest excess loss over the reference.
    Slm,
    /// All tokens.
    Clm,
    /// Random tokens.
    Random,
    /// The tokens that a column of the masks keeps.
    Static,
    /// All tokens, each with its weight from a column of the masks.
    Weighted,
    /// The tokens with the highest loss.
    Hard,
    /// The tokens with the lowest loss.
    Easy,
}

impl ObjectiveName {
    /// Whether it trains on the share of tokens that `--keep` sets.
    pub(crate) fn keeps_a_share(self) -> bool {
        matches!(self, Self::Slm | Self::Random | Self::Hard | Self::Easy)
    }
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Half a cosine.
    #[default]
    Cosine,
    /// Linear.
    Linear,
    /// Warm-up, stable, decay: constant, then linear over the last tenth.
    Wsd,
    /// No decay.
    Constant,
}
