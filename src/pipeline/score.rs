//! Look-aheads to scores: batches to the scorer, its answers back to the documents they belong to.

use std::{
    sync::mpsc::{Receiver, SyncSender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rho_formats::Rejection;
use rho_reference::{Piece, Scorer};

use super::{
    Flow, LookAhead, Scored, ScoredDocument, TokenDocument, Work, batches::batches, for_each,
    pieces::spans, send,
};

/// Times of the stage, and what was done in them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// Time in the scorer.
    pub(super) busy: Duration,
    /// Time waiting for documents.
    pub(super) waited: Duration,
    /// Tokens of the documents scored.
    pub(super) tokens: u64,
}

/// What scoring a look-ahead cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Tokens in all batches, without padding; tokens of overlaps count each time.
    pub(super) tokens: u64,
    /// Tokens of padding.
    pub(super) padding: u64,
    pub(super) batches: u64,
}

/// Scores everything, until the run is to stop. The look-ahead in which that comes is dropped: it is scored again when the
/// run goes on.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<LookAhead>>,
    sender: SyncSender<Flow<Scored>>,
    scorer: &mut dyn Scorer,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let mut shard = "";
    let mut free = Instant::now();
    for_each(receiver, |flow| {
        times.waited += free.elapsed();
        let going_on = match flow {
            Flow::Begin(i, from) => {
                shard = &work.shards[i].name;
                work.progress.shard(i);
                send(&sender, Flow::Begin(i, from))
            }
            Flow::Part(look_ahead) => {
                let scored = score(work, shard, look_ahead, scorer, &mut times)?;
                scored.is_some_and(|scored| send(&sender, Flow::Part(scored)))
            }
            Flow::End(look_ahead, broken) => {
                let scored = score(work, shard, look_ahead, scorer, &mut times)?;
                scored.is_some_and(|scored| send(&sender, Flow::End(scored, broken)))
            }
        };
        free = Instant::now();
        Ok(going_on)
    })?;
    Ok(times)
}

/// Scores one look-ahead; none where the run is to stop before its end. A document whose scores are not numbers becomes a rejection.
fn score(
    work: &Work<'_>,
    shard: &str,
    look_ahead: LookAhead,
    scorer: &mut dyn Scorer,
    times: &mut Times,
) -> anyhow::Result<Option<Scored>> {
    let LookAhead {
        documents,
        mut rejected,
        bytes,
        next,
        ends_scope,
        ..
    } = look_ahead;
    let mut cost = Cost::default();
    let unscored = |document: TokenDocument| {
        let nothing = vec![f32::NAN; document.tokens.len()];
        ScoredDocument {
            loss: nothing.clone(),
            entropy: nothing,
            document,
        }
    };
    let mut documents: Vec<ScoredDocument> = documents.into_iter().map(unscored).collect();
    let mut all = Vec::new();
    for (d, scored) in documents.iter().enumerate() {
        let spans = spans(
            scored.document.tokens.len(),
            work.plan.context,
            work.plan.overlap,
        );
        all.extend(spans.into_iter().map(|span| (d, span)));
    }
    let lengths: Vec<usize> = all.iter().map(|(_, span)| span.range.len()).collect();
    for batch in batches(&lengths, work.plan.batch_tokens) {
        if work.stop.requested() {
            return Ok(None);
        }
        let piece = |&i: &usize| {
            let (d, span) = &all[i];
            let tokens = &documents[*d].document.tokens[span.range.clone()];
            Piece {
                tokens,
                scored_from: span.scored_from - span.range.start,
            }
        };
        let pieces: Vec<Piece<'_>> = batch.iter().map(piece).collect();
        let tokens: usize = pieces.iter().map(|p| p.tokens.len()).sum();
        let longest = lengths[batch[0]];
        let start = Instant::now();
        let scores = scorer.score(&pieces).with_context(|| {
            let last = next.row - 1;
            format!(
                "scoring batch {} of the look-ahead that ends at {shard} row {last}",
                cost.batches + 1
            )
        })?;
        times.busy += start.elapsed();
        cost.batches += 1;
        cost.tokens += tokens as u64;
        cost.padding += (longest * pieces.len() - tokens) as u64;
        for (&i, scores) in batch.iter().zip(scores) {
            let (d, span) = &all[i];
            let scored = span.scored_from..span.range.end;
            documents[*d].loss[scored.clone()].copy_from_slice(&scores.loss);
            documents[*d].entropy[scored].copy_from_slice(&scores.entropy);
        }
        work.progress.tokens(tokens);
    }
    let round = |score: &mut f32| *score = work.plan.score_type.round(*score);
    documents.retain_mut(|scored| {
        let numbers = |scores: &[f32]| scores.iter().skip(1).position(|s| !s.is_finite());
        let wrong = numbers(&scored.loss)
            .map(|i| (i, "loss"))
            .or(numbers(&scored.entropy).map(|i| (i, "entropy")));
        if let Some((i, column)) = wrong {
            let value = if column == "loss" {
                scored.loss[i + 1]
            } else {
                scored.entropy[i + 1]
            };
            let reason = format!(
                "token {}: expected a finite {column} from the reference, got {value}",
                i + 1
            );
            rejected.push(Rejection {
                shard: shard.to_owned(),
                row: scored.document.row,
                reason,
            });
        }
        // What is ranked later is what is stored; what is no number was told before it was rounded.
        scored
            .loss
            .iter_mut()
            .chain(&mut scored.entropy)
            .for_each(round);
        wrong.is_none()
    });
    rejected.sort_by_key(|rejection| rejection.row);
    let tokens = documents.iter().map(|d| d.document.tokens.len() as u64);
    times.tokens += tokens.sum::<u64>();
    work.progress.reach(bytes);
    Ok(Some(Scored {
        documents,
        rejected,
        cost,
        next,
        ends_scope,
    }))
}
