//! What may be typed. The doc comments are the help; what it means is decided in [`crate::plan`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rho_reference::Device;
use rho_selection::KeepRatio;

mod select;
#[cfg(feature = "train")]
mod train;

#[cfg(feature = "train")]
pub use train::{ObjectiveName, ScheduleName, TrainArgs};

pub use select::{FormulaName, RuleName, SelectArgs, SelectScope};

/// Say which tokens of a corpus are worth training on.
///
/// rho-mask runs a frozen reference model over a corpus and writes, for every token, how surprising it was (loss), how
/// unsure the model was (entropy), and whether to train on it (masks), as Arrow files that any trainer can read.
#[derive(Debug, Parser)]
#[command(
    name = "rho-mask",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a corpus with a reference model and write token-level masks.
    #[command(after_long_help = SCORE_EXAMPLES)]
    Score(Box<ScoreArgs>),
    /// Select again from scores that are there, by any rule; no model is needed.
    #[command(after_long_help = select::EXAMPLES)]
    Select(Box<SelectArgs>),
    /// Train a model on masks, or on a corpus: selective language modelling and its baselines.
    #[cfg(feature = "train")]
    #[command(after_long_help = train::EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Not in this build.
    #[cfg(not(feature = "train"))]
    #[command(hide = true, disable_help_flag = true)]
    Train {
        /// Whatever stands there.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<std::ffi::OsString>,
    },
    /// Complete a masks folder that several ranks wrote.
    ///
    /// Checks that all shards are there, adds up what the ranks counted, and writes state.json and summary.json. The
    /// rank that ends last does the same by itself.
    Finish(FinishArgs),
    /// Put ONNX Runtime in place.
    ///
    /// Downloads the pinned wheel with `python3 -m pip download`, checks its SHA-256 and unpacks the library into the
    /// user's cache folder. `score` does the same by itself when it finds no library.
    Setup(SetupArgs),
    /// Show what would be used and why: library, version, providers, devices.
    Doctor(DoctorArgs),
}

const SCORE_EXAMPLES: &str = "\
Examples:
  Score a folder with the bundled demonstration model:
      rho-mask score corpus/ --out masks/

  Score with a model of your own, exported by `optimum-cli export onnx`, keeping 60 %:
      rho-mask score corpus/ --model ref/ --out masks/ --keep 0.6

  Score token ids instead of text:
      rho-mask score tokens.jsonl.zst --tokens-field input_ids --model ref/ --out masks/

  Share a corpus among 8 runs, which may all write to one folder (schedulers set the rank):
      rho-mask score corpus/ --model ref/ --out masks/ --rank 0 --world-size 8

  Hand the masks to a program as they come:
      rho-mask score corpus/ --model ref/ --out - | python train.py

However a run ends, the same command goes on where it stopped, and comes to the same files.

Exit codes: 0 everything was masked; 1 finished, but documents or shards were left out (see
rejected.jsonl in the output folder; broken shards are tried again at the next start); 2 stopped;
130 interrupted.";

