//! The reported numbers: the JSON object of `stats --json` (docs/looking.md describes its fields), and the input of the
//! tables.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Group, SourceOf, Statistics, Sum,
    distribution::{ABSOLUTE_ERROR, Distribution, Histogram, RELATIVE_ERROR},
    group::position_range,
    loss_entropy_plane,
    token_types::TokenType,
};
use crate::{
    masks::files::Masks, selections::counts::is_zero, tokenization::token_bytes::TokenBytes,
};

/// The reported percentiles. JSON has no infinity: infinite values are null there.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p1: Option<f64>,
    pub(crate) p5: Option<f64>,
    pub(crate) p25: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p75: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// Intervals of a histogram, which starts at 0, or at -8 if there are negative scores.
const BINS: usize = 64;
const BIN_WIDTH: f64 = 0.25;

/// Numbers by column.
pub(crate) type ByColumn<T> = BTreeMap<String, T>;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) masks: String,
    /// Whether all shards are complete.
    pub(crate) finished: bool,
    pub(crate) files: usize,
    pub(crate) source: SourceOf,
    /// The field of the corpus that the source column is from, if the masks say so.
    pub(crate) source_field: Option<String>,
    pub(crate) percentile_error: PercentileError,
    pub(crate) total: Told,
    pub(crate) sources: Vec<ToldSource>,
    /// The documents of all other sources, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other_sources: Option<Told>,
    pub(crate) histograms: Vec<ToldHistogram>,
    pub(crate) tokens: Tokens,
    pub(crate) joint: Option<ToldJoint>,
}

/// The error bound of percentiles: this share of their value or this many nats, whichever is more.
#[derive(Debug, Serialize)]
pub(crate) struct PercentileError {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

/// A source.
#[derive(Debug, Serialize)]
pub(crate) struct ToldSource {
    /// None for documents without a source.
    pub(crate) source: Option<String>,
    #[serde(flatten)]
    pub(crate) told: Told,
}

/// The reported numbers of a group of documents.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Tokens that may not be targets. All other numbers are about those that may.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) context: u64,
    pub(crate) scored: u64,
    pub(crate) masks: Vec<ToldMask>,
    pub(crate) weights: Vec<ToldWeight>,
    pub(crate) scores: Vec<ToldScore>,
    pub(crate) positions: Vec<ToldPosition>,
}

/// The tokens that a mask keeps.
#[derive(Debug, Serialize)]
pub(crate) struct ToldMask {
    pub(crate) column: String,
    pub(crate) kept: u64,
    /// The share of the scored tokens.
    pub(crate) share: Option<f64>,
    /// The mean of kept tokens by score; `mean_dropped` is that of dropped tokens.
    pub(crate) mean_kept: ByColumn<Option<f64>>,
    pub(crate) mean_dropped: ByColumn<Option<f64>>,
}

/// The weights in a column of weights.
#[derive(Debug, Serialize)]
pub(crate) struct ToldWeight {
    pub(crate) column: String,
    pub(crate) mean: Option<f64>,
    pub(crate) above_zero: u64,
}

/// The distribution of a score.
#[derive(Debug, Serialize)]
pub(crate) struct ToldScore {
    pub(crate) column: String,
    pub(crate) count: u64,
    pub(crate) infinite: u64,
    pub(crate) mean: Option<f64>,
    pub(crate) least: Option<f32>,
    pub(crate) most: Option<f32>,
    #[serde(flatten)]
    pub(crate) percentiles: Percentiles,
}

/// Tokens in a range of positions in their documents.
#[derive(Debug, Serialize)]
pub(crate) struct ToldPosition {
    pub(crate) from: usize,
    /// The last position.
    pub(crate) to: usize,
    pub(crate) scored: u64,
    /// By mask.
    pub(crate) kept: ByColumn<u64>,
    /// By score.
    pub(crate) mean: ByColumn<Option<f64>>,
}

