//! The upper bound of a run's memory, computed from the plan. It does not grow with the corpus.

use serde::Serialize;

use super::Plan;
use crate::{
    selections::rule::Scope,
    tokenization::{BYTES_PER_BYTE, CACHE_BYTES, LARGEST_WINDOW, WINDOW},
};

/// Bytes per token in the pipeline: the id, plus masks, lists and copies; each score adds to that.
const PER_TOKEN: u64 = 4 + 4;
const PER_SCORE: u64 = 4;
/// Each of the most likely tokens: its id and its log-probability.
const PER_TOP: u64 = 4 + 4;
/// Read-ahead blocks in flight at once: one being gathered, two channels of two, one being scored, one being masked.
const LOOK_AHEADS: u64 = 7;
/// Chunks of documents in flight between reading and tokenising.
const HANDFULS: u64 = 6;
/// A chunk ends with the document that reaches this many bytes.
const HANDFUL: u64 = 1 << 20;
/// Copies of the tokens of an open scope in memory: documents with scores, concatenated scores, the keys that are
/// ranked, a record batch and its bytes.
const IN_SCOPE: u64 = 4;

/// The parts of the bound, in bytes. The models (weights, activations, heads) and the tokenizer's vocabulary are not
/// included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Documents that are read but not tokenised yet.
    pub documents: u64,
    /// What the tokenizer needs for a window of a document (or for a word as long as one) and for its cache of words,
    /// on all threads.
    pub tokenizing: u64,
    /// Read-ahead blocks in flight.
    pub look_aheads: u64,
    /// The open scope and the ranking of its tokens.
    pub scope: u64,
    /// One record batch, as rows and as bytes.
    pub record_batch: u64,
    /// The files of all models, base included: the least that their weights take on each device. Not in the sum.
    pub models: u64,
    /// The sum, for a corpus of documents of up to 1 MiB.
    pub sum: u64,
    /// Added when many consecutive documents are as large as `--max-document-bytes` allows and each of their bytes is a
    /// token. A single such document takes a sixth of it, and natural text has one token per four bytes.
    pub largest_documents: u64,
}

impl Memory {
    /// The bound for a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let top = PER_TOP * plan.top.unwrap_or(0) as u64;
        let per_token = PER_TOKEN + PER_SCORE * plan.scores.len() as u64 + top;
        let tokens = |n: u64| n * per_token;
        let text = if plan.keep_text { 2 } else { 1 };
        let documents = HANDFULS * 2 * HANDFUL;
        let tokenizing = plan.threads as u64 * (WINDOW * BYTES_PER_BYTE + CACHE_BYTES) as u64;
        let look_aheads = LOOK_AHEADS * text * tokens(plan.look_ahead_tokens as u64 + HANDFUL);
        let scope_tokens = match plan.scope {
            Scope::Batch(tokens) => tokens,
            Scope::Document => 0,
            // The tokens that are masked at once.
            Scope::Corpus | Scope::None => plan.look_ahead_tokens,
        };
        let scope = IN_SCOPE * text * tokens(scope_tokens as u64 + HANDFUL);
        let record_batch = 2 * text * tokens((1 << 19) + HANDFUL);
        let largest = plan.max_document_bytes as u64;
        let window = (LARGEST_WINDOW as u64).min(largest) * BYTES_PER_BYTE as u64;
        let largest_documents = match largest.checked_sub(HANDFUL) {
            // As a line and as text while it is read, as text until it is tokenised, then as tokens.
            Some(more) => {
                (HANDFULS + 1) * more + window + (LOOK_AHEADS + IN_SCOPE) * text * tokens(more)
            }
            None => 0,
        };
        Self {
            documents,
            tokenizing,
            look_aheads,
            scope,
            record_batch,
            models: plan.models().map(|model| model.bytes).sum(),
            sum: documents + tokenizing + look_aheads + scope + record_batch,
            largest_documents,
        }
    }
}
