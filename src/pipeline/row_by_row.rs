//! Scores the rows of a batch one to one: takes its records, yields for each of them its scores and masks or the reason
//! why it has none, in order. For programs that send documents and wait (`worker`, `serve`).
//!
//! Read-ahead blocks, windows and batches are those of a run that writes masks, so the scores of a batch are those of a
//! shard with the same rows, identical to the bit. Nothing is ranked beyond a document, so nothing waits for later rows.

use std::sync::Arc;

use rayon::prelude::*;
use rho_formats::{Answer, Record, Rejection};

use super::{
    LookAhead, Scored, Scorers, Work,
    mask::{marked, row as masks_row},
    read::size,
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
    let shard: Arc<str> = work.shards[0].name.as_str().into();
    let group = Group::alone(0, &shard);
    let mut answers: Vec<Answer> = records.iter().map(unanswered).collect();
    // Rows are known by their index in the batch until they are answered.
    let tokenized = |(index, record): (usize, Record)| {
        let text = size(&record);
        let document = tokenize(work, &shard, record);
        let index = index as i64;
        Row {
            member: 0,
            row: index,
            digest: 0,
            text,
            document: document
                .map(|document| super::TokenDocument {
                    row: index,
                    ..document
                })
                .map_err(|rejection| Rejection {
                    row: index,
                    ..rejection
                }),
        }
    };
    let records = records.into_par_iter().enumerate();
    let rows: Vec<Row> = pool.install(|| records.map(tokenized).collect());
    let mut times = Times::default();
    let mut score = |block: LookAhead, answers: &mut [Answer]| {
        let Some(scored) = score(work, &group, block, scorers, &mut times)? else {
            return Ok(false);
        };
        answer(work, &shard, scored, answers)?;
        anyhow::Ok(true)
    };
    let mut gatherer = Gatherer::new(work, From::default());
    for row in rows {
        if let Some(block) = gatherer.push(row)
            && !score(block, &mut answers)?
        {
            return Ok(None);
        }
    }
    Ok(score(gatherer.end(true), &mut answers)?.then_some(answers))
}

/// The answer to a record before it is scored.
fn unanswered(record: &Record) -> Answer {
    let (row, id) = match record {
        Record::Document(document) => (document.row, Some(document.id.clone())),
        Record::Rejected(rejection, id) => (rejection.row, id.clone()),
    };
    Answer {
        row,
        id,
        scored: Err("it was not scored".to_owned()),
    }
}

/// Puts the scores of a read-ahead block into the answers.
fn answer(
    work: &Work<'_>,
    shard: &Arc<str>,
    scored: Scored,
    answers: &mut [Answer],
) -> anyhow::Result<()> {
    for Rejection { row, reason, .. } in scored.rejected {
        answers[row as usize].scored = Err(reason);
    }
    for document in scored.documents {
        let row = masks_row(shard, document, work.plan.score_context);
        // Each document is a scope.
        let (rows, _) = marked(work.plan, vec![row])?;
        for mut row in rows {
            let answer = &mut answers[row.document.row as usize];
            row.document.row = answer.row;
            answer.scored = Ok(row.document);
        }
    }
    Ok(())
}