/// The histogram of a score.
#[derive(Debug, Serialize)]
pub(crate) struct ToldHistogram {
    pub(crate) column: String,
    #[serde(flatten)]
    pub(crate) histogram: Histogram,
}

/// The reported numbers of token ids.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    /// The number of times a token must be scored to be listed.
    pub(crate) min_count: u64,
    /// The number of different ids that are scored; `frequent`: at least `min_count` times.
    pub(crate) different: usize,
    pub(crate) frequent: usize,
    pub(crate) masks: Vec<ToldTypes>,
}

/// The most and the least kept ids of a mask.
#[derive(Debug, Serialize)]
pub(crate) struct ToldTypes {
    pub(crate) column: String,
    pub(crate) most: Vec<ToldType>,
    pub(crate) least: Vec<ToldType>,
}

/// A token id.
#[derive(Debug, Serialize)]
pub(crate) struct ToldType {
    pub(crate) id: u32,
    /// The token text in quotes, with escapes.
    pub(crate) token: Option<String>,
    pub(crate) scored: u64,
    pub(crate) kept: u64,
    pub(crate) share: f64,
    /// The mean of the first score.
    pub(crate) mean: Option<f64>,
}

/// Counts by loss and entropy: rows by loss, columns by entropy, all of the same width. The last of each has no upper
/// bound.
#[derive(Debug, Serialize)]
pub(crate) struct ToldJoint {
    pub(crate) width: f32,
    pub(crate) tokens: Vec<Vec<u64>>,
    pub(crate) kept: Vec<ToldKept>,
}

/// The tokens that a mask keeps in each cell.
#[derive(Debug, Serialize)]
pub(crate) struct ToldKept {
    pub(crate) column: String,
    pub(crate) tokens: Vec<Vec<u64>>,
}

impl Report {
    /// The report on these statistics. Lists `top` of the token ids that were scored at least `min_count` times.
    pub(crate) fn of(
        masks: &Masks,
        statistics: &Statistics,
        pieces: Option<&TokenBytes<'_>>,
        (top, min_count): (usize, u64),
    ) -> Self {
        let columns = &statistics.columns;
        let told = |group: &Group| told(group, statistics);
        let histograms = columns.scores.iter().zip(&statistics.total.scores);
        let histograms = histograms.map(|(column, score)| {
            let negative = score.range().is_some_and(|(least, _)| least < 0.0);
            let from = if negative { -8.0 } else { 0.0 };
            ToldHistogram {
                column: column.clone(),
                histogram: score.histogram(from, BIN_WIDTH, BINS),
            }
        });
        let kept = |kept: TokenType| ToldType {
            id: kept.id,
            token: pieces.map(|pieces| pieces.quoted(kept.id)),
            scored: kept.scored,
            kept: kept.kept,
            share: kept.share(),
            mean: kept.mean,
        };
        let types = columns.masks.iter().enumerate().map(|(i, column)| {
            let (most, least) = statistics.types.most_and_least(i, min_count, top);
            ToldTypes {
                column: column.clone(),
                most: most.into_iter().map(kept).collect(),
                least: least.into_iter().map(kept).collect(),
            }
        });
        Self {
            masks: masks.path.display().to_string(),
            finished: masks.missing.is_empty(),
            files: masks.files.len(),
            source: columns.source,
            source_field: masks.known_metadata().source_field,
            percentile_error: PercentileError {
                relative: RELATIVE_ERROR,
                absolute: ABSOLUTE_ERROR,
            },
            total: told(&statistics.total),
            sources: statistics
                .sources
                .iter()
                .map(|(source, group)| ToldSource {
                    source: source.clone(),
                    told: told(group),
                })
                .collect(),
            other_sources: statistics.other_sources.as_ref().map(told),
            histograms: histograms.collect(),
            tokens: Tokens {
                min_count,
                different: statistics.types.different(1),
                frequent: statistics.types.different(min_count),
                masks: types.collect(),
            },
            joint: statistics.joint.as_ref().map(|joint| {
                let grid = |cell: &dyn Fn(usize, usize) -> u64| {
                    let row = |loss| {
                        (0..loss_entropy_plane::CELLS)
                            .map(|entropy| cell(loss, entropy))
                            .collect()
                    };
                    (0..loss_entropy_plane::CELLS).map(row).collect()
                };
                ToldJoint {
                    width: loss_entropy_plane::WIDTH,
                    tokens: grid(&|loss, entropy| joint.tokens(loss, entropy)),
                    kept: columns
                        .masks
                        .iter()
                        .enumerate()
                        .map(|(mask, column)| ToldKept {
                            column: column.clone(),
                            tokens: grid(&|loss, entropy| joint.kept(loss, entropy, mask)),
                        })
                        .collect(),
                }
            }),
        }
    }

