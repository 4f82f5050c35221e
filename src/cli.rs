//! What may be typed. The doc comments are the help; what it means is decided in [`crate::plan`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rho_reference::Device;
use rho_selection::KeepRatio;

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

Exit codes: 0 everything was masked; 1 finished, but documents or shards were left out (see
rejected.jsonl in the output folder); 2 stopped.";

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

    /// Folder to write the masks to; it must not exist yet, or be empty.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Reference model: a folder as optimum writes it, or an .onnx file.
    ///
    /// Without it the bundled demonstration model is used, which knows some school mathematics and nothing else.
    #[arg(long, short, value_name = "PATH", help_heading = "Reference")]
    pub model: Option<PathBuf>,

    /// Tokenizer (tokenizer.json, or a folder with one), if it is not beside the model.
    #[arg(long, value_name = "PATH", help_heading = "Reference")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N.
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

    /// Longest stretch of tokens that the model sees at once.
    ///
    /// The default is what the model's config.json allows, at most 2048. Longer documents are scored in overlapping
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

    /// Tokens per batch, padding included [default: 2048 on the CPU, 16384 on CUDA].
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
