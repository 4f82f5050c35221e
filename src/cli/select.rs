//! The arguments of `select`.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};

use super::{
    selection::{RuleName, SelectionArgs},
    threads_and_progress::{ProgressArgs, ThreadsArgs},
    values::{MaskFormat, size},
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

  Half of the documents, those with the lowest mean loss, with their masks as they are:
      rho-mask select masks/ --out m/ --documents --by loss --keep 0.5

  Only the first of several documents with the same tokens:
      rho-mask select masks/ --out m/ --drop-duplicates

  Scores of another program, by the documents' ids, and the tokens with the highest of them:
      rho-mask select masks/ --out m/ --join scores.parquet --on id --column quality --by column:quality

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

    /// Drop each document whose token ids (token_hash) an earlier document has.
    ///
    /// Earlier means in the order of the masks' files. Of the documents that --where leaves, the first stays.
    #[arg(long, help_heading = "Documents")]
    pub drop_duplicates: bool,

    /// Select whole documents, by --by and --keep, instead of tokens; their rows stay as they are.
    ///
    /// The share --keep of all documents of the corpus that have a value is kept; of documents with the same value, the
    /// earlier ones. By loss and entropy, the lowest; by excess, kept and column:NAME, the highest; --direction says
    /// otherwise. A document without a scored token has no value, and is dropped.
    #[arg(long, help_heading = "Documents")]
    pub documents: bool,

    /// For --documents: the value of a document, computed from its scored tokens [default: mean].
    #[arg(long, value_name = "STATISTIC", value_enum, help_heading = "Documents")]
    pub statistic: Option<StatisticName>,

    /// For --documents --by kept: the mask column [default: mask_intersection, or the only one].
    #[arg(long, value_name = "COLUMN", help_heading = "Documents")]
    pub mask: Option<String>,

    /// Rule to select by: loss, entropy, intersection, union, excess, random, threshold, band or column:NAME.
    ///
    /// loss, entropy: the lowest. intersection, union: lowest loss and (or) lowest entropy. excess: the highest excess
    /// loss, the column `excess`, else base_loss - loss. random: at random; the same seed keeps the same tokens.
    /// threshold: scores above or below a number of nats. band: all tokens but the easiest and the hardest.
    /// column:NAME: the highest scores of any column, or of several, column:NAME,NAME, combined as --combine says. With
    /// --documents also kept: the share of its scored tokens that a mask keeps. Without --by, masks stay as they are.
    #[arg(long, value_name = "RULE", help_heading = "Selection")]
    pub by: Option<SelectBy>,

    /// For several columns in --by column:NAME,NAME: how their scores of a token become one.
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Selection")]
    pub combine: Option<ColumnCombination>,

    /// For column:NAME and --documents: whether the highest or the lowest are kept [default: highest for column:NAME].
    #[arg(long, value_name = "DIRECTION", value_enum, help_heading = "Selection")]
    pub direction: Option<DirectionName>,

    /// Among which tokens, how many of them, and whether as bits or weights.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Scores of other programs.
    #[command(flatten)]
    pub join: JoinArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// A column of another program.
#[derive(Debug, Clone, Default, Args)]
pub struct JoinArgs {
    /// Take a column of numbers from this file into the masks: Parquet, Arrow or JSON lines; also a folder or a pattern.
    /// May be given several times.
    ///
    /// Each row is about one document, and has a number for it or a list with a number for each of its tokens. It becomes a
    /// column of scores (float32), which --by column:NAME ranks and --where compares: a number is repeated for all tokens.
    /// Null means no score; NaN, infinities and lists of another length than the document are refused.
    #[arg(long, value_name = "FILE", help_heading = "Scores from elsewhere")]
    pub join: Vec<PathBuf>,

    /// The column of that name, of the file and of the masks, which says which document a row is about.
    #[arg(
        long,
        value_name = "KEY",
        value_enum,
        help_heading = "Scores from elsewhere"
    )]
    pub on: Option<JoinOn>,

    /// The column with the numbers; in JSON lines a.b.c reaches into nested objects.
    #[arg(long, value_name = "NAME", help_heading = "Scores from elsewhere")]
    pub column: Option<String>,

    /// The name of the column in the masks [default: that of --column].
    #[arg(
        long = "as",
        value_name = "NAME",
        help_heading = "Scores from elsewhere"
    )]
    pub name: Option<String>,

    /// What to do with documents that have no row [default: error].
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        help_heading = "Scores from elsewhere"
    )]
    pub join_missing: Option<JoinMissing>,

    /// Most memory for rows of --join; more are sorted out on disk, in the output folder [default: 256MiB].
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Scores from elsewhere")]
    pub memory: Option<u64>,
}

/// What `select` selects by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectBy {
    /// A rule of `score`.
    Rule(RuleName),
    /// The share of a document's tokens that a mask keeps.
    Kept,
    /// The scores of columns.
    Columns(Vec<String>),
}

impl FromStr for SelectBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Several names are always those of columns. Each may have the prefix.
        if text.starts_with("column:") || text.contains(',') {
            let name = |name: &str| name.strip_prefix("column:").unwrap_or(name).to_owned();
            let names: Vec<String> = text.split(',').map(name).collect();
            return match names.iter().any(String::is_empty) {
                true => Err(format!("expected column:NAME, got {text:?}")),
                false => Ok(Self::Columns(names)),
            };
        }
        if text == "kept" {
            return Ok(Self::Kept);
        }
        RuleName::from_str(text, false)
            .map(Self::Rule)
            .map_err(|_| {
                let rules = RuleName::value_variants().iter();
                let rules = rules.filter_map(|rule| rule.to_possible_value());
                let rules: Vec<String> = rules.map(|value| value.get_name().to_owned()).collect();
                format!(
                    "expected {}, column:NAME or kept, got {text:?}",
                    rules.join(", ")
                )
            })
    }
}

/// The value of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatisticName {
    /// The mean of its scores.
    #[default]
    Mean,
    /// Their median; of an even number, the mean of the two in the middle.
    Median,
}

/// Which end of the ranking is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DirectionName {
    /// The highest scores.
    Highest,
    /// The lowest scores.
    Lowest,
}

/// How the scores of several columns become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColumnCombination {
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// The mean.
    Mean,
    /// The product.
    Product,
}

/// The column that says which document a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JoinOn {
    /// The token hash of the masks: integers.
    #[value(name = "token_hash")]
    TokenHash,
    /// The id of the document: strings or integers.
    Id,
}

impl JoinOn {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokenHash => "token_hash",
            Self::Id => "id",
        }
    }
}

/// What to do with documents without a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinMissing {
    /// Refuse them.
    #[default]
    Error,
    /// Give them no scores.
    Null,
}
