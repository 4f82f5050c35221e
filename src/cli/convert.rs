//! What may be typed after `convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    values::size,
    work::{ProgressArgs, ThreadsArgs},
};

/// What `convert --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  For Transformers, a document in each row:
      rho-mask convert masks/ --to labels --out labels/

  The same, documents packed into sequences:
      rho-mask convert masks/ --to labels --length 2048 --out packed/

  Weights for levanter, from a column that `select --weights` made:
      rho-mask convert masks/ --to levanter --weights weight_excess --length 4096 --out levanter/

  Every column, into a program that reads JSON:
      rho-mask convert masks/ --to jsonl --out - | jq .id

Exact fields, alignment and what starts a run: docs/trainers.md.

However a run ends, the same command goes on where it stopped, and comes to the same files.

Exit codes: 0 everything was converted; 2 stopped; 130 interrupted.";

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
    /// It must not exist yet, or be empty, or be one that the same command began: then it is gone on with. Standard output
    /// takes formats that are one stream: jsonl, labels, webdataset.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over in a folder that was begun: remove what `convert` wrote there.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Column of masks that says what to train on [default: mask_intersection, or the only one].
    ///
    /// Formats with the masks' own columns hold all of them by default, and with this option only this one.
    #[arg(
        long,
        value_name = "COLUMN",
        conflicts_with = "weights",
        help_heading = "Selection"
    )]
    pub mask: Option<String>,

    /// Column of weights in the place of masks, for formats that have weights.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub weights: Option<String>,

    /// Pack documents into sequences of so many tokens.
    #[arg(long, value_name = "TOKENS", help_heading = "Format")]
    pub length: Option<usize>,

    /// Token that documents end with, for formats that need one [default: what the masks or their tokenizer.json say].
    #[arg(long, value_name = "ID", help_heading = "Format")]
    pub eos_id: Option<u32>,

    /// Type of token ids, for formats with a choice [default: the smallest that holds the vocabulary].
    #[arg(long, value_name = "TYPE", value_enum, help_heading = "Format")]
    pub dtype: Option<IdsDtype>,

    /// Largest size of a file, such as 64MiB, for formats that are split.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Format")]
    pub shard_size: Option<u64>,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// Hugging Face dataset for Transformers, TRL and axolotl: input_ids, attention_mask, labels.
    Labels,
    /// OLMo and OLMo-core: arrays of token ids and of a label mask.
    Olmo,
    /// Parquet for levanter's prebuilt format: input_ids, loss_weights.
    Levanter,
    /// GPT-NeoX: Megatron's .bin and .idx, of token ids and of labels.
    Neox,
    /// MosaicML streaming: shards with tokens and mask.
    Mds,
    /// litdata: two streams for its TokensLoader, of tokens and of a mask.
    Litdata,
    /// Hugging Face dataset for torchtitan: input, labels (shifted), positions.
    Torchtitan,
    /// Parquet for torchtune: tokens, mask (true: not trained on).
    Torchtune,
    /// Parquet with the masks' own columns.
    Parquet,
    /// JSON lines with the masks' own columns.
    Jsonl,
    /// Tar files with the masks' own columns, as WebDataset reads them.
    Webdataset,
}

impl TargetName {
    /// As it is typed.
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
