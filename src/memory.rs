//! How much memory a run takes at the most, as it follows from the plan. Nothing in it grows with the corpus.

use serde::Serialize;

use crate::plan::Plan;

/// Bytes per token on the way: the id, loss and entropy, and what lists and copies add to them.
const PER_TOKEN: u64 = 4 + 4 + 4 + 4;
/// Look-aheads that are under way at once: gathered, in two channels of two, scored, masked.
const LOOK_AHEADS: u64 = 7;
/// Handfuls of documents of about 1 MiB between reading and tokenising.
const HANDFULS: u64 = 6 << 20;

/// The parts of the bound, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Documents that were read and not tokenised yet.
    pub documents: u64,
    /// Look-aheads under way.
    pub look_aheads: u64,
    /// The open scope and the ranking of its tokens.
    pub scope: u64,
    /// One record batch, as rows and as bytes.
    pub record_batch: u64,
    /// What the largest document that is not rejected adds to all of these, if there is one.
    pub largest_document: u64,
    /// The sum. The reference (weights, activations, head) and the tokenizer come on top.
    pub sum: u64,
}

impl Memory {
    /// Of a plan. `document`: the size of the largest document that is not rejected.
    pub(crate) fn of(plan: &Plan, document: u64) -> Self {
        let tokens = |n: usize| n as u64 * PER_TOKEN;
        let text = if plan.keep_text { 2 } else { 1 };
        let look_aheads = LOOK_AHEADS * text * tokens(plan.look_ahead_tokens);
        // Scored documents, their scores side by side, the keys that are ranked, and what is kept.
        let scope = 4 * text * tokens(plan.scope_tokens);
        let record_batch = 2 * text * tokens(1 << 19);
        // As a line and as a text, then as tokens: scored, ranked, in a record batch, and as its bytes.
        // No tokenizer makes more than a token of a byte; most make one of four.
        let largest_document = 2 * document + 4 * document * PER_TOKEN;
        let sum = HANDFULS + look_aheads + scope + record_batch + largest_document;
        Self {
            documents: HANDFULS,
            look_aheads,
            scope,
            record_batch,
            largest_document,
            sum,
        }
    }
}
