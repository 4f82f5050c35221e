//! Scores the rows of a batch one to one: takes its records, yields for each of them its scores and masks or the reason
//! why it has none, in order. For programs that send documents and wait (`worker`, `serve`).
//!
//! Read-ahead blocks, windows and batches are those of a run that writes masks, so the scores of a batch are those of a
//! shard with the same rows, identical to the bit. Nothing is ranked beyond a document, so nothing waits for later rows.

use std::sync::Arc;

use anyhow::Context as _;
use rayon::prelude::*;
use rho_formats::{Answer, MaskRow, Record, Rejection};

use super::{
    LookAhead, ScoredDocument, Scorers, TokenDocument, Work,
    mask::{marked, row as masks_row},
    record::From,
    score::{Times, score},
    tokenize::{Gatherer, Row, tokenize},
};
use crate::groups::Group;

/// What becomes of each record of a batch, in order; none if the run is stopped. The shard is the only one of `work`.
///
/// # Errors
/// If a model fails.
pub(crate) fn answers(
    work: &Work<'_>,
    pool: &rayon::ThreadPool,
    scorers: &mut Scorers<'_>,
    records: Vec<Record>,
) -> anyhow::Result<Option<Vec<Answer>>> {
    let known: Vec<Known> = records.iter().map(Known::of).collect();
    let rows = tokenized(work, pool, records);
    let Some(scored) = scored(work, scorers, rows)? else {
        return Ok(None);
    };
    let answers = known.into_iter().zip(scored);
    let answers = answers.map(|(known, scored)| known.answer(work, scored));
    answers.collect::<anyhow::Result<_>>().map(Some)
}

/// The records of a batch as tokens, in order, tokenised on all threads of the pool.
pub(crate) fn tokenized(
    work: &Work<'_>,
    pool: &rayon::ThreadPool,
    records: Vec<Record>,
) -> Vec<Result<TokenDocument, Rejection>> {
    let shard = work.shards[0].name.as_str();
    let records = records.into_par_iter();
    pool.install(|| {
        records
            .map(|record| tokenize(work, shard, record))
            .collect()
    })
}

/// The scores of each of these rows, or the reason why it has none, in order; none if the run is stopped.
///
/// # Errors
/// If a model fails.
pub(crate) fn scored(
    work: &Work<'_>,
    scorers: &mut Scorers<'_>,
    rows: Vec<Result<TokenDocument, Rejection>>,
) -> anyhow::Result<Option<Vec<Result<ScoredDocument, String>>>> {
    let group = Group::alone(0, &work.shards[0].name);
    let unscored = || Err("it was not scored".to_owned());
    let mut answers: Vec<Result<ScoredDocument, String>> = Vec::new();
    answers.resize_with(rows.len(), unscored);
    let mut numbers = Vec::with_capacity(rows.len());
    let mut times = Times::default();
    let mut score = |block: LookAhead, numbers: &[i64], answers: &mut [_]| {
        let Some(scored) = score(work, &group, block, scorers, &mut times)? else {
            return Ok(false);
        };
        for Rejection { row, reason, .. } in scored.rejected {
            answers[row as usize] = Err(reason);
        }
        for mut scored in scored.documents {
            let index = scored.document.row as usize;
            scored.document.row = numbers[index];
            answers[index] = Ok(scored);
        }
        anyhow::Ok(true)
    };
    let mut gatherer = Gatherer::new(work, From::default());
    // Rows are known by their index until they are scored.
    for (index, mut document) in (0..).zip(rows) {
        let (Ok(TokenDocument { row, .. }) | Err(Rejection { row, .. })) = &mut document;
        numbers.push(std::mem::replace(row, index));
        let row = Row {
            member: 0,
            row: index,
            digest: 0,
            text: 0,
            document,
        };
        if let Some(block) = gatherer.push(row)
            && !score(block, &numbers, &mut answers)?
        {
            return Ok(None);
        }
    }
    let whole = score(gatherer.end(true), &numbers, &mut answers)?;
    Ok(whole.then_some(answers))
}

/// The row of a scored document, with its masks. Each document is a scope.
///
/// # Errors
/// If the rule cannot rank it.
pub(crate) fn masked(work: &Work<'_>, document: ScoredDocument) -> anyhow::Result<MaskRow> {
    let shard: Arc<str> = work.shards[0].name.as_str().into();
    let row = masks_row(&shard, document, work.plan.score_context);
    let (mut rows, _) = marked(work.plan, vec![row])?;
    let row = rows.pop().context("a row was lost when it was ranked")?;
    Ok(row.document)
}

/// What is known of a row before it is scored.
pub(crate) struct Known {
    row: i64,
    id: Option<String>,
}

impl Known {
    /// Of a record.
    pub(crate) fn of(record: &Record) -> Self {
        match record {
            Record::Document(document) => Self {
                row: document.row,
                id: Some(document.id.clone()),
            },
            Record::Rejected(rejection, id) => Self {
                row: rejection.row,
                id: id.clone(),
            },
        }
    }

    /// The answer to the row.
    ///
    /// # Errors
    /// If the rule cannot rank it.
    pub(crate) fn answer(
        self,
        work: &Work<'_>,
        scored: Result<ScoredDocument, String>,
    ) -> anyhow::Result<Answer> {
        let scored = match scored {
            Ok(document) => Ok(masked(work, document)?),
            Err(reason) => Err(reason),
        };
        Ok(Answer {
            row: self.row,
            id: self.id,
            scored,
        })
    }
}
