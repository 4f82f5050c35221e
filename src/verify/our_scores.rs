//! Scores a sample with rho-mask, as `score` does and in other batches. A token's score must not depend on what it is
//! batched with.

use std::ops::Range;

use rho_formats::Rejection;

use super::{TokenScores, sample::Sample};
use crate::{
    cli::ProgressKind,
    groups::Group,
    hinted_error::HintedError,
    pipeline::{LoadedModels, Scorers, TokenDocument, Work, in_memory},
    plan::{Plan, Prepared},
    progress::Progress,
    stop::Stop,
};

/// Factor on the tokens of a batch, for large batches.
const LARGE: usize = 8;
/// Documents batched together in the reversed order.
const TOGETHER: usize = 8;

/// The scores of a sample.
pub(crate) struct Scored {
    /// As `score` computes them; in the order of the sample.
    pub(crate) scores: Vec<TokenScores>,
    /// In other batches.
    pub(crate) others: Vec<(Batching, Vec<TokenScores>)>,
}

/// A way to make batches.
#[derive(Debug, Clone)]
pub(crate) struct Batching {
    /// What is different about it.
    pub(crate) name: &'static str,
    pub(crate) batch_tokens: usize,
    documents: usize,
    reversed: bool,
}

impl Batching {
    fn others(plan: &Plan) -> [Self; 3] {
        let usual = |name| Self {
            name,
            batch_tokens: plan.batch_tokens,
            documents: usize::MAX,
            reversed: false,
        };
        [
            Self {
                batch_tokens: 1,
                ..usual("each window alone")
            },
            Self {
                batch_tokens: plan.batch_tokens.saturating_mul(LARGE),
                ..usual("larger batches")
            },
            // In read-ahead blocks of few documents, so that other documents are batched together.
            Self {
                documents: TOGETHER,
                reversed: true,
                ..usual("the other order")
            },
        ]
    }

    fn plan(&self, plan: &Plan) -> Plan {
        Plan {
            batch_tokens: self.batch_tokens,
            look_ahead_documents: self.documents,
            look_ahead_tokens: usize::MAX,
            ..plan.clone()
        }
    }
}

/// Loads the model, scores the sample in all ways, and drops the model; None if stopped.
pub(crate) fn score(
    prepared: &Prepared,
    sample: &Sample,
    stop: &Stop,
) -> anyhow::Result<Option<Scored>> {
    let plan = &prepared.plan;
    // One device is enough: a sample is small.
    let mut loaded = LoadedModels::of(prepared, 1)?;
    let mut scorers = loaded.panels();
    let progress = Progress::new(&prepared.shards, &[], ProgressKind::None);
    let work = Work {
        plan,
        shards: &prepared.shards,
        encoder: prepared.encoder(),
        progress: &progress,
        stop,
    };
    // As in `score`, no batch spans two shards.
    let by_shard = sample.documents.chunk_by(|a, b| a.shard == b.shard);
    let mut from = 0;
    let runs: Vec<Range<usize>> = by_shard
        .map(|documents| {
            from += documents.len();
            from - documents.len()..from
        })
        .collect();
    let mut scores = vec![TokenScores::default(); sample.documents.len()];
    for run in runs {
        if !measure(&work, sample, run, &mut scorers, &mut scores)? {
            return Ok(None);
        }
    }
    let mut others = Vec::new();
    for batching in Batching::others(plan) {
        let plan = batching.plan(plan);
        let work = Work {
            plan: &plan,
            ..work
        };
        let all = 0..sample.documents.len();
        let mut scores = vec![TokenScores::default(); all.len()];
        let done = match batching.reversed {
            true => measure(&work, sample, all.rev(), &mut scorers, &mut scores)?,
            false => measure(&work, sample, all, &mut scorers, &mut scores)?,
        };
        if !done {
            return Ok(None);
        }
        others.push((batching, scores));
    }
    Ok(Some(Scored { scores, others }))
}

/// Scores some documents of a sample, given by index; false if stopped.
fn measure(
    work: &Work<'_>,
    sample: &Sample,
    documents: impl Iterator<Item = usize> + Clone,
    scorers: &mut Scorers<'_>,
    scores: &mut [TokenScores],
) -> anyhow::Result<bool> {
    let Some(first) = documents.clone().next() else {
        return Ok(true);
    };
    let shard = sample.documents[first].shard;
    // The row is set to the document's index, to match its scores to it.
    let rows = documents.map(|number| {
        let document = TokenDocument {
            row: number as i64,
            ..sample.documents[number].document.clone()
        };
        Ok((0, Ok(document)))
    });
    let each = |measured: Result<in_memory::Measured, Rejection>| match measured {
        Ok(measured) => {
            let wide = |scores: Vec<f32>| scores.into_iter().map(f64::from).collect();
            scores[measured.row as usize] = TokenScores {
                loss: wide(measured.loss),
                entropy: wide(measured.entropy),
            };
            Ok(())
        }
        Err(Rejection { row, reason, .. }) => {
            let sampled = &sample.documents[row as usize];
            Err(HintedError::error(
                format!(
                    "{} row {}: {reason}",
                    work.shards[sampled.shard].name, sampled.document.row
                ),
                "`score` skips such a document, but the model cannot be verified with it",
            ))
        }
    };
    let group = Group::alone(shard, &work.shards[shard].name);
    in_memory::measure(work, &group, rows, scorers, each)
}
