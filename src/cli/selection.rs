//! The selection options, shared by `score` and `select`. `crate::selections::options` resolves them.

use std::{fmt, str::FromStr};

use clap::{Args, ValueEnum};
use rho_selection::KeepRatio;

use super::values::ratio;

/// How many tokens to keep, among which tokens, or how to weight them.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectionArgs {
    /// Keep this share of the scored tokens; for intersection and union, by loss and by entropy each [default: 0.7].
    #[arg(long, value_name = "RATIO", conflicts_with_all = ["keep_loss", "keep_entropy"], help_heading = "Selection")]
    pub keep: Option<KeepRatio>,

    /// For intersection and union: keep this share by lowest loss [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_loss: Option<KeepRatio>,

    /// For intersection and union: keep this share by lowest entropy [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_entropy: Option<KeepRatio>,

    /// Keep other shares of some sources: SOURCE=RATIO,... May be given several times.
    ///
    /// Each source is then ranked by itself, within the scope; sources that are not named keep --keep (or --keep-loss
    /// and --keep-entropy). The source of a document is the value of the field that was given to `score
    /// --source-field`; without it, its shard. A name with a comma is written as a JSON string: '"a,b"=0.5'.
    #[arg(long, value_name = "SOURCE=RATIO", help_heading = "Selection")]
    pub keep_by: Vec<String>,

    /// Among which tokens to rank [default: batch].
    #[arg(long, value_name = "SCOPE", value_enum, help_heading = "Selection")]
    pub scope: Option<ScopeName>,

    /// Tokens in a batch of --scope batch [default: 1048576, as in the paper].
    #[arg(long, value_name = "TOKENS", help_heading = "Selection")]
    pub batch: Option<usize>,

    /// For random: the seed; another seed keeps other tokens. Of `score --sample`: another seed reads other rows
    /// [default: 0].
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub seed: Option<u64>,

    /// For threshold and band: the score column to compare [default: loss].
    ///
    /// `excess` means base_loss - loss if there is no column of that name.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub score: Option<String>,

    /// For threshold: keep tokens with a score of at least this, in nats.
    #[arg(
        long,
        value_name = "NATS",
        allow_negative_numbers = true,
        help_heading = "Selection"
    )]
    pub above: Option<f32>,

    /// For threshold: keep tokens with a score of at most this, in nats.
    #[arg(
        long,
        value_name = "NATS",
        allow_negative_numbers = true,
        help_heading = "Selection"
    )]
    pub below: Option<f32>,

    /// For band: drop this share (10% or 0.1) of the scored tokens, those with the lowest scores.
    #[arg(long, value_name = "SHARE", value_parser = ratio, help_heading = "Selection")]
    pub drop_easiest: Option<KeepRatio>,

    /// For band: drop this share (10% or 0.1) of the scored tokens, those with the highest scores.
    #[arg(long, value_name = "SHARE", value_parser = ratio, help_heading = "Selection")]
    pub drop_hardest: Option<KeepRatio>,

    /// Write a column of weights from 0 to 1 instead of masks, by loss, entropy or excess loss.
    ///
    /// The column is called weight_loss, weight_entropy or weight_excess; a token that was not scored has weight 0. By any
    /// of them: rank, (n - r) / n, where r is the rank, from 0, among the n scored tokens of the scope. By excess:
    /// sigmoid, 1 / (1 + exp(-excess / T)), and clipped, excess / T. By loss: exp, the token's probability
    /// p = exp(-loss), and power:K, p^K. By entropy: entropy, the entropy / T. All are clamped to the range of
    /// --min-weight and --max-weight.
    #[arg(long, value_name = "FORMULA", help_heading = "Weights instead of bits")]
    pub weights: Option<FormulaName>,

    /// Temperature T of sigmoid, clipped and entropy, in nats [default: 1].
    #[arg(long, value_name = "NATS", help_heading = "Weights instead of bits")]
    pub temperature: Option<f64>,

    /// Raise lower weights of scored tokens to this [default: 0].
    ///
    /// At least -1. Below 0, clipped weights of a negative excess loss are negative: such tokens are to be unlearned.
    #[arg(
        long,
        value_name = "W",
        allow_negative_numbers = true,
        help_heading = "Weights instead of bits"
    )]
    pub min_weight: Option<f32>,

    /// Reduce higher weights to this [default: 1].
    #[arg(
        long,
        value_name = "W",
        allow_negative_numbers = true,
        help_heading = "Weights instead of bits"
    )]
    pub max_weight: Option<f32>,
}

/// The rules to select tokens by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleName {
    /// Lowest loss.
    Loss,
    /// Lowest entropy.
    Entropy,
    /// Both lowest loss and lowest entropy.
    Intersection,
    /// Lowest loss or lowest entropy.
    Union,
    /// Highest excess loss: the column `excess`, else base_loss - loss.
    Excess,
    /// At random; the same seed keeps the same tokens.
    Random,
    /// Scores above or below a number of nats.
    Threshold,
    /// All tokens but the easiest and the hardest.
    Band,
    /// The scores of columns: `select --by column:NAME`.
    #[value(skip)]
    Column,
}

/// Among which tokens to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    /// Among the tokens of the document.
    Document,
    /// Among the tokens of consecutive whole documents of a shard, as many as --batch says.
    #[default]
    Batch,
    /// Among all tokens of all shards.
    Corpus,
}

/// How a score becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FormulaName {
    /// (n - r) / n, where r is the rank, from 0, among the n scored tokens of the scope.
    Rank,
    /// 1 / (1 + exp(-excess / T)).
    Sigmoid,
    /// excess / T.
    Clipped,
    /// exp(-loss), the token's probability.
    Exp,
    /// The probability to the power of this number.
    Power(f64),
    /// entropy / T.
    Entropy,
}

impl FromStr for FormulaName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("power:")) {
            ("rank", _) => Ok(Self::Rank),
            ("sigmoid", _) => Ok(Self::Sigmoid),
            ("clipped", _) => Ok(Self::Clipped),
            ("exp", _) => Ok(Self::Exp),
            ("entropy", _) => Ok(Self::Entropy),
            (_, Some(number)) => match number.parse::<f64>() {
                Ok(exponent) if exponent.is_finite() && exponent > 0.0 => Ok(Self::Power(exponent)),
                _ => Err(format!(
                    "expected power:K with a number K above 0, got {text:?}"
                )),
            },
            _ => Err(format!(
                "expected rank, sigmoid, clipped, exp, power:K or entropy, got {text:?}"
            )),
        }
    }
}

impl fmt::Display for FormulaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank => f.write_str("rank"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::Clipped => f.write_str("clipped"),
            Self::Exp => f.write_str("exp"),
            Self::Power(exponent) => write!(f, "power:{exponent}"),
            Self::Entropy => f.write_str("entropy"),
        }
    }
}
