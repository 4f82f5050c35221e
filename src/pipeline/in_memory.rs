//! Scores documents without a folder, for commands that measure a model and store nothing.
//!
//! Read-ahead blocks, windows and batches are those of a run that writes masks, so the scores of a group are identical
//! to the bit.

use rho_formats::Rejection;

use super::{
    LookAhead, Scorers, TokenDocument, Work,
    record::From,
    score::{Times, score},
    tokenize::{Gatherer, Row},
};
use crate::groups::Group;

/// A document with its loss and entropy, token-aligned; NaN if a token was not scored.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: i64,
    pub(crate) tokens: Vec<u32>,
    /// Which of them may be targets, if not all.
    pub(crate) target: Option<Vec<bool>>,
    /// Only if the plan keeps texts.
    pub(crate) text: Option<String>,
    pub(crate) loss: Vec<f32>,
    pub(crate) entropy: Vec<f32>,
}

/// Scores the rows of one group in order, each with the number of its shard in the group, and passes the documents of each
/// read-ahead block to `each` once they are scored. Returns false if the run was stopped before the end.
pub(crate) fn measure(
    work: &Work<'_>,
    group: &Group,
    rows: impl Iterator<Item = anyhow::Result<(usize, Result<TokenDocument, Rejection>)>>,
    scorers: &mut Scorers<'_>,
    mut each: impl FnMut(Result<Measured, Rejection>) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut times = Times::default();
    let mut gatherer = Gatherer::new(work, From::default());
    let mut score = |look_ahead: LookAhead| {
        let Some(scored) = score(work, group, look_ahead, scorers, &mut times)? else {
            return Ok(false);
        };
        for rejection in scored.rejected {
            each(Err(rejection))?;
        }
        for scored in scored.documents {
            let mut columns = scored.scores.into_iter();
            let mut column = || columns.next().unwrap_or_default();
            each(Ok(Measured {
                row: scored.document.row,
                tokens: scored.document.tokens,
                target: scored.document.target,
                text: scored.document.text,
                loss: column(),
                entropy: column(),
            }))?;
        }
        anyhow::Ok(true)
    };
    work.progress.start();
    for row in rows {
        if work.stop.requested() {
            return Ok(false);
        }
        let (member, mut document) = row?;
        let row = match &mut document {
            Ok(document) => {
                document.member = member;
                document.row
            }
            Err(rejection) => rejection.row,
        };
        let ended = gatherer.push(Row {
            member,
            row,
            digest: 0,
            text: document.as_ref().map_or(0, text),
            document,
        });
        if let Some(look_ahead) = ended
            && !score(look_ahead)?
        {
            return Ok(false);
        }
    }
    if !score(gatherer.end(true))? {
        return Ok(false);
    }
    work.progress.shard_scored(group.members.start);
    work.progress.group_done(&group.name, group.members.len());
    Ok(true)
}

/// What the progress counts as the bytes of a document's text.
pub(crate) fn text(document: &TokenDocument) -> usize {
    document.tokens.len() * 4
}
