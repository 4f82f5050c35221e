//! The options of the commands that score rows as they come, without a corpus: `worker`, `serve`.

use std::path::PathBuf;

use clap::{Arg, Args};

use super::{
    input::InputArgs,
    model::ModelArgs,
    selection::{RuleName, SelectionArgs},
    server::ServerArgs,
    threads_and_progress::ThreadsArgs,
    values::{Combination, ScoreDtype, yes_or_no},
};

/// The options of `score` that describe a corpus: here every row is answered, in order.
const OF_A_CORPUS: [&str; 8] = [
    "lines",
    "limit",
    "sample",
    "strict",
    "max_rejected",
    "max_untargeted",
    "batch",
    "scope",
];

/// What is scored and stored of each row; the options of `score`.
#[derive(Debug, Args)]
pub struct RowScoringArgs {
    /// Reference model, as for `score`; may be given several times [default: the bundled demonstration model].
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: Vec<PathBuf>,

    /// Base model, the one to train: scores the same tokens, for the excess loss.
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub base: Option<PathBuf>,

    /// How to combine the scores of several references, token by token [default: mean].
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Model")]
    pub combine: Option<Combination>,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// How a server is asked that is the reference.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Write scores alone, without masks; `select` can make masks of them later.
    #[arg(long, help_heading = "Selection", conflicts_with_all = ["by", "keep", "keep_loss", "keep_entropy", "weights"])]
    pub scores_only: bool,

    /// Rule to select tokens by, among the tokens of each document.
    #[arg(
        long,
        value_name = "RULE",
        value_enum,
        default_value = "intersection",
        help_heading = "Selection"
    )]
    pub by: RuleName,

    /// How many of them, and whether as bits or weights.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Which fields of a row make a document.
    #[command(flatten)]
    pub input: InputArgs,

    /// Field with a text that stands before the document: scores the document's tokens also after it.
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

    /// Type of the scores.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub score_dtype: ScoreDtype,

    /// Also give the K most likely tokens at each position with their log-probabilities, K from 1 to 128.
    #[arg(long, value_name = "K", help_heading = "Output")]
    pub top: Option<usize>,

    /// Also give each document's text, in a column `text`.
    #[arg(long, help_heading = "Output", conflicts_with = "tokens_field")]
    pub keep_text: bool,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// Hides what only describes a corpus.
pub(super) fn without_corpus(argument: Arg) -> Arg {
    match OF_A_CORPUS.contains(&argument.get_id().as_str()) {
        true => argument.hide(true),
        false => argument,
    }
}
