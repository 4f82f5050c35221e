//! The interface between the scoring pipeline and whatever computes loss, entropy and the most likely tokens.

use crate::ReferenceError;

/// A token sequence that is scored by itself: a document, or a window of a long one.
#[derive(Debug, Clone, Copy)]
pub struct TokenWindow<'a> {
    /// Token ids, each below vocab_size. At least two.
    pub tokens: &'a [u32],
    /// Index of the first token to score, at least 1. The tokens before it are context only.
    pub scored_from: usize,
}

/// Scores of `tokens[scored_from..]` of one window, in nats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// `-ln P(token | tokens before it in the window)`.
    pub loss: Vec<f32>,
    /// Entropy of the distribution that predicts the token; empty if the scorer cannot know it.
    pub entropy: Vec<f32>,
    /// The most likely tokens of that distribution; empty if none were requested.
    pub top: Top,
}

/// The most likely tokens at some positions: the same number for each position, the most likely first. Of equally likely
/// ones, the lowest ids come first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Top {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Their log-probabilities, in nats.
    pub logprobs: Vec<f32>,
}

impl Top {
    /// Adds the tokens of other positions.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.ids.append(&mut other.ids);
        self.logprobs.append(&mut other.logprobs);
    }

    /// The tokens of some positions, `count` for each.
    pub(crate) fn part(&self, positions: std::ops::Range<usize>, count: usize) -> Self {
        let range = positions.start * count..positions.end * count;
        Self {
            ids: self.ids[range.clone()].to_vec(),
            logprobs: self.logprobs[range].to_vec(),
        }
    }
}

/// Scores batches of windows.
pub trait Scorer {
    /// Scores the windows of one batch together and returns the scores in the same order. Scores that are NaN are
    /// returned unchanged, because only the caller knows which document they belong to.
    ///
    /// # Errors
    /// If the model cannot be run, or its output has an unexpected type or shape.
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError>;
}
