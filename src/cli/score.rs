//! What may be typed after `score`.

use std::path::PathBuf;

use clap::Args;

use super::{
    input::InputArgs,
    model::ModelArgs,
    selection::{RuleName, SelectionArgs},
    values::{Combination, MaskCompression, ScoreDtype, size},
    work::{ProgressArgs, ThreadsArgs},
};

/// What `score --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Score a folder with the bundled demonstration model:
      rho-mask score corpus/ --out masks/

  Score with a checkpoint of your own (config.json, model.safetensors, tokenizer.json), keeping 60 %:
      rho-mask score corpus/ --model checkpoint/ --out masks/ --keep 0.6

  Keep the 60 % whose loss under the reference is furthest below that of the model to be trained:
      rho-mask score corpus/ --model ref/ --base base/ --out masks/ --by excess --keep 0.6

  Several references in one pass, of which the most doubtful counts:
      rho-mask score corpus/ --model a/ --model b/ --combine max --out masks/

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

    /// Reference model: a folder as `export` or optimum writes it, an .onnx file, a Hugging Face checkpoint, or the name
    /// of one on the Hub.
    ///
    /// org/name[@REVISION] is looked for in the Hugging Face cache (HF_HOME), and downloaded where it is not there, with
    /// HF_TOKEN where that is set; a path of that name comes first. HF_HUB_OFFLINE=1 or RHO_MASK_OFFLINE=1 forbids
    /// downloads. A checkpoint is exported once into the cache folder, in f32 for the CPU and in f16 for CUDA (see
    /// `export`); it comes before ONNX files in its folder, unless one of them is named.
    /// Without it the bundled demonstration model is used, which knows some school mathematics and nothing else. Given
    /// several times, all of them score the same tokens in one pass: `loss` and `entropy` are then what --combine
    /// makes of theirs, and the scores of each are kept in `loss_1`, `entropy_1`, `loss_2` and so on.
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: Vec<PathBuf>,

    /// Base model: scores the same tokens in the same pass, for the excess loss over it.
    ///
    /// Adds the columns `base_loss` and `excess`, which is base_loss - loss, as stored: high where the reference knows
    /// better than the base, the model that is to be trained. It must have the reference's tokenizer.
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub base: Option<PathBuf>,

    /// How the scores of several references become one, token by token [default: mean].
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Model")]
    pub combine: Option<Combination>,

    /// What `verify` wrote about a model of this run, to be kept in the masks; given again for another model.
    ///
    /// It must be of the same model, tokenizer, precision, kind of device and versions, and must have passed.
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub verified: Vec<PathBuf>,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// Rule to select by; `select` selects again by another one, without any model.
    #[arg(
        long,
        value_name = "RULE",
        value_enum,
        default_value = "intersection",
        help_heading = "Selection"
    )]
    pub by: RuleName,

    /// Among which tokens, how many of them, and whether as bits or weights.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// What of the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which of the runs that share the corpus this one is, from 0.
    ///
    /// Without it the array task of SLURM, the index of a Kubernetes job, or RANK and WORLD_SIZE say so.
    #[arg(long, value_name = "N", help_heading = "Ranks")]
    pub rank: Option<usize>,

    /// How many runs share the corpus; each takes whole shards.
    #[arg(long, value_name = "N", help_heading = "Ranks")]
    pub world_size: Option<usize>,

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
