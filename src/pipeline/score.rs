//! Scores read-ahead blocks: sends batches to the models, which are the same on each device, and puts the scores back
//! into their documents. Which device takes which batch varies between runs; what is in a batch does not. All models of
//! a device score a batch in turn.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rho_formats::{Rejection, TopTokens};
use rho_reference::{ReferenceError, Scores, TokenWindow};

use super::{
    Flow, LookAhead, Panel, Scored, ScoredDocument, Scorers, TokenDocument, Work,
    after_text::AfterText,
    batches::batches,
    for_each, join,
    output::lock,
    send,
    windows::{Window, windows},
};
use crate::groups::Group;

/// Times of the stage, and the tokens scored in them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// Time in the scorer.
    pub(super) busy: Duration,
    /// Time waiting for documents.
    pub(super) waited: Duration,
    /// Tokens of the documents scored.
    pub(super) tokens: u64,
}

/// The cost of scoring a read-ahead block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Tokens in all batches, without padding; overlapping tokens count each time.
    pub(super) tokens: u64,
    /// Tokens of padding.
    pub(super) padding: u64,
    pub(super) batches: u64,
}

/// Scores everything, until the run is stopped. The block in flight is then dropped; it is scored again when the run is
/// resumed.
pub(super) fn run(
    work: &Work<'_>,
    groups: &[Group],
    receiver: Receiver<Flow<LookAhead>>,
    sender: SyncSender<Flow<Scored>>,
    scorers: &mut Scorers<'_>,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let mut group = &Group::alone(0, "");
    let mut free = Instant::now();
    for_each(receiver, |flow| {
        times.waited += free.elapsed();
        let going_on = match flow {
            Flow::Begin(i, from) => {
                group = &groups[i];
                work.progress.start();
                send(&sender, Flow::Begin(i, from))
            }
            Flow::Part(look_ahead) => {
                let scored = score(work, group, look_ahead, scorers, &mut times)?;
                scored.is_some_and(|scored| send(&sender, Flow::Part(scored)))
            }
            Flow::End(look_ahead) => {
                let scored = score(work, group, look_ahead, scorers, &mut times)?;
                if scored.is_some() {
                    work.progress.shard_scored(group.members.start);
                }
                scored.is_some_and(|scored| send(&sender, Flow::End(scored)))
            }
        };
        free = Instant::now();
        Ok(going_on)
    })?;
    Ok(times)
}

/// Scores one read-ahead block; none if the run is stopped before its end. A document with a score that is not finite
/// becomes a rejection.
pub(super) fn score(
    work: &Work<'_>,
    group: &Group,
    look_ahead: LookAhead,
    scorers: &mut Scorers<'_>,
    times: &mut Times,
) -> anyhow::Result<Option<Scored>> {
    let LookAhead {
        documents,
        mut rejected,
        broken,
        text,
        next,
        ends_scope,
        ..
    } = look_ahead;
    let mut cost = Cost::default();
    let columns = work.plan.columns();
    let own_columns: Vec<String> = (0..columns.models())
        .flat_map(|model| columns.of_model(model))
        .collect();
    let unscored = |document: TokenDocument| ScoredDocument {
        scores: vec![vec![f32::NAN; document.tokens.len()]; own_columns.len()],
        top: work.plan.top.map(|count| TopTokens {
            ids: vec![0; document.tokens.len() * count],
            logprobs: vec![f32::NAN; document.tokens.len() * count],
        }),
        document,
    };
    let mut documents: Vec<ScoredDocument> = documents.into_iter().map(unscored).collect();
    let mut all = Vec::new();
    for (d, scored) in documents.iter().enumerate() {
        let windows = windows(
            scored.document.tokens.len(),
            work.plan.context,
            work.plan.overlap,
        );
        all.extend(windows.into_iter().map(|window| (d, window)));
    }
    // Batched by themselves: the other scores are those of a run without them, to the bit.
    let after_text = AfterText::of(&documents, work.plan.batch_tokens, &mut cost);
    let batches = in_batches(&all, work.plan.batch_tokens, &mut cost);
    let start = Instant::now();
    let own_tokens = own_tokens(&all) + after_text.tokens();
    let number = group.members.start;
    // Tokens of a block are taken to have the same share of its text.
    let scored = |tokens: usize| {
        let share = tokens as f64 / own_tokens as f64;
        work.progress.scored(number, tokens, text as f64 * share);
    };
    let place = || {
        let member = work.shards.get(number + next.member);
        let (shard, last) = (
            member.map_or("the end", |shard| &shard.name),
            (next.row - 1).max(0),
        );
        format!("scoring the read-ahead block that ends at {shard} row {last}")
    };
    let tokens = |d: usize| documents[d].document.tokens.as_slice();
    let scores = score_batches(work, &tokens, &all, &batches, scorers, &scored);
    let scores = scores.with_context(place)?;
    let after = after_text.score(work, &documents, columns.references, scorers, &scored);
    let after = after.with_context(place)?;
    times.busy += start.elapsed();
    let (Some(scores), Some(after)) = (scores, after) else {
        return Ok(None);
    };
    for (batch, models) in scores {
        let mut first = 0;
        for (model, scores) in models.into_iter().enumerate() {
            // The entropy of a base is not stored.
            let its_columns = first..first + columns.of_model(model).len();
            for (&i, scores) in batches[batch].iter().zip(scores) {
                let (d, window) = &all[i];
                let scored = window.scored_from..window.range.end;
                for (column, its) in its_columns.clone().zip([scores.loss, scores.entropy]) {
                    documents[*d].scores[column][scored.clone()].copy_from_slice(&its);
                }
                // Those of a base are not stored.
                if let (0, Some(top), Some(count)) = (model, &mut documents[*d].top, work.plan.top)
                {
                    let items = scored.start * count..scored.end * count;
                    top.ids[items.clone()].copy_from_slice(&scores.top.ids);
                    top.logprobs[items].copy_from_slice(&scores.top.logprobs);
                }
            }
            first = its_columns.end;
        }
    }
    let round = |score: f32| work.plan.score_type.round(score);
    let after_names = columns.after_text();
    let mut after = after.into_iter();
    documents.retain_mut(|scored| {
        let mut after = after.next().unwrap_or_default();
        let own = own_columns.iter().zip(&scored.scores);
        let wrong = own
            .chain(after_names.iter().cycle().zip(&after))
            .find_map(|(name, scores)| {
                let i = scores.iter().skip(1).position(|s| !s.is_finite())? + 1;
                Some((i, name, scores[i]))
            });
        let wrong = wrong.map(|(i, column, value)| {
            format!("token {i}: expected a finite {column} from the reference, got {value}")
        });
        if let Some(reason) = wrong.or_else(|| without_top(scored, work.plan.top?)) {
            let TokenDocument { member, row, .. } = scored.document;
            let shard = work.shards[group.members.start + member].name.clone();
            rejected.push((member, Rejection { shard, row, reason }));
            return false;
        }
        // Selections rank the stored values. Scores that are not finite were reported above, before rounding.
        let own = scored.scores.iter_mut();
        let all = own.chain(&mut after).flatten();
        let top = scored.top.iter_mut().flat_map(|top| &mut top.logprobs);
        all.chain(top).for_each(|score| *score = round(*score));
        scored.scores = columns.of_scores(std::mem::take(&mut scored.scores), after, round);
        true
    });
    rejected.sort_by_key(|(member, rejection)| (*member, rejection.row));
    let tokens = documents.iter().map(|d| d.document.tokens.len() as u64);
    let tokens = tokens.sum::<u64>();
    times.tokens += tokens;
    work.progress.block_scored(number, tokens, text as f64);
    Ok(Some(Scored {
        documents,
        rejected: rejected.into_iter().map(|(_, rejected)| rejected).collect(),
        broken,
        cost,
        next,
        ends_scope,
    }))
}

