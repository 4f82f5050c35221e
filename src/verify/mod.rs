//! Compares a model's losses and entropies with those that Transformers computes for the same tokens in the user's
//! Python, and with its own scores in other batches.
//!
//! ```text
//! corpus ── sample ─┬─► our scores: as in `score`, and in other batches ───┬─► differences, masks ──► verify.json
//!                   └─► transformers: the same windows, one at a time ─────┘
//! ```
//!
//! * `sample`: the documents to compare, as token ids.
//! * `our_scores`: their scores by rho-mask.
//! * `transformers`: their scores by Transformers; `transformers.py` is the script that runs in Python.
//! * `difference`: the largest and the mean difference of two sets of scores, and the mask bits that agree.
//! * `result`: the results, as verify.json and as tables.
//! * `certificate`: a verify.json that `score` stores in the masks.

pub(crate) mod certificate;
pub(crate) mod difference;
pub(crate) mod our_scores;
pub(crate) mod result;
pub(crate) mod sample;
pub(crate) mod transformers;

/// Loss and entropy of each token of a document; NaN for tokens not scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TokenScores {
    pub(crate) loss: Vec<f64>,
    pub(crate) entropy: Vec<f64>,
}