    /// The sources other than the largest, merged into one for the tables, and their number; none if not all sources are
    /// counted by themselves.
    pub(crate) fn others(
        statistics: &Statistics,
        largest: &[usize],
    ) -> Option<(Option<usize>, Told)> {
        let mut group = statistics.other_sources.clone();
        let is_known = group.is_none();
        let mut count = 0;
        for (i, (_, other)) in statistics.sources.iter().enumerate() {
            if !largest.contains(&i) {
                count += 1;
                match &mut group {
                    Some(group) => group.merge(other),
                    none => *none = Some(other.clone()),
                }
            }
        }
        group.map(|group| (is_known.then_some(count), told(&group, statistics)))
    }
}

fn told(group: &Group, statistics: &Statistics) -> Told {
    let columns = &statistics.columns;
    let masks = columns.masks.iter().zip(&group.masks);
    let masks = masks.map(|(column, kept)| {
        let pairs = || kept.scores.iter().zip(&group.scores);
        ToldMask {
            column: column.clone(),
            kept: kept.tokens,
            share: (group.scored > 0).then(|| kept.tokens as f64 / group.scored as f64),
            mean_kept: by_column(&columns.scores, pairs().map(|(kept, _)| kept.mean())),
            mean_dropped: by_column(
                &columns.scores,
                pairs().map(|(kept, all)| all.sum.mean_without(kept)),
            ),
        }
    });
    let weights = columns.weights.iter().zip(&group.weights);
    let weights = weights.map(|(column, weight)| ToldWeight {
        column: column.clone(),
        mean: weight.sum.mean(),
        above_zero: weight.above_zero,
    });
    let scores = columns.scores.iter().zip(&group.scores);
    let positions = group.positions.iter().enumerate();
    Told {
        documents: group.documents,
        tokens: group.tokens,
        context: group.context,
        scored: group.scored,
        masks: masks.collect(),
        weights: weights.collect(),
        scores: scores
            .map(|(column, score)| score_of(column, score))
            .collect(),
        positions: positions
            .map(|(bin, position)| {
                let places = position_range(bin);
                ToldPosition {
                    from: places.start,
                    to: places.end - 1,
                    scored: position.scored,
                    kept: by_column(&columns.masks, position.kept.iter().copied()),
                    mean: by_column(&columns.scores, position.scores.iter().map(Sum::mean)),
                }
            })
            .collect(),
    }
}

fn by_column<T>(columns: &[String], numbers: impl Iterator<Item = T>) -> ByColumn<T> {
    columns.iter().cloned().zip(numbers).collect()
}

fn score_of(column: &str, score: &Distribution) -> ToldScore {
    let range = score.range();
    ToldScore {
        column: column.to_owned(),
        count: score.count(),
        infinite: score.infinite(),
        mean: score.sum.mean(),
        least: range.map(|(least, _)| least),
        most: range.map(|(_, most)| most),
        percentiles: Percentiles {
            p1: score.percentile(0.01),
            p5: score.percentile(0.05),
            p25: score.percentile(0.25),
            p50: score.percentile(0.5),
            p75: score.percentile(0.75),
            p95: score.percentile(0.95),
            p99: score.percentile(0.99),
        },
    }
}
