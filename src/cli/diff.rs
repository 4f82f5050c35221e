//! The arguments of `diff`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::size;

/// What `diff --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  What changed between two precisions of the reference:
      rho-mask diff masks-f32/ masks-int8/

  As JSON, for a program:
      rho-mask diff a/ b/ --json | jq '.total.masks[] | {column, jaccard}'

  Masks of the same texts in other files, or in another order:
      rho-mask diff a/ b/ --join tokens

Equal means: the same documents with the same ids, sources and tokens, the same columns, and the same
bits and scores. Texts and metadata are not compared; settings that differ are listed.

Exit codes: 0 equal; 1 different; 2 stopped by an error.";

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Masks folder, finished or not, or one of its mask files.
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// Masks to compare it with.
    #[arg(value_name = "B")]
    pub b: PathBuf,

    /// What makes two documents the same.
    ///
    /// If several documents have the same key, the first of A is compared with the first of B, and so on.
    #[arg(long, value_name = "KEY", value_enum, default_value_t)]
    pub join: JoinKey,

    /// Print one JSON object instead of tables; it has all sources.
    #[arg(long)]
    pub json: bool,

    /// List at most this many sources, those with the most tokens; the others are summed.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub sources: usize,

    /// Width of the tables in columns [default: the terminal's, else 100].
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,

    /// Memory for documents that wait for their partner.
    ///
    /// If both folders have their documents in the same order, none waits for long. Otherwise documents that do not
    /// fit are written to temporary files (TMPDIR), which may become as large as the compared columns.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub memory: u64,
}

/// What makes two documents the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinKey {
    /// The shard and the row in it.
    #[default]
    Row,
    /// The token ids, by `token_hash`.
    Tokens,
}
