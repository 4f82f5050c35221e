//! The arguments of `convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::size,
};

/// What `convert --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  For Transformers, one document per row:
      rho-mask convert masks/ --to labels --out labels/

  The same, with documents packed into sequences:
      rho-mask convert masks/ --to labels --length 2048 --out packed/

  Weights for levanter, from a column that `select --weights` wrote:
      rho-mask convert masks/ --to levanter --weights weight_excess --length 4096 --out levanter/

  Every column, piped into a program that reads JSON:
      rho-mask convert masks/ --to jsonl --out - | jq .id

For the exact fields, the alignment and how to start each trainer, see docs/trainers.md.

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 everything was converted; 2 stopped by an error; 130 interrupted.";

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Finished masks folder to convert; nothing in it is changed.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Format to convert to.
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = "Output")]
    pub to: TargetName,

    /// Folder to write to, or - for standard output.
    ///
    /// The folder must be new or empty, or hold an earlier run of the same command, which is resumed. Standard
    /// output takes the formats that are one stream: jsonl, labels, webdataset.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `convert` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Mask column with the tokens to train on [default: mask_intersection, or the only one].
    ///
    /// Formats with the masks' own columns keep all mask columns by default, and with this option only this one.
    #[arg(
        long,
        value_name = "COLUMN",
        conflicts_with = "weights",
        help_heading = "Selection"
    )]
    pub mask: Option<String>,

    /// Weight column to use instead of a mask, for formats that have weights.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub weights: Option<String>,

    /// Pack documents into sequences of this many tokens.
    #[arg(long, value_name = "TOKENS", help_heading = "Format")]
    pub length: Option<usize>,

    /// Id of the token that ends a document, for formats that need one [default: from the masks or their
    /// tokenizer.json].
    #[arg(long, value_name = "ID", help_heading = "Format")]
    pub eos_id: Option<u32>,

    /// Type of token ids, for formats with a choice [default: the smallest that holds the vocabulary].
    #[arg(long, value_name = "TYPE", value_enum, help_heading = "Format")]
    pub dtype: Option<IdsDtype>,

    /// Largest file size, such as 64MiB, for formats that are split into files.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Format")]
    pub shard_size: Option<u64>,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// The formats to convert to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// Hugging Face dataset for Transformers, TRL and axolotl: input_ids, attention_mask, labels.
    Labels,
    /// OLMo and OLMo-core: arrays of token ids and of a label mask.
    Olmo,
    /// Parquet for levanter's prebuilt format: input_ids, loss_weights.
    Levanter,
    /// GPT-NeoX: Megatron's .bin and .idx, for token ids and for labels.
    Neox,
    /// MosaicML streaming: shards with tokens and mask.
    Mds,
    /// litdata: two streams for its TokensLoader, tokens and a mask.
    Litdata,
    /// Hugging Face dataset for torchtitan: input, labels (shifted), positions.
    Torchtitan,
    /// Parquet for torchtune: tokens, mask (true means not trained on).
    Torchtune,
    /// Parquet with the masks' own columns.
    Parquet,
    /// JSON lines with the masks' own columns.
    Jsonl,
    /// Tar files with the masks' own columns, as WebDataset reads them.
    Webdataset,
}

impl TargetName {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Types of token ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdsDtype {
    /// 16 bits, ids below 65,536.
    U16,
    /// 32 bits.
    U32,
}
