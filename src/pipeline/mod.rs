//! The pipeline from a corpus to masks: four stages that run at the same time, connected by bounded channels.
//!
//! ```text
//! read ── documents ──► tokenize ── read-ahead blocks ──► score ── scores ──► mask ──► Arrow shards
//! one thread            all cores                         the device          one thread
//! ```
//!
//! * `read`: reads the documents of the shards, in order.
//! * `tokenize`: tokenises documents and gathers them into read-ahead blocks (`LookAhead`).
//! * `windows`: cuts a document into the windows that are scored.
//! * `batches`: groups the windows of a block into batches with little padding.
//! * `after_text`: the same windows after a text that stands before a document.
//! * `score`: computes loss, entropy and the most likely tokens of the batches, in document order; `plan::columns` combines those of several
//!   models.
//! * `mask`: turns scores into masks, scope by scope; `rejected` counts the rows without a document.
//!
//! * `output`: the folder (`store`, `shard_files`, `record`) or the stream that the masks are written to.
//! * `finish`, `summary`: finish the folder and summarise the run.
//! * `in_memory`: scores without a folder; `row_by_row`: answers to the rows of a batch.
//!
//! Memory: at most two blocks wait between two stages, and one scope of masks before the writer; nothing grows with the
//! corpus. What is batched and ranked together depends only on the group of shards (see `crate::groups`; most shards are
//! a group by themselves): blocks and scopes start anew at each group, and a scope consists of whole blocks.
//!
//! A block is also the unit of resuming: after each block, `shard_files` writes its results and the position in its
//! group to disk. A block that was in flight is scored again, in the same batches, so the output is identical to the
//! byte.
//!
//! A stage that fails returns its error and drops its channels; its neighbours find them closed and end quietly.

mod after_text;
mod batches;
pub(crate) mod finish;
pub(crate) mod in_memory;
mod load;
mod mask;
pub(crate) mod output;
mod read;
mod reasons;
pub(crate) mod record;
pub(crate) mod rejected;
pub(crate) mod row_by_row;
mod score;
mod shard_files;
pub(crate) mod store;
pub mod summary;
pub(crate) mod tokenize;
pub(crate) mod windows;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rho_formats::{Rejection, Shard, TopTokens};
use rho_reference::Scorer;

use crate::{content::Encoder, document::Document, plan::Plan, progress::Progress, stop::Stop};
pub(crate) use load::LoadedModels;
use output::{Output, Totals};
use record::From;
use score::Cost;
use summary::Seconds;

/// A message from one stage to the next: the start, a part or the end of a group.
enum Flow<T> {
    /// The group with this number starts, or resumes at this position.
    Begin(usize, From),
    /// Some of its documents.
    Part(T),
    /// Its last documents.
    End(T),
}

/// Where and why a shard ended early. It travels with the documents before it, so that a position after it is recorded
/// together with it.
#[derive(Debug)]
struct Break {
    /// The number of the shard in its group.
    member: usize,
    row: i64,
    reason: String,
}

/// A document as token ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenDocument {
    /// The number of its shard in the group.
    pub(crate) member: usize,
    pub(crate) id: String,
    pub(crate) row: i64,
    pub(crate) tokens: Vec<u32>,
    /// Which tokens may be targets, if the masks have that column.
    pub(crate) target: Option<Vec<bool>>,
    /// Its tokens after a text that stands before them, if they are scored there too.
    pub(crate) after_text: Option<Vec<u32>>,
    /// Its text, if the masks store it.
    pub(crate) text: Option<String>,
    /// Its source, if the masks store it.
    pub(crate) source: Option<String>,
}

/// A read-ahead block: documents that are batched together.
#[derive(Debug, Default)]
struct LookAhead {
    documents: Vec<TokenDocument>,
    /// Each with the number of its shard in the group.
    rejected: Vec<(usize, Rejection)>,
    broken: Vec<Break>,
    tokens: usize,
    /// Bytes of the text of its rows.
    text: usize,
    /// The position in the group after this block.
    next: From,
    /// Whether a scope ends with this block.
    ends_scope: bool,
}

/// A document with its score columns, token-aligned; NaN if a token was not scored.
#[derive(Debug, Clone)]
pub(crate) struct ScoredDocument {
    pub(crate) document: TokenDocument,
    /// Those of the plan, in its order.
    pub(crate) scores: Vec<Vec<f32>>,
    /// The most likely tokens, if the masks store them.
    pub(crate) top: Option<TopTokens>,
}

/// A read-ahead block after scoring.
#[derive(Debug)]
struct Scored {
    documents: Vec<ScoredDocument>,
    rejected: Vec<Rejection>,
    broken: Vec<Break>,
    cost: Cost,
    next: From,
    ends_scope: bool,
}

/// The result of a run, besides the masks.
#[derive(Debug)]
pub struct Report {
    /// All counts, including those of the runs that this one resumed.
    pub(crate) totals: Totals,
    /// Tokens of the documents that this run scored.
    pub tokens: u64,
    /// Times of this run.
    pub seconds: Seconds,
    /// The first document with a scored token.
    pub(crate) sample: Option<Document>,
    /// Why rows were rejected in this run, the most common reasons.
    pub(crate) reasons: Vec<reasons::Reason>,
}

/// The inputs of all stages.
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) shards: &'a [Shard],
    pub(crate) encoder: Encoder<'a>,
    pub(crate) progress: &'a Progress,
    pub(crate) stop: &'a Stop,
}

/// The models on one device, in the order of the plan: the references, then the base.
pub(crate) type Panel<'a> = Vec<&'a mut (dyn Scorer + Send)>;

/// The models on all devices: the same models on each, at least one device.
pub(crate) type Scorers<'a> = [Panel<'a>];

/// Runs all stages to the end, or until the run is stopped. Bad documents and broken shards are counted and recorded in
/// the masks folder. Any other failure is an error; what was written before stays.
pub(crate) fn run(
    work: &Work<'_>,
    scorers: &mut Scorers<'_>,
    output: &Output<'_>,
) -> anyhow::Result<Report> {
    let (groups, todo) = (output.groups(), output.todo());
    let (documents, to_tokenize) = sync_channel(4);
    let (look_aheads, to_score) = sync_channel(2);
    let (scores, to_mask) = sync_channel(2);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read::run(work, groups, &todo, documents));
        let tokenizer = scope.spawn(move || tokenize::run(work, groups, to_tokenize, look_aheads));
        let masker = scope.spawn(move || mask::run(work, to_mask, output));
        let scored = score::run(work, groups, to_score, scores, scorers);
        // Join the last stage first: if it fails, the others only see a closed channel.
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
            reasons: masked.reasons,
        })
    })
}

/// The result of a stage; a panic is resumed in the caller.
fn join<T>(stage: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    stage
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Receives everything from a channel; `each` returns false if the next stage has ended.
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

/// Sends a message; false if the next stage has ended.
fn send<T>(sender: &SyncSender<Flow<T>>, flow: Flow<T>) -> bool {
    sender.send(flow).is_ok()
}

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod progress_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
