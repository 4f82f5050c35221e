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
//! * `score`: batches to loss and entropy, back in the documents' order; those of several models are combined by `plan::columns`.
//! * `mask`: scores to masks, scope by scope; `rejected` counts the rows without a document.
//!
//! * `output`: the folder (`store`, `shard_files`, `record`) or the stream that takes them.
//! * `conclude`, `summary`: what came of it.
//! * `in_memory`: scores without a folder.
//!
//! Memory: at most two look-aheads wait between two stages, and one scope of masks before the writer; nothing grows
//! with the corpus. What is batched and ranked together depends on the shard alone: look-aheads and scopes start anew
//! at each shard, and a scope consists of whole look-aheads.
//!
//! A look-ahead is also the unit of going on after an interruption: after each, `shard_files` puts onto the disk what
//! came of it and where its shard goes on. What was under way is scored again, in the same batches, so that the result
//! is the same to the byte.
//!
//! A stage that fails returns its error and lets go of its channels; its neighbours find them closed and end quietly.

mod batches;
pub(crate) mod conclude;
pub(crate) mod in_memory;
mod load;
mod mask;
pub(crate) mod output;
pub(crate) mod pieces;
mod read;
pub(crate) mod record;
mod rejected;
mod score;
mod shard_files;
pub(crate) mod store;
pub mod summary;
pub(crate) mod tokenize;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rho_formats::{Rejection, Shard};
use rho_reference::Scorer;

use crate::{
    document::Document, plan::Plan, progress::Progress, stop::Stop, tokenization::Tokenization,
};
pub(crate) use load::LoadedModels;
use output::{Output, Totals};
use record::From;
use score::Cost;
use summary::Seconds;

/// What a stage hands to the next: the parts of a shard between its beginning and its end.
enum Flow<T> {
    /// The shard with this number begins, or goes on there.
    Begin(usize, From),
    /// Some of its documents.
    Part(T),
    /// Its last documents; also the break, if that came before its real end. In one message, for what is done of a
    /// shard up to a break is no place to go on from.
    End(T, Option<Break>),
}

/// Where and why a shard ends before its end.
struct Break {
    row: i64,
    reason: String,
}

/// A document as token ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenDocument {
    pub(crate) id: String,
    pub(crate) row: i64,
    pub(crate) tokens: Vec<u32>,
    /// Its text, where the masks are to hold it.
    pub(crate) text: Option<String>,
    /// Where it says it is from, where the masks are to hold that.
    pub(crate) source: Option<String>,
}

/// Documents that are batched together.
#[derive(Debug, Default)]
struct LookAhead {
    documents: Vec<TokenDocument>,
    rejected: Vec<Rejection>,
    tokens: usize,
    /// Bytes of the shard read so far, as they lie.
    bytes: u64,
    /// Where the shard goes on after it.
    next: From,
    /// A scope ends with it.
    ends_scope: bool,
}

/// A document with its columns of scores, token-aligned, NaN where a token was not scored.
#[derive(Debug, Clone)]
struct ScoredDocument {
    document: TokenDocument,
    scores: Vec<Vec<f32>>,
}

/// A look-ahead after scoring.
#[derive(Debug)]
struct Scored {
    documents: Vec<ScoredDocument>,
    rejected: Vec<Rejection>,
    cost: Cost,
    next: From,
    ends_scope: bool,
}

/// What a run leaves behind, beside the masks.
#[derive(Debug)]
pub struct Report {
    /// Everything that was counted, also by the runs that this one went on with.
    pub(crate) totals: Totals,
    /// Tokens of the documents that this run scored.
    pub tokens: u64,
    /// Times of this run.
    pub seconds: Seconds,
    /// The first document with something scored in it.
    pub(crate) sample: Option<Document>,
}

/// What the stages work on.
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) shards: &'a [Shard],
    pub(crate) tokenization: Option<&'a Tokenization>,
    pub(crate) progress: &'a Progress,
    pub(crate) stop: &'a Stop,
}

/// The models on one device, in the order of the plan: the references, then the base.
pub(crate) type Panel<'a> = Vec<&'a mut (dyn Scorer + Send)>;

/// What scores: the same models on each device, at least one.
pub(crate) type Scorers<'a> = [Panel<'a>];

/// Runs all stages to the end, or until the run is to stop. Bad documents and broken shards are recorded in the masks
/// folder and counted; anything else that goes wrong is an error, and what was written before stays.
pub(crate) fn run(
    work: &Work<'_>,
    scorers: &mut Scorers<'_>,
    output: &Output<'_>,
) -> anyhow::Result<Report> {
    let todo = output.todo();
    let (documents, to_tokenize) = sync_channel(4);
    let (look_aheads, to_score) = sync_channel(2);
    let (scores, to_mask) = sync_channel(2);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read::run(work, &todo, documents));
        let tokenizer = scope.spawn(move || tokenize::run(work, to_tokenize, look_aheads));
        let masker = scope.spawn(move || mask::run(work, to_mask, output));
        let scored = score::run(work, to_score, scores, scorers);
        // The last stage first: when it fails, the others only find a closed channel.
        let (masked, scored, tokenized, read) =
            (join(masker)?, scored?, join(tokenizer)?, join(reader)?);
        let totals = output.totals();
        let seconds = Seconds {
            read: read.as_secs_f64(),
            tokenize: tokenized.as_secs_f64(),
            score: scored.busy.as_secs_f64(),
            starved: scored.waited.as_secs_f64(),
            mask: masked.busy.as_secs_f64(),
            ..Seconds::default()
        };
        Ok(Report {
            tokens: scored.tokens,
            totals,
            seconds,
            sample: masked.sample,
        })
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
mod resume_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
