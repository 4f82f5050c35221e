//! Counts over the documents of a source, and over all sources.

use std::ops::Range;

use super::{Distribution, Sum};

/// Counts of a group of documents. Lists are in the order of the columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Tokens that may not be targets.
    pub(crate) context: u64,
    /// Tokens with a loss or, without a loss column, with the first score.
    pub(crate) scored: u64,
    pub(crate) scores: Vec<Distribution>,
    pub(crate) masks: Vec<Kept>,
    pub(crate) weights: Vec<Weighed>,
    /// By [`position_range`].
    pub(crate) positions: Vec<Position>,
}

/// The tokens that a mask keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) tokens: u64,
    /// The sums of their scores.
    pub(crate) scores: Vec<Sum>,
}

/// The weights of scored tokens in a column of weights.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weighed {
    pub(crate) sum: Sum,
    /// The number of weights above 0.
    pub(crate) above_zero: u64,
}

/// Tokens in a range of positions in their documents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Position {
    pub(crate) scored: u64,
    /// By mask.
    pub(crate) kept: Vec<u64>,
    /// By score.
    pub(crate) scores: Vec<Sum>,
}

/// The columns of a record batch in memory, each with one entry per token.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) scores: Vec<Vec<f32>>,
    pub(super) masks: Vec<Vec<bool>>,
    pub(super) weights: Vec<Vec<f32>>,
    /// Which tokens may be targets; empty if all may be.
    pub(super) target: Vec<bool>,
    /// The index of the score that says which tokens are scored.
    pub(super) scored: Option<usize>,
}

/// The positions in a document in bin `i`: 0; 1; 2 and 3; 4 to 7; 8 to 15; ...
pub(crate) fn position_range(bin: usize) -> Range<usize> {
    let end = |bin: usize| 1usize.checked_shl(bin as u32).unwrap_or(usize::MAX);
    match bin {
        0 => 0..1,
        _ => end(bin - 1)..end(bin),
    }
}

impl Group {
    pub(super) fn new(scores: usize, masks: usize, weights: usize) -> Self {
        let kept = Kept {
            tokens: 0,
            scores: vec![Sum::default(); scores],
        };
        Self {
            scores: vec![Distribution::default(); scores],
            masks: vec![kept; masks],
            weights: vec![Weighed::default(); weights],
            ..Self::default()
        }
    }

    /// Counts a document, whose tokens are this range of a batch.
    pub(super) fn add(&mut self, batch: &Loaded, tokens: Range<usize>) {
        self.documents += 1;
        self.tokens += tokens.len() as u64;
        if let Some(target) = batch.target.get(tokens.clone()) {
            self.context += target.iter().filter(|target| !**target).count() as u64;
        }
        for (column, scores) in self.scores.iter_mut().zip(&batch.scores) {
            let known = scores[tokens.clone()]
                .iter()
                .filter(|score| !score.is_nan());
            known.for_each(|&score| column.add(score));
        }
        for (column, mask) in self.masks.iter_mut().zip(&batch.masks) {
            let mask = &mask[tokens.clone()];
            column.tokens += count(mask);
            for (sum, scores) in column.scores.iter_mut().zip(&batch.scores) {
                let kept = scores[tokens.clone()].iter().zip(mask);
                let kept = kept.filter(|(score, kept)| **kept && score.is_finite());
                kept.for_each(|(&score, _)| sum.add(score));
            }
        }
        if let Some(scored) = batch.scored {
            let scored = &batch.scores[scored][tokens.clone()];
            self.scored += scored.iter().filter(|score| !score.is_nan()).count() as u64;
            for (column, weights) in self.weights.iter_mut().zip(&batch.weights) {
                let weights = weights[tokens.clone()].iter().zip(scored);
                for (&weight, _) in weights.filter(|(w, s)| w.is_finite() && !s.is_nan()) {
                    column.sum.add(weight);
                    column.above_zero += u64::from(weight > 0.0);
                }
            }
        }
        self.add_positions(batch, tokens);
    }

    fn add_positions(&mut self, batch: &Loaded, tokens: Range<usize>) {
        let empty = || Position {
            scored: 0,
            kept: vec![0; batch.masks.len()],
            scores: vec![Sum::default(); batch.scores.len()],
        };
        for bin in 0.. {
            let places = position_range(bin);
            if places.start >= tokens.len() {
                break;
            }
            let end = places.end.min(tokens.len());
            let part = tokens.start + places.start..tokens.start + end;
            if self.positions.len() <= bin {
                self.positions.push(empty());
            }
            let position = &mut self.positions[bin];
            if let Some(scored) = batch.scored {
                let scored = batch.scores[scored][part.clone()].iter();
                position.scored += scored.filter(|score| !score.is_nan()).count() as u64;
            }
            for (kept, mask) in position.kept.iter_mut().zip(&batch.masks) {
                *kept += count(&mask[part.clone()]);
            }
            for (sum, scores) in position.scores.iter_mut().zip(&batch.scores) {
                let finite = scores[part.clone()].iter().filter(|s| s.is_finite());
                finite.for_each(|&score| sum.add(score));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.context += other.context;
        self.scored += other.scored;
        for (column, other) in self.scores.iter_mut().zip(&other.scores) {
            column.merge(other);
        }
        for (column, other) in self.masks.iter_mut().zip(&other.masks) {
            column.tokens += other.tokens;
            merge_sums(&mut column.scores, &other.scores);
        }
        for (column, other) in self.weights.iter_mut().zip(&other.weights) {
            column.sum.merge(&other.sum);
            column.above_zero += other.above_zero;
        }
        for (bin, other) in other.positions.iter().enumerate() {
            let Some(position) = self.positions.get_mut(bin) else {
                self.positions.push(other.clone());
                continue;
            };
            position.scored += other.scored;
            for (kept, other) in position.kept.iter_mut().zip(&other.kept) {
                *kept += other;
            }
            merge_sums(&mut position.scores, &other.scores);
        }
    }
}

fn count(mask: &[bool]) -> u64 {
    mask.iter().filter(|&&kept| kept).count() as u64
}

fn merge_sums(sums: &mut [Sum], others: &[Sum]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        sum.merge(other);
    }
}
