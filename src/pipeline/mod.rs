//! From a corpus to masks, as four stages that work at the same time, joined by bounded channels.
//!
//! ```text
//! read ── documents ──► tokenize ── look-aheads ──► score ── scores ──► mask ──► Arrow shards
//! one thread            all cores                   the device          one thread
//! ```
//!
//! * `read`: shards to documents, in order.
//! * `tokenize`: documents to token ids, gathered into look-aheads.
//! * `pieces`: a document to the stretches that are scored alone.
//! * `batches`: the pieces of a look-ahead to batches of little padding.
//! * `score`: batches to loss and entropy, back in the documents' order.
//! * `mask`: scores to masks, scope by scope, and onto the disk.
//! * `summary`: what came of it.
//!
//! Memory: at most two look-aheads wait between two stages, and one scope of masks before the writer; nothing grows
//! with the corpus. What is batched together depends on the shard alone: look-aheads start anew at each shard.
//!
//! A stage that fails returns its error and lets go of its channels; its neighbours find them closed and end quietly.

mod batches;
mod mask;
mod pieces;
pub mod progress;
mod read;
mod score;
pub mod summary;
mod tokenize;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rho_formats::{MasksFolder, Rejection, Shard};
use rho_reference::Scorer;

use crate::{plan::Plan, tokenization::Tokenization};
use progress::Progress;
use summary::Summary;

/// What a stage hands to the next: the parts of a shard between its beginning and its end.
enum Flow<T> {
    /// The shard with this number begins.
    Begin(usize),
    /// Some of its documents.
    Part(T),
    /// It ends, with the break if that is before its real end.
    End(Option<Break>),
}

/// Where and why a shard ends before its end.
struct Break {
    row: i64,
    reason: String,
}

/// A document as token ids.
#[derive(Debug, Clone, PartialEq)]
struct TokenDocument {
    id: String,
    row: i64,
    tokens: Vec<u32>,
}

/// Documents that are batched together.
#[derive(Debug, Default)]
struct LookAhead {
    documents: Vec<TokenDocument>,
    rejected: Vec<Rejection>,
    tokens: usize,
    /// Bytes of the shard read so far, as they lie.
    bytes: u64,
}

/// A document with its scores, token-aligned, NaN where a token was not scored.
#[derive(Debug, Clone)]
struct ScoredDocument {
    document: TokenDocument,
    loss: Vec<f32>,
    entropy: Vec<f32>,
}

/// A look-ahead after scoring.
#[derive(Debug)]
struct Scored {
    documents: Vec<ScoredDocument>,
    rejected: Vec<Rejection>,
}

/// The first document, for a look at its tokens.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Kept by the intersection.
    pub kept: Vec<bool>,
}

/// What a run leaves behind, beside the masks.
#[derive(Debug)]
pub struct Report {
    /// Counts and times.
    pub summary: Summary,
    /// The first document with something scored in it.
    pub sample: Option<Sample>,
}

/// What the stages work on.
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) shards: &'a [Shard],
    pub(crate) tokenization: Option<&'a Tokenization>,
    pub(crate) progress: &'a Progress,
}

/// Runs all stages to the end. Bad documents and broken shards are recorded in the masks folder and counted; anything
/// else that goes wrong is an error, and what was written before stays.
pub(crate) fn run(
    work: &Work<'_>,
    scorer: &mut dyn Scorer,
    masks: &MasksFolder,
) -> anyhow::Result<Report> {
    let (documents, to_tokenize) = sync_channel(4);
    let (look_aheads, to_score) = sync_channel(2);
    let (scores, to_mask) = sync_channel(2);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read::run(work, documents));
        let tokenizer = scope.spawn(move || tokenize::run(work, to_tokenize, look_aheads));
        let masker = scope.spawn(move || mask::run(work, to_mask, masks));
        let scored = score::run(work, to_score, scores, scorer);
        // The last stage first: when it fails, the others only find a closed channel.
        let (mut report, scored, tokenized, read) =
            (join(masker)?, scored?, join(tokenizer)?, join(reader)?);
        report.summary.complete(work.plan, scored, tokenized, read);
        Ok(report)
    })
}

/// The result of a stage; a panic goes on in the caller.
fn join<T>(stage: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    stage
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Takes everything out of a channel; `each` answers false when the next stage has gone.
fn for_each<T>(
    receiver: Receiver<Flow<T>>,
    mut each: impl FnMut(Flow<T>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for flow in receiver {
        if !each(flow)? {
            break;
        }
    }
    Ok(())
}

/// Sends; false when the next stage has gone.
fn send<T>(sender: &SyncSender<Flow<T>>, flow: Flow<T>) -> bool {
    sender.send(flow).is_ok()
}

#[cfg(test)]
mod tests;