/// Arguments of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Files and folders to score; folders are read recursively, in sorted order.
    ///
    /// Also patterns ('data/*.jsonl.zst'), ranges ('shard-{000000..000099}.tar'), lists (@list.txt, a path per line), folders
    /// of Hugging Face datasets, URLs (s3://, gs://, az:// with a key or prefix, http:// and https:// with a file;
    /// credentials and endpoints come from the environment), and - for standard input (JSON lines or an Arrow stream).
    ///
    /// JSON lines (.jsonl, .json, .ndjson: one object per line) and plain text (.txt: a document per file, or per line
    /// with --lines), each also compressed (.gz, .zst, .bz2, .xz); Parquet (.parquet); Arrow
    /// IPC files and streams (.arrow, .arrows, .feather, .ipc); WebDataset (.tar:
    /// members .txt and .json), compressed too. What a file holds has the first word, its name the second.
    #[arg(required = true, value_name = "CORPUS")]
    pub corpus: Vec<PathBuf>,

    /// Folder to write the masks to, or - for one Arrow stream on standard output.
    ///
    /// The folder must not exist yet, or be empty, or be one that the same command began: then it is gone on with.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over in a folder that was begun: remove what rho-mask wrote there.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Type of the scores in the masks; selections rank what is stored.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub score_dtype: ScoreDtype,

    /// Compression of the masks; without it they are memory-mapped as they lie.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub compression: MaskCompression,

    /// Store each document's text too, in a column `text`.
    #[arg(long, help_heading = "Output", conflicts_with = "tokens_field")]
    pub keep_text: bool,

    /// Split the masks of a shard into files of at most this size (1GiB, 500MB, ...); no mask changes by it.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = size,
        help_heading = "Output"
    )]
    pub shard_size: u64,

    /// Reference model: a folder as optimum writes it, or an .onnx file.
    ///
    /// Without it the bundled demonstration model is used, which knows some school mathematics and nothing else.
    #[arg(long, short, value_name = "PATH", help_heading = "Reference")]
    pub model: Option<PathBuf>,

    /// Tokenizer (tokenizer.json, or a folder with one), if it is not beside the model.
    #[arg(long, value_name = "PATH", help_heading = "Reference")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda, cuda:N or cuda:N,M,... for several, which share the batches.
    ///
    /// `auto` takes CUDA where it works and else the CPU; which one is said in the summary and in the masks. `cuda` is
    /// CUDA or an error.
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t,
        help_heading = "Reference"
    )]
    pub device: Device,

    /// Precision of the products with weights: auto, f32, bf16 or int8.
    ///
    /// `auto` computes as the model is stored; `f32` does so too, and refuses a model that is stored otherwise. `int8`
    /// and `bf16` round the weights of an f32 model when it is loaded and the activations row by row: faster, on the
    /// CPU only, and scores move a little. `bf16` needs a processor with avx512_bf16.
    #[arg(
        long,
        value_name = "PRECISION",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Reference"
    )]
    pub precision: PrecisionChoice,

    /// Longest stretch of tokens that the model sees at once.
    ///
    /// The default is what the model's config.json allows, at most 1024. Longer documents are scored in overlapping
    /// windows.
    #[arg(long, value_name = "TOKENS", help_heading = "Reference")]
    pub context: Option<usize>,

    /// Tokens of context, at the least, that every token of a later window sees before it.
    ///
    /// The default is half of the context. With 0 a later window's first token still sees the one token before it,
    /// for without any it could not be scored.
    #[arg(long, value_name = "TOKENS", help_heading = "Reference")]
    pub overlap: Option<usize>,

    /// Put a beginning-of-sequence token before each text.
    ///
    /// `auto` does what the tokenizer's post-processor does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Reference"
    )]
    pub bos: SpecialToken,

    /// Put an end-of-sequence token after each text.
    ///
    /// `auto` does what the tokenizer's post-processor does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Reference"
    )]
    pub eos: SpecialToken,

    /// Keep this share of the scored tokens by loss, and by entropy (the intersection keeps fewer).
    #[arg(long, value_name = "RATIO", conflicts_with_all = ["keep_loss", "keep_entropy"], help_heading = "Selection")]
    pub keep: Option<KeepRatio>,

    /// Keep this share of the scored tokens by lowest loss [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_loss: Option<KeepRatio>,

    /// Keep this share of the scored tokens by lowest entropy [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_entropy: Option<KeepRatio>,

    /// Among which tokens to rank.
    #[arg(
        long,
        value_name = "SCOPE",
        value_enum,
        default_value_t,
        help_heading = "Selection"
    )]
    pub scope: Scope,

    /// Field with the text; a.b.c reaches into nested objects.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "text",
        help_heading = "Input"
    )]
    pub text_field: String,

    /// Field with token ids: they are taken as they are and no text is read.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub tokens_field: Option<String>,

    /// Field with the document's id; without it a document is called shard#row.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "id",
        help_heading = "Input"
    )]
    pub id_field: String,

    /// Text files hold a document per line, not one each.
    #[arg(long, help_heading = "Input")]
    pub lines: bool,

    /// Documents larger than this are left out [default: 268435456, 256 MiB].
    #[arg(long, value_name = "BYTES", help_heading = "Input")]
    pub max_document_bytes: Option<usize>,

    /// Stop at the first row that holds no document, and at the first broken shard.
    #[arg(long, help_heading = "Input")]
    pub strict: bool,

    /// Stop when more than this share of the rows (1% or 0.01) holds no document, after the first 1,000 rows.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "5%",
        value_parser = share,
        help_heading = "Input"
    )]
    pub max_rejected: f64,

    /// Which of the runs that share the corpus this one is, from 0.
    ///
    /// Without it the array task of SLURM, the index of a Kubernetes job, or RANK and WORLD_SIZE say so.
    #[arg(long, value_name = "N", help_heading = "Ranks")]
    pub rank: Option<usize>,

    /// How many runs share the corpus; each takes whole shards.
    #[arg(long, value_name = "N", help_heading = "Ranks")]
    pub world_size: Option<usize>,

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

    /// ONNX Runtime library to use.
    #[arg(
        long,
        value_name = "FILE",
        env = "ORT_DYLIB_PATH",
        help_heading = "Reference"
    )]
    pub ort_lib: Option<PathBuf>,

    /// Print the resolved plan as JSON and stop before anything is scored or written.
    #[arg(long)]
    pub show_plan: bool,
}

/// In what precision the products with weights are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PrecisionChoice {
    /// As the model is stored.
    #[default]
    Auto,
    /// f32, for a model stored so.
    F32,
    /// bfloat16, from an f32 model.
    Bf16,
    /// int8, from an f32 model.
    Int8,
}

/// When a special token is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecialToken {
    /// As the tokenizer's post-processor does.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Among which tokens a selection ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Whole documents of a shard up to 2^20 tokens, the paper's batch.
    #[default]
    Batch,
    /// Each document by itself.
    Document,
}

/// How scores are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ScoreDtype {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits.
    Float16,
}

/// How masks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MaskCompression {
    /// Not at all.
    #[default]
    None,
    /// With Zstandard.
    Zstd,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// A line per event.
    Plain,
    /// A JSON object per line.
    Json,
    /// Not at all.
    None,
}

/// Bytes as people write them.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a size such as 1GiB or 500MB, got {text}");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(unit).filter(|&bytes| bytes > 0);
    bytes.ok_or_else(wrong)
}

/// A share, as a percentage or a number.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map(|number| number / whole);
    let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share from 0% to 100%, or from 0 to 1, got {text}"))
}

/// Arguments of `finish`.
#[derive(Debug, Args)]
pub struct FinishArgs {
    /// The folder.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,
}

/// Arguments of `setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Install the CUDA build and the NVIDIA libraries it needs (about 1.3 GB).
    #[arg(long)]
    pub cuda: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// ONNX Runtime library to use.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    pub ort_lib: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares() {
        let sizes = ["1GiB", "500MB", "7", "3k"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [1 << 30, 500_000_000, 7, 3 << 10]);
        let shares = ["1%", "0.05", "100%", "0"].map(|text| share(text).unwrap());
        assert_eq!(shares, [0.01, 0.05, 1.0, 0.0]);
        for text in ["", "GiB", "0", "1.5GiB", "1XB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "%", "101%", "-1%", "2", "NaN"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
