//! What may be typed about selecting: the same after `score` and after `select`. What it means is decided in
//! `crate::selections::options`.

use clap::{Args, ValueEnum};
use rho_selection::KeepRatio;

use super::values::ratio;

/// How many tokens to keep among which, or how to weigh them.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectionArgs {
    /// Keep this share of the scored tokens; of intersection and union, by loss and by entropy each [default: 0.7].
    #[arg(long, value_name = "RATIO", conflicts_with_all = ["keep_loss", "keep_entropy"], help_heading = "Selection")]
    pub keep: Option<KeepRatio>,

    /// Of intersection and union: keep this share by lowest loss [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_loss: Option<KeepRatio>,

    /// Of intersection and union: keep this share by lowest entropy [default: 0.7].
    #[arg(long, value_name = "RATIO", help_heading = "Selection")]
    pub keep_entropy: Option<KeepRatio>,

    /// Among which tokens to rank [default: batch].
    #[arg(long, value_name = "SCOPE", value_enum, help_heading = "Selection")]
    pub scope: Option<ScopeName>,

    /// Tokens in one scope `batch` [default: 1048576, the paper's].
    #[arg(long, value_name = "TOKENS", help_heading = "Selection")]
    pub batch: Option<usize>,

    /// Of random: another seed keeps other tokens [default: 0].
    #[arg(long, value_name = "N", help_heading = "Selection")]
    pub seed: Option<u64>,

    /// Of threshold and band: the column of scores that is compared [default: loss].
    ///
    /// `excess` stands for base_loss - loss where there is no such column.
    #[arg(long, value_name = "COLUMN", help_heading = "Selection")]
    pub score: Option<String>,

    /// Of threshold: keep scores of at least this, in nats.
    #[arg(
        long,
        value_name = "NATS",
        allow_negative_numbers = true,
        help_heading = "Selection"
    )]
    pub above: Option<f32>,

    /// Of threshold: keep scores of at most this, in nats.
    #[arg(
        long,
        value_name = "NATS",
        allow_negative_numbers = true,
        help_heading = "Selection"
    )]
    pub below: Option<f32>,

    /// Of band: drop this share (10% or 0.1) of the scored tokens at the low end.
    #[arg(long, value_name = "SHARE", value_parser = ratio, help_heading = "Selection")]
    pub drop_easiest: Option<KeepRatio>,

    /// Of band: drop this share (10% or 0.1) of the scored tokens at the high end.
    #[arg(long, value_name = "SHARE", value_parser = ratio, help_heading = "Selection")]
    pub drop_hardest: Option<KeepRatio>,

    /// Write a column of weights from 0 to 1 instead of masks, by loss, entropy or excess.
    ///
    /// The column is called weight_loss, weight_entropy or weight_excess; a token that was not scored has weight 0.
    #[arg(
        long,
        value_name = "FORMULA",
        value_enum,
        help_heading = "Weights instead of bits"
    )]
    pub weights: Option<FormulaName>,

    /// T of sigmoid and clipped, in nats [default: 1].
    #[arg(long, value_name = "NATS", help_heading = "Weights instead of bits")]
    pub temperature: Option<f64>,

    /// Lower weights of scored tokens become this [default: 0].
    #[arg(long, value_name = "W", help_heading = "Weights instead of bits")]
    pub min_weight: Option<f32>,

    /// Higher weights become this [default: 1].
    #[arg(long, value_name = "W", help_heading = "Weights instead of bits")]
    pub max_weight: Option<f32>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleName {
    /// Lowest loss.
    Loss,
    /// Lowest entropy.
    Entropy,
    /// Lowest loss and lowest entropy, both.
    Intersection,
    /// Lowest loss or lowest entropy.
    Union,
    /// Highest excess loss: a column `excess`, else base_loss - loss.
    Excess,
    /// By chance, the same for the same seed.
    Random,
    /// Scores above or below numbers of nats.
    Threshold,
    /// All but the easiest and the hardest.
    Band,
}

/// Among which tokens to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    /// Each document by itself.
    Document,
    /// Whole documents of a shard up to so many tokens.
    #[default]
    Batch,
    /// All tokens of all shards.
    Corpus,
}

/// How a score becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FormulaName {
    /// (n - r) / n: by rank r from 0 among the n scored tokens of the scope.
    Rank,
    /// 1 / (1 + exp(-excess / T)).
    Sigmoid,
    /// min(max(excess / T, 0), 1).
    Clipped,
}
