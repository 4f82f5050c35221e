//! Takes a model, its checkpoint and documents, yields how far losses and entropies are from those that Transformers
//! computes for the same tokens in the user's Python, and from those of other batches.
//!
//! ```text
//! corpus ── sample ─┬─► our scores: as `score` does, and in other batches ─┬─► differences, masks ──► verify.json
//!                   └─► transformers: the same windows, one at a time ─────┘
//! ```
//!
//! * `sample`: which documents, as token ids.
//! * `our_scores`: their scores by rho-mask.
//! * `transformers`: those by Transformers; `transformers.py` is what runs there.
//! * `difference`: two sets of scores to the largest and the mean difference, and to mask bits that agree.
//! * `result`: all of it together, as verify.json and as tables.
//! * `certificate`: a verify.json that `score` is to keep in the masks.

pub(crate) mod certificate;
pub(crate) mod difference;
pub(crate) mod our_scores;
pub(crate) mod result;
pub(crate) mod sample;
pub(crate) mod transformers;

/// Loss and entropy of each token of a document, NaN where it is not scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TokenScores {
    pub(crate) loss: Vec<f64>,
    pub(crate) entropy: Vec<f64>,
}
