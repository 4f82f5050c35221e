//! What may be typed after `train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_reference::Device;
use rho_selection::KeepRatio;

use super::{
    input::TextArgs,
    values::SpecialToken,
    work::{ProgressArgs, ThreadsArgs},
};

/// What `train --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  The three steps of Rho-1: a reference, its scores, and a model that is trained on the tokens where it
  is behind the reference:
      rho-mask train --objective clm --model base/ --corpus good/ --out reference/
      rho-mask score corpus/ --model reference/ --out masks/
      rho-mask train --objective slm --masks masks/ --model base/ --keep 0.6 --out trained/

  The baselines that every comparison needs, on the same tokens:
      rho-mask train --objective clm --masks masks/ --model base/ --out all/
      rho-mask train --objective random --masks masks/ --model base/ --keep 0.6 --seed 1 --out random/

  From scratch, with an evaluation every 100 steps, also of what comes after a marker:
      rho-mask train --objective clm --init config.json --tokenizer tokenizer.json --corpus corpus/ \\
          --out base/ --eval held-out.jsonl --eval-every 100 --eval-after 'Answer: '

However a run ends, the same command goes on from the last checkpoint, and on the CPU comes to the same
bytes.

Exit codes: 0 all steps are done; 1 done, but documents or shards were left out; 2 stopped; 130
interrupted, after a checkpoint.";

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Which tokens to learn from.
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Method")]
    pub objective: ObjectiveName,

    /// Share of the tokens of a global batch to learn from (slm, random, hard, easy) [default: 0.6].
    #[arg(long, value_name = "RATIO", help_heading = "Method")]
    pub keep: Option<KeepRatio>,

    /// How the share changes: constant, or linear:FROM:TO:STEPS (linear:1.0:0.6:1000), which stays at TO.
    #[arg(
        long,
        value_name = "SCHEDULE",
        default_value = "constant",
        help_heading = "Method"
    )]
    pub keep_schedule: String,

    /// Add so many times the mean loss of all tokens to the objective: a little plain training beside.
    #[arg(
        long,
        value_name = "WEIGHT",
        default_value_t = 0.0,
        help_heading = "Method"
    )]
    pub mix_clm: f64,

    /// Column of the masks with the reference's loss.
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "loss",
        help_heading = "Method"
    )]
    pub loss_column: String,

    /// Column of masks for static [default: mask_intersection, or the only one there is].
    #[arg(long, value_name = "COLUMN", help_heading = "Method")]
    pub mask_column: Option<String>,

    /// Column of weights for weighted [default: the only one there is].
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

    /// Start from random weights instead: a config.json, or a model's on the Hub (see --seed).
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "model",
        help_heading = "Model"
    )]
    pub init: Option<PathBuf>,

    /// Setting of a checkpoint's config.json to leave out of account, by its name; may be given several times.
    ///
    /// A setting that is not known could change every score, so it stops the run. This lets one through, as if it were
    /// not there; settings inside an object have its name before them (`rope_parameters.factor`). The run's plan says so.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub), if it is not beside the model.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N.
    ///
    /// `auto` is CUDA where the program was built with it and a device is there, else the CPU. `cuda` is CUDA or an error.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: Device,

    /// Compute the activations of each block again in the backward pass: less memory, a third more time.
    #[arg(long, help_heading = "Model")]
    pub gradient_checkpointing: bool,

    /// Masks folder, as `score` or `select` wrote it; its documents are trained on, or those of --corpus.
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "corpus",
        help_heading = "Data"
    )]
    pub masks: Option<PathBuf>,

    /// Files and folders to train on, as `score` reads them; they are tokenised once, into the output folder.
    ///
    /// Together with --masks each document takes what the masks say of the same tokens, wherever they came from.
    #[arg(long, value_name = "CORPUS", num_args = 1.., help_heading = "Data")]
    pub corpus: Vec<PathBuf>,

    /// Stop when more than this share of the corpus's documents (1% or 0.01) has no masks; they are left out.
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

    /// Put a beginning-of-sequence token before each text; with --masks as they were made.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Data"
    )]
    pub bos: SpecialToken,

    /// Put an end-of-sequence token after each text; with --masks as they were made.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Data"
    )]
    pub eos: SpecialToken,

    /// Tokens in a row [default: what the model's config.json allows, at most 1024].
    ///
    /// Documents are packed into rows and never see one another; longer ones are cut, with nothing lost.
    #[arg(long, value_name = "TOKENS", help_heading = "Steps")]
    pub length: Option<usize>,

    /// Tokens of a step, in whole rows [default: 16384; the paper's is 1048576].
    ///
    /// Tokens are ranked among all of them, however many are computed at once.
    #[arg(long, value_name = "TOKENS", help_heading = "Steps")]
    pub batch_tokens: Option<usize>,

    /// Rows that are computed at once [default: as many as hold 4096 tokens, 16384 on CUDA].
    #[arg(long, value_name = "ROWS", help_heading = "Steps")]
    pub micro_batch: Option<usize>,

    /// How often to go through the data [default: 1].
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "steps",
        help_heading = "Steps"
    )]
    pub epochs: Option<u64>,

    /// Steps in all; the data is gone through as often as they need.
    #[arg(long, value_name = "N", help_heading = "Steps")]
    pub steps: Option<u64>,

    /// Of the order of the documents, of random, and of weights from scratch.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Steps")]
    pub seed: u64,

    /// Highest learning rate.
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

    /// Steps in which the learning rate rises [default: a hundredth of all].
    #[arg(long, value_name = "STEPS", help_heading = "Optimiser")]
    pub warm_up: Option<u64>,

    /// What the learning rate falls to, as a share of the highest.
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

    /// Weight decay, not on norms and biases.
    #[arg(
        long,
        value_name = "DECAY",
        default_value_t = 0.1,
        help_heading = "Optimiser"
    )]
    pub weight_decay: f64,

    /// Gradients of a greater norm are cut to it; 0 is never.
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 1.0,
        help_heading = "Optimiser"
    )]
    pub clip: f64,

    /// Folder of the run: metrics, checkpoints, and at the end the model.
    ///
    /// It must not exist yet, or be empty, or be one that the same command began: then it is gone on with.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over in a folder that was begun: remove what `train` wrote there.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Steps between two checkpoints; 0 is only at the end, and when interrupted.
    #[arg(
        long,
        value_name = "STEPS",
        default_value_t = 500,
        help_heading = "Output"
    )]
    pub save_every: u64,

    /// Checkpoints to keep; the oldest go first. 0 keeps all, for `dynamics`.
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Output")]
    pub keep_last: usize,

    /// Text to evaluate on, before, in between and after: loss and perplexity of each file.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Evaluation")]
    pub eval: Vec<PathBuf>,

    /// Steps between two evaluations [default: a tenth of all].
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    pub eval_every: Option<u64>,

    /// Evaluate also what comes after the first such marker of each document, such as 'Answer: '.
    #[arg(long, value_name = "TEXT", help_heading = "Evaluation")]
    pub eval_after: Option<String>,

    /// Steps between two looks at how the selection of the first batch changed [default: a tenth of all; 0 is never].
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    pub changed_every: Option<u64>,

    /// Stop where the loss is more than so many times the median of the last 128 steps; 0 is never.
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

/// Which tokens are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveName {
    /// Selective: those with the highest excess loss over the reference.
    Slm,
    /// All.
    Clm,
    /// Some, by chance.
    Random,
    /// Those that a column of the masks keeps.
    Static,
    /// All, each with its weight in a column of the masks.
    Weighted,
    /// Those with the highest loss.
    Hard,
    /// Those with the lowest loss.
    Easy,
}

impl ObjectiveName {
    /// Whether it learns from a share that `--keep` says.
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
    /// A straight line.
    Linear,
    /// Not at all, but in a straight line over the last tenth (warm-up, stable, decay).
    Wsd,
    /// Not at all.
    Constant,
}