/// Why the most likely tokens of a scored document cannot be stored; none if they can.
fn without_top(scored: &ScoredDocument, count: usize) -> Option<String> {
    let logprobs = &scored.top.as_ref()?.logprobs;
    let items = logprobs.iter().skip(count);
    let i = items.clone().position(|logprob| logprob.is_nan())? / count + 1;
    Some(format!(
        "token {i}: expected {count} tokens with log-probabilities from the reference, got NaN"
    ))
}

/// The tokens of the documents that these windows count.
pub(super) fn own_tokens(windows: &[(usize, Window)]) -> usize {
    windows.iter().map(|(_, window)| window.own()).sum()
}

/// Groups windows into batches, and adds what they cost.
pub(super) fn in_batches(
    windows: &[(usize, Window)],
    budget: usize,
    cost: &mut Cost,
) -> Vec<Vec<usize>> {
    let lengths: Vec<usize> = windows
        .iter()
        .map(|(_, window)| window.range.len())
        .collect();
    let batches = batches(&lengths, budget);
    for batch in &batches {
        let tokens: usize = batch.iter().map(|&i| lengths[i]).sum();
        cost.tokens += tokens as u64;
        cost.padding += (lengths[batch[0]] * batch.len() - tokens) as u64;
    }
    cost.batches += batches.len() as u64;
    batches
}

/// The number of a batch and the scores of its windows, by model.
pub(super) type Done = (usize, Vec<Vec<Scores>>);

/// The scores of each batch with its number, in the order in which the batches finished; none if the run is stopped.
/// `scored` is told the tokens of each.
pub(super) fn score_batches<'a>(
    work: &Work<'_>,
    document: &(dyn Fn(usize) -> &'a [u32] + Sync),
    windows: &[(usize, Window)],
    batches: &[Vec<usize>],
    scorers: &mut Scorers<'_>,
    scored: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Option<Vec<Done>>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let take = |panel: &mut Panel<'_>| -> anyhow::Result<bool> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(number) else {
                return Ok(true);
            };
            if work.stop.requested() {
                return Ok(false);
            }
            let tokens = |&i: &usize| {
                let (d, window) = &windows[i];
                TokenWindow {
                    tokens: &document(*d)[window.range.clone()],
                    scored_from: window.scored_from - window.range.start,
                }
            };
            let batch_windows: Vec<TokenWindow<'_>> = batch.iter().map(tokens).collect();
            let scores = panel.iter_mut().map(|scorer| scorer.score(&batch_windows));
            let scores = scores.collect::<Result<Vec<_>, _>>();
            if scores.is_err() {
                // The other devices need not start another batch.
                next.store(batches.len(), Ordering::Relaxed);
            }
            if let Err(ReferenceError::Stopped) = scores {
                return Ok(false);
            }
            let scores = scores.with_context(|| format!("batch {}", number + 1))?;
            scored(batch.iter().map(|&i| windows[i].1.own()).sum());
            lock(&done).push((number, scores));
        }
    };
    let whole = match scorers {
        [panel] => take(panel)?,
        scorers => std::thread::scope(|scope| {
            let threads: Vec<_> = scorers
                .iter_mut()
                .map(|panel| scope.spawn(|| take(panel)))
                .collect();
            let mut whole = true;
            for thread in threads {
                whole &= join(thread)?;
            }
            anyhow::Ok(whole)
        })?,
    };
    let done = done.into_inner();
    let done = done.unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(whole.then_some(done))
}
