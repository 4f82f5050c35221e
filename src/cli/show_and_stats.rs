//! The arguments of `show` and `stats`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::threads_and_progress::ThreadsArgs;

/// What `show --help` ends with.
pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  The first document, dropped tokens dim:
      rho-mask show masks/

  A document in five levels of loss, from deep blue (highest, least preferred) to deep orange:
      rho-mask show masks/ --document thread-0007 --by loss

  Three random documents, by the mask of another rule, in a pager that shows colours:
      rho-mask show masks/ --sample 3 --seed 1 --mask mask_excess --color always | less -R

  Every token with its numbers:
      rho-mask show masks/ --shard pages.jsonl --row 12 --numbers

  From an output folder of `dynamics`: what was preferred at 0, 33, 66 and 100 % of the training run, and how the loss
  of each token changed:
      rho-mask show dynamics/ --document page-0012
      rho-mask show dynamics/ --document page-0012 --by category";

/// What `stats --help` ends with.
pub(super) const STATS_EXAMPLES: &str = "\
Examples:
  Tables by source, by position, by token:
      rho-mask stats masks/

  As JSON, for a program:
      rho-mask stats masks/ --json | jq .total.masks

The source of a document is the value of the field that was given to `score --source-field`; without it, its shard.";

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Masks folder, finished or not, or one of its files; or a folder that `dynamics` wrote.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Show the document with this id [default: the first document].
    #[arg(long, value_name = "ID", conflicts_with_all = ["row", "shard", "sample"], help_heading = "Documents")]
    pub document: Option<String>,

    /// Show the document at this row of its shard, counted from 0.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "sample",
        help_heading = "Documents"
    )]
    pub row: Option<i64>,

    /// Shard of --row; without --row, show its first document. Not needed if there is only one shard.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "sample",
        help_heading = "Documents"
    )]
    pub shard: Option<String>,

    /// Show this many documents, drawn at random.
    #[arg(long, value_name = "N", help_heading = "Documents")]
    pub sample: Option<usize>,

    /// Seed of --sample; another seed draws other documents.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "sample",
        help_heading = "Documents"
    )]
    pub seed: u64,

    /// What to show: a mask, or five levels of a score [default: mask; loss if there is no mask].
    ///
    /// For a folder of `dynamics`: the preference at four points of the run [default], or the category of each token.
    ///
    /// Levels are fifths of the document's scored tokens, from deep blue, the least preferred, to deep orange, the
    /// most. Low losses, low entropies and high excess losses are preferred. The legend gives the bounds of the levels.
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "Display")]
    pub by: Option<ShowBy>,

    /// Mask to show [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN", help_heading = "Display")]
    pub mask: Option<String>,

    /// Add a table with one line per token: its bytes, scores, masks and weights.
    #[arg(long, help_heading = "Display")]
    pub numbers: bool,

    /// Show at most this many tokens of each document.
    #[arg(long, value_name = "TOKENS", help_heading = "Display")]
    pub limit: Option<usize>,

    /// Columns to wrap at [default: the terminal's; without a terminal, lines are not wrapped].
    #[arg(long, value_name = "COLUMNS", help_heading = "Display")]
    pub width: Option<usize>,

    /// When to use colours; without them, brackets and digits show the same.
    ///
    /// `auto`: on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Display"
    )]
    pub color: ColorWhen,

    /// The tokenizer.json of the masks, if they do not contain it.
    #[arg(long, value_name = "FILE", help_heading = "Display")]
    pub tokenizer: Option<PathBuf>,
}

/// What the colours of `show` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShowBy {
    /// Kept or dropped.
    Mask,
    /// Reference loss; low is preferred.
    Loss,
    /// Entropy; low is preferred.
    Entropy,
    /// Excess loss, from its own column or as base_loss - loss; high is preferred.
    Excess,
    /// For dynamics: what checkpoints at 0, 33, 66 and 100 % of the run prefer, in fifths of all tokens.
    Preference,
    /// For dynamics: how the loss of each token changed over the run.
    Category,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Masks folder, finished or not, or one of its files.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Print one JSON object instead of tables.
    ///
    /// It has all sources, and more numbers than the tables: see docs/looking.md.
    #[arg(long)]
    pub json: bool,

    /// Mask whose most and least kept tokens to list [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN")]
    pub mask: Option<String>,

    /// Number of most kept and of least kept tokens to list.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// List only tokens that were scored at least this often.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub min_count: u64,

    /// List at most this many sources, those with the most tokens; the others are summed.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub sources: usize,

    /// Width of the tables in columns [default: the terminal's, else 100].
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,

    /// The tokenizer.json of the masks, if they do not contain it.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
