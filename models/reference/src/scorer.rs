//! The interface between the scoring pipeline and whatever computes loss and entropy.

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
    /// Entropy of the distribution that predicts the token.
    pub entropy: Vec<f32>,
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
