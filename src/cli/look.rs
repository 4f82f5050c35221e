//! What may be typed after `show` and `stats`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::work::ThreadsArgs;

/// What `show --help` ends with.
pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  The first document, dropped tokens dim:
      rho-mask show masks/

  A document in five levels of loss, from deep blue (highest, least preferred) to deep orange:
      rho-mask show masks/ --document thread-0007 --by loss

  Three documents by chance, by another rule's mask, into a pager that takes colours:
      rho-mask show masks/ --sample 3 --seed 1 --mask mask_excess --color always | less -R

  Every token with its numbers:
      rho-mask show masks/ --shard pages.jsonl --row 12 --numbers

  What was preferred at the beginning, at 33 and 66 %, and at the end of a training run, from a folder of dynamics; and
  what the loss of each token did:
      rho-mask show dynamics/ --document page-0012
      rho-mask show dynamics/ --document page-0012 --by category";

/// What `stats --help` ends with.
pub(super) const STATS_EXAMPLES: &str = "\
Examples:
  Tables by source, by position, by token:
      rho-mask stats masks/

  As JSON, for a program:
      rho-mask stats masks/ --json | jq .total.masks

A source is what the documents say in the field that was named to `score --source-field`; without it, the shard they
are from.";

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Masks folder, finished or not, or one of its .arrow files; or a folder that `dynamics` wrote.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Show the document of this id [default: the first].
    #[arg(long, value_name = "ID", conflicts_with_all = ["row", "shard", "sample"], help_heading = "Documents")]
    pub document: Option<String>,

    /// Show the document in this row of its shard, from 0.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "sample",
        help_heading = "Documents"
    )]
    pub row: Option<i64>,

    /// The shard of --row; without --row, its first document. It may be left out where there is only one.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "sample",
        help_heading = "Documents"
    )]
    pub shard: Option<String>,

    /// Show so many documents, drawn by chance.
    #[arg(long, value_name = "N", help_heading = "Documents")]
    pub sample: Option<usize>,

    /// Of --sample: another seed draws others.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "sample",
        help_heading = "Documents"
    )]
    pub seed: u64,

    /// What is shown: a mask, or five levels of a score [default: mask; loss where there is no mask].
    ///
    /// Of `dynamics` it is the preference at four times [default], or the category of each token.
    ///
    /// Levels are fifths of the document's scored tokens, from deep blue, the least preferred, to deep orange, the most:
    /// low losses and entropies are preferred, and high excess losses. The legend names their bounds.
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "Display")]
    pub by: Option<ShowBy>,

    /// The mask that is shown [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN", help_heading = "Display")]
    pub mask: Option<String>,

    /// Add a table with a line for each token: its bytes, scores, masks and weights.
    #[arg(long, help_heading = "Display")]
    pub numbers: bool,

    /// Show no more than the first tokens of a document.
    #[arg(long, value_name = "TOKENS", help_heading = "Display")]
    pub limit: Option<usize>,

    /// Columns to wrap at [default: those of the terminal; elsewhere lines are not wrapped].
    #[arg(long, value_name = "COLUMNS", help_heading = "Display")]
    pub width: Option<usize>,

    /// When to use colours; elsewhere brackets and digits say the same.
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

    /// The tokenizer.json of the masks, where they hold none.
    #[arg(long, value_name = "FILE", help_heading = "Display")]
    pub tokenizer: Option<PathBuf>,
}

/// What `show` draws tokens by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShowBy {
    /// Kept or dropped.
    Mask,
    /// Reference loss; low is preferred.
    Loss,
    /// Entropy; low is preferred.
    Entropy,
    /// Excess loss, a column of its own or base_loss - loss; high is preferred.
    Excess,
    /// Of dynamics: what checkpoints at 0, 33, 66 and 100 % of the run prefer, in fifths of all tokens.
    Preference,
    /// Of dynamics: what the loss of each token did over the run.
    Category,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Masks folder, finished or not, or one of its .arrow files.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Print one JSON object instead of tables.
    ///
    /// All sources, and more numbers than the tables have: see docs/looking.md.
    #[arg(long)]
    pub json: bool,

    /// The mask whose most and least kept tokens are listed [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN")]
    pub mask: Option<String>,

    /// How many of the most and of the least kept tokens to list.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// List only tokens that were scored at least so often.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub min_count: u64,

    /// List no more than the sources with most tokens; the others are summed up.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub sources: usize,

    /// Columns that the tables may take [default: those of the terminal, else 100].
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,

    /// The tokenizer.json of the masks, where they hold none.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
