//! The arguments of `score`.

use std::path::PathBuf;

use clap::Args;

use super::{
    input::InputArgs,
    model::ModelArgs,
    selection::{RuleName, SelectionArgs},
    server::ServerArgs,
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::{Combination, MaskCompression, MaskFormat, RankChoice, ScoreDtype, size, yes_or_no},
};

/// What `score --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Score a folder with the bundled demonstration model:
      rho-mask score corpus/ --out masks/

  Score with your own checkpoint (config.json, model.safetensors, tokenizer.json), keeping 60 %:
      rho-mask score corpus/ --model checkpoint/ --out masks/ --keep 0.6

  Keep the 60 % of tokens whose loss under the reference is furthest below that of the model to train:
      rho-mask score corpus/ --model ref/ --base base/ --out masks/ --by excess --keep 0.6

  Several references in one pass; for each token, the highest loss and entropy count:
      rho-mask score corpus/ --model a/ --model b/ --combine max --out masks/

  Score with a model on a server:
      rho-mask score corpus/ --model http://127.0.0.1:8000/v1#NAME --tokenizer tok/ --out masks/ --by loss

  Score token ids instead of text:
      rho-mask score tokens.jsonl.zst --tokens-field input_ids --model ref/ --out masks/

  Share a corpus among 8 runs, which may all write to one folder; in a scheduler, --rank auto:
      rho-mask score corpus/ --model ref/ --out masks/ --rank 0 --world-size 8

  Stream the masks to another program:
      rho-mask score corpus/ --model ref/ --out - | python train.py

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 everything was masked; 1 finished, but documents or shards were skipped (see
rejected.jsonl in the output folder; broken shards are tried again at the next start); 2 stopped by
an error; 130 interrupted.";
/// Arguments of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Files and folders to score; folders are read recursively, in sorted order.
    ///
    /// Also patterns ('data/*.jsonl.zst'), ranges ('shard-{000000..000099}.tar'), lists (@list.txt, one path per line),
    /// folders of Hugging Face datasets, URLs (s3://, gs://, az:// with a key or prefix, http:// and https:// with a
    /// file; credentials and endpoints come from the environment), datasets on the Hugging Face Hub
    /// (hf://datasets/org/name[@revision]/path, with a file, a folder or a pattern), and - for standard input (JSON
    /// lines or an Arrow stream).
    ///
    /// Formats: JSON lines (.jsonl, .json, .ndjson: one object per line) and plain text (.txt: one document per file,
    /// or per line with --lines), each also compressed (.gz, .zst, .bz2, .xz); Parquet (.parquet); Arrow IPC files and
    /// streams (.arrow, .arrows, .feather, .ipc); WebDataset (.tar: members .txt and .json), also compressed. The
    /// content of a file takes precedence over its name.
    ///
    /// Folders, prefixes and patterns do not reach names that start with . or _, folders that rho-mask wrote (the output
    /// folder may be inside the corpus), and the cached results and descriptions of the datasets library. Name such a
    /// path itself to read it.
    #[arg(required = true, value_name = "CORPUS")]
    pub corpus: Vec<PathBuf>,

    /// Folder to write the masks to, or - for one Arrow stream on standard output.
    ///
    /// The folder must be new or empty, or hold an earlier run of the same command, which is resumed. Each file of the
    /// corpus has a masks file, but 32 or more consecutive files of at most 64 KiB share some.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what rho-mask wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Type of the scores in the masks; selections rank the stored values.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub score_dtype: ScoreDtype,

    /// Also store the K most likely tokens at each position with their log-probabilities, K from 1 to 128.
    ///
    /// Adds the columns `top_ids` and `top_logprobs`: item i has the tokens that the reference takes for most likely in
    /// place of token i, the most likely first, and their natural logarithms of probability, in --score-dtype. Takes one
    /// reference; of a base nothing is stored.
    #[arg(long, value_name = "K", help_heading = "Output")]
    pub top: Option<usize>,

    /// Format of the masks; all commands read all of them.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub format: MaskFormat,

    /// Compression of Arrow streams and files; uncompressed masks can be memory-mapped directly.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub compression: MaskCompression,

    /// Also store each document's text, in a column `text`.
    #[arg(long, help_heading = "Output", conflicts_with = "tokens_field")]
    pub keep_text: bool,

    /// Field with a text that stands before the document, such as its prompt: scores the document's tokens also after it.
    ///
    /// Adds the columns `loss_context` and `entropy_context`, and `gain`, which is loss - loss_context: how much better a
    /// token is predicted after that text. A document whose own tokens change with the text before them, or that is too
    /// long together with it, is rejected.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub with_context_field: Option<String>,

    /// Whether context tokens get scores too; without them, their scores are null.
    #[arg(
        long,
        value_name = "YES|NO",
        default_value = "yes",
        value_parser = yes_or_no,
        action = clap::ArgAction::Set,
        help_heading = "Targets"
    )]
    pub score_context: bool,

    /// Split the masks of a shard into files of at most this size (1GiB, 500MB, ...); the masks stay the same.
    ///
    /// Of Parquet, it is the size before compression.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = size,
        help_heading = "Output"
    )]
    pub shard_size: u64,

    /// Reference model: a folder that `export` or optimum wrote, an .onnx file, a Hugging Face checkpoint, or the name
    /// of a checkpoint on the Hub [default: the bundled demonstration model].
    ///
    /// org/name[@REVISION] is looked up in the Hugging Face cache (HF_HOME) and downloaded if it is not there, with
    /// HF_TOKEN if that is set; a local path of that name takes precedence. HF_HUB_OFFLINE=1 or RHO_MASK_OFFLINE=1
    /// forbids downloads.
    ///
    /// A checkpoint is exported once into the cache folder, in f32 for the CPU and in f16 for CUDA (see `export`). It
    /// takes precedence over ONNX files in its folder, unless you name one of these.
    ///
    /// http://HOST:PORT/v1#NAME is a model on an OpenAI-compatible server that returns the log-probs of prompts, such as
    /// vLLM or `rho-mask serve`; --tokenizer must name its tokenizer, and RHO_MASK_SERVER_KEY may hold a key. Such masks
    /// have no entropy: use --by loss, or --by excess with --base.
    ///
    /// The demonstration model knows some school mathematics and nothing else.
    ///
    /// If the option is given several times, all models score the same tokens in one pass: `loss` and `entropy` hold
    /// the scores combined by --combine, and `loss_1`, `entropy_1`, `loss_2` and so on hold the scores of each model.
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: Vec<PathBuf>,

    /// Base model, the one to train: scores the same tokens in the same pass, for the excess loss.
    ///
    /// Adds the columns `base_loss` and `excess`. `excess` is base_loss - loss, of the stored values: it is high where
    /// the reference predicts better than the base. The base must have the reference's tokenizer.
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub base: Option<PathBuf>,

    /// How to combine the scores of several references, token by token [default: mean].
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Model")]
    pub combine: Option<Combination>,

    /// File that `verify` wrote about a model of this run, to store in the masks; may be given several times.
    ///
    /// It must have passed, with the same model, tokenizer, precision, kind of device and versions.
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub verified: Vec<PathBuf>,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// How a server is asked that is the reference.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Rule to select tokens by; `select` can apply another rule later, without a model.
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

    /// How the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Rank of this run among the runs that share the corpus: a number, counted from 0, or auto.
    ///
    /// auto takes rank and world size from a scheduler's environment variables, and stops if there are none, or two
    /// that disagree: SLURM_PROCID and SLURM_NTASKS (srun), SLURM_ARRAY_TASK_ID and the others of a SLURM job array,
    /// JOB_COMPLETION_INDEX (a Kubernetes indexed job; JOB_COMPLETIONS or --world-size gives the number), RANK and
    /// WORLD_SIZE (torchrun). Without --rank, all but those of srun are read if they are set; --world-size 1 ignores
    /// them.
    #[arg(long, value_name = "N|auto", help_heading = "Ranks")]
    pub rank: Option<RankChoice>,

    /// Number of runs that share the corpus; each takes whole shards.
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
