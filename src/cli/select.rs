//! The arguments of `select`.

use std::path::PathBuf;

use clap::Args;

use super::{
    selection::{RuleName, SelectionArgs},
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::MaskFormat,
};

/// What `select --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Keep the 70 % with the lowest loss, ranked over the whole corpus:
      rho-mask select masks/ --out masks-70/ --by loss --keep 0.7 --scope corpus

  The same masks as `score` writes, from its scores:
      rho-mask select masks/ --out m/ --by intersection --keep-loss 0.7 --keep-entropy 0.7

  The baseline that every comparison needs:
      rho-mask select masks/ --out random/ --by random --keep 0.6 --seed 1

  Drop the easiest 10 % and the hardest 20 %:
      rho-mask select masks/ --out m/ --by band --drop-easiest 10% --drop-hardest 20%

  Without short documents, and without those that the reference finds hard or is sure about:
      rho-mask select masks/ --out m/ --by loss --where 'tokens >= 20 and mean(loss) < 4 and max(entropy) > 1'

  Weights instead of bits:
      rho-mask select masks/ --out m/ --by excess --weights sigmoid --temperature 0.5

To resume an interrupted run, repeat the command; the files come out identical.

Exit codes: 0 everything was selected; 2 stopped by an error; 130 interrupted.";

/// Arguments of `select`.
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// Finished masks folder to select from; nothing in it is changed.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// Folder to write the new masks to; neither folder may contain the other.
    ///
    /// It must be new or empty, or hold an earlier run of the same command, which is resumed.
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub out: PathBuf,

    /// Start over: first remove what an earlier `select` wrote to the output folder.
    #[arg(long, help_heading = "Output")]
    pub restart: bool,

    /// Format of the new files, whatever that of the input is.
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub format: MaskFormat,

    /// Keep only documents for which this is true, such as "mean(loss) < 4 and tokens >= 20".
    ///
    /// Numbers of a document: tokens (or length); scored, its tokens with a score; min(loss), max(loss), mean(loss) and
    /// median(loss) of a column of scores or weights, or of excess; share(mask_loss), or kept(loss), the share of its
    /// scored tokens that a mask of the input keeps. Comparisons: < <= > >= == !=, joined by and, or, not and parentheses.
    ///
    /// Tokens without a score do not count. A number is null if there is no score; a comparison with null is neither true
    /// nor false, and the document is dropped. Documents are dropped first; tokens of the others are ranked.
    #[arg(long = "where", value_name = "EXPRESSION", help_heading = "Documents")]
    pub filter: Option<String>,

    /// Rule to select tokens by.
    #[arg(long, value_name = "RULE", value_enum, help_heading = "Selection")]
    pub by: RuleName,

    /// Among which tokens, how many of them, and whether as bits or weights.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
