//! Turns scores into masks, shard by shard: gathers a scope, ranks its tokens, writes its rows.

use std::{
    ops::Range,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rho_formats::{MaskRow, token_hash};

use super::{
    Break, Flow, Scored, ScoredDocument, Work, for_each,
    output::{Open, Output},
    rejected::Rejected,
};
use crate::{
    document::Document,
    selections::{
        mark::{self, MarkedTokens},
        rule::Scope,
        scores::Documents,
    },
};

/// The result of this stage.
pub(super) struct Masked {
    pub(super) sample: Option<Document>,
    pub(super) busy: Duration,
}

/// Masks and writes everything it receives.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<Scored>>,
    output: &Output<'_>,
) -> anyhow::Result<Masked> {
    let mut masker = Masker {
        work,
        shard: "",
        gathered: Vec::new(),
        rejected: Rejected::new(work.plan, &output.counted_before()),
        sample: None,
    };
    let mut busy = Duration::ZERO;
    let mut current: Option<Open<'_>> = None;
    for_each(receiver, |flow| {
        let start = Instant::now();
        match flow {
            Flow::Begin(i, _) => {
                let (open, kept) = output.begin(i)?;
                masker.shard = &work.shards[i].name;
                masker.gathered = kept;
                current = Some(open);
            }
            Flow::Part(scored) => {
                if let Some(open) = &mut current {
                    let next = scored.next;
                    masker.take(scored, open)?;
                    open.commit(next)?;
                }
            }
            Flow::End(scored, broken) => {
                if let Some(mut open) = current.take() {
                    masker.take(scored, &mut open)?;
                    masker.end(open, broken)?;
                }
            }
        }
        busy += start.elapsed();
        Ok(true)
    })?;
    Ok(Masked {
        sample: masker.sample,
        busy,
    })
}

struct Masker<'a> {
    work: &'a Work<'a>,
    shard: &'a str,
    /// Documents of the open scope, without masks.
    gathered: Vec<MaskRow>,
    rejected: Rejected<'a>,
    sample: Option<Document>,
}

impl Masker<'_> {
    fn take(&mut self, scored: Scored, open: &mut Open<'_>) -> anyhow::Result<()> {
        let rows = scored.documents.len() + scored.rejected.len();
        self.rejected.look_ahead(rows, &scored.rejected)?;
        for rejection in &scored.rejected {
            open.reject(rejection)?;
        }
        self.work.progress.rejected(scored.rejected.len());
        let counts = open.counts();
        counts.rows += rows as u64;
        counts.rejected += scored.rejected.len() as u64;
        counts.batches += scored.cost.batches;
        counts.batch_tokens += scored.cost.tokens;
        counts.padding += scored.cost.padding;
        for document in scored.documents.into_iter().map(row) {
            if !scored.ends_scope {
                open.keep(&document)?;
            }
            self.gathered.push(document);
            if self.work.plan.scope == Scope::Document {
                self.close_scope(open)?;
            }
        }
        if scored.ends_scope {
            self.close_scope(open)?;
            open.end_scope();
        }
        Ok(())
    }

    fn end(&mut self, open: Open<'_>, broken: Option<Break>) -> anyhow::Result<()> {
        let (shard, broken) = open.complete(broken)?;
        if let Some(Break { row, reason }) = &broken {
            self.rejected.broken(&shard, *row, reason)?;
        }
        self.work
            .progress
            .shard_done(&shard, broken.as_ref().map(|b| b.reason.as_str()));
        Ok(())
    }

    /// Ranks the gathered documents as one scope and writes them.
    fn close_scope(&mut self, open: &mut Open<'_>) -> anyhow::Result<()> {
        let rows = std::mem::take(&mut self.gathered);
        let plan = self.work.plan;
        let gathered = Gathered {
            shard: self.shard,
            columns: &plan.scores,
            have_source: plan.source_field.is_some(),
            rows: &rows,
        };
        let (MarkedTokens { masks, weights }, counted) = mark::in_scope(&plan.rule, &gathered)?;
        let ranges: Vec<Range<usize>> = gathered.documents().collect();
        open.counts().scope(&rows, &counted);
        let names = plan.rule.masks();
        for (mut document, range) in rows.into_iter().zip(ranges) {
            document.masks = masks.iter().map(|m| m[range.clone()].to_vec()).collect();
            document.weights = weights.iter().map(|w| w[range.clone()].to_vec()).collect();
            if self.sample.is_none()
                && document.input_ids.len() > 1
                && let (Some(name), Some(kept)) = (names.last(), document.masks.last())
            {
                self.sample = Some(Document {
                    id: document.id.clone(),
                    tokens: document.input_ids.clone(),
                    masks: vec![(name.clone(), kept.clone())],
                    ..Document::default()
                });
            }
            open.write(&document)?;
        }
        Ok(())
    }
}

/// Documents of one shard with their scores.
struct Gathered<'a> {
    shard: &'a str,
    columns: &'a [String],
    /// Whether the masks have a column of sources.
    have_source: bool,
    rows: &'a [MaskRow],
}

impl Documents for Gathered<'_> {
    fn documents(&self) -> impl Iterator<Item = Range<usize>> {
        self.rows.iter().scan(0, |at, row| {
            let begin = *at;
            *at += row.input_ids.len();
            Some(begin..*at)
        })
    }

    fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
        let Some(column) = self.columns.iter().position(|name| name == column) else {
            return false;
        };
        let all = self.rows.iter().map(|row| &row.scores[column]);
        all.for_each(|row| scores.extend_from_slice(row));
        true
    }

    fn shard(&self, _document: usize) -> &str {
        self.shard
    }

    fn source(&self, document: usize) -> Option<&str> {
        match self.have_source {
            true => self.rows[document].source.as_deref(),
            false => Some(self.shard),
        }
    }

    fn token_hash_and_row(&self, document: usize) -> (i64, i64) {
        let row = &self.rows[document];
        (token_hash(&row.input_ids), row.row)
    }
}

fn row(scored: ScoredDocument) -> MaskRow {
    let ScoredDocument { document, scores } = scored;
    MaskRow {
        id: document.id,
        row: document.row,
        input_ids: document.tokens,
        scores,
        masks: Vec::new(),
        weights: Vec::new(),
        text: document.text,
        source: document.source,
    }
}
