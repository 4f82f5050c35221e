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
    /// Documents that were read and not tokenised yet, the largest one twice (packed and unpacked).
    pub documents: u64,
    /// Look-aheads under way.
    pub look_aheads: u64,
    /// The open scope and the ranking of its tokens.
    pub scope: u64,
    /// One record batch, as rows and as bytes.
    pub record_batch: u64,
    /// Logits of one batch where the head computes them whole; the kernel holds a part of them.
    pub head: u64,
    /// The sum. The reference's weights and activations and the tokenizer come on top.
    pub sum: u64,
}

impl Memory {
    /// Of a plan. `document`: the largest document that is not rejected, in bytes.
    pub(crate) fn of(plan: &Plan, document: u64) -> Self {
        let tokens = |n: usize| n as u64 * PER_TOKEN;
        // A scope is closed by the document that does not fit any more; one document may be longer than all of it.
        let longest = document / 2 * PER_TOKEN;
        let documents = HANDFULS + 2 * document;
        let look_aheads = LOOK_AHEADS * tokens(plan.look_ahead_tokens) + longest;
        let scope = 4 * tokens(plan.scope_tokens.max(plan.look_ahead_tokens));
        let record_batch = 2 * tokens(1 << 19);
        let head = plan.batch_tokens as u64 * plan.vocabulary as u64 * 4;
        let sum = documents + look_aheads + scope + record_batch + head;
        Self {
            documents,
            look_aheads,
            scope,
            record_batch,
            head,
            sum,
        }
    }
}
