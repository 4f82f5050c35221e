//! The contract between the scoring pipeline and whatever computes loss and entropy.

use crate::ReferenceError;

/// A stretch of tokens that is scored alone: a document, or a window of a long one.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Token ids, each below the vocabulary. At least two.
    pub tokens: &'a [u32],
    /// The first token to score, at least 1: the tokens before it are context only.
    pub scored_from: usize,
}

/// Scores of `tokens[scored_from..]` of one piece, in nats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// `-ln P(token | tokens before it in the piece)`.
    pub loss: Vec<f32>,
    /// Entropy of the distribution that predicts the token.
    pub entropy: Vec<f32>,
}

/// Something that scores batches of pieces.
pub trait Scorer {
    /// Scores the pieces of one batch together; the answer has their order. A piece whose scores are not numbers is
    /// handed back as it is (NaN), for the caller knows which document it belongs to.
    fn score(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<Scores>, ReferenceError>;
}
