//! Scores to masks: gathers a scope, ranks it, writes its rows, shard by shard.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rho_formats::MaskRow;
use rho_selection::{Direction, KeepRatio, intersect, select};

use super::{
    Break, Flow, Scored, ScoredDocument, Work, for_each,
    output::{Open, Output},
    record::Counts,
    rejected::Rejected,
};
use crate::{cli::Scope, look::documents::Document};

/// What this stage leaves behind.
pub(super) struct Masked {
    pub(super) sample: Option<Document>,
    pub(super) busy: Duration,
}

/// Masks and writes everything that comes.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<Scored>>,
    output: &Output<'_>,
) -> anyhow::Result<Masked> {
    let mut masker = Masker {
        work,
        keep: (
            KeepRatio::new(work.plan.keep_loss)?,
            KeepRatio::new(work.plan.keep_entropy)?,
        ),
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
    keep: (KeepRatio, KeepRatio),
    /// Documents of the scope that is still open, without masks.
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
        let gathered = std::mem::take(&mut self.gathered);
        let all = |i: usize| -> Vec<f32> {
            let scores = gathered.iter().flat_map(|d| d.scores[i].iter().copied());
            scores.collect()
        };
        let (loss, entropy) = (all(0), all(1));
        let by_loss = select(&loss, self.keep.0, Direction::Low);
        let by_entropy = select(&entropy, self.keep.1, Direction::Low);
        let by_both = intersect(&by_loss, &by_entropy);
        let counts: &mut Counts = open.counts();
        counts.scope(&gathered, &loss, &entropy);
        counts.by_loss.scope(&loss, &by_loss);
        counts.by_entropy.scope(&entropy, &by_entropy);
        counts.by_both.scope(&loss, &by_both);
        let mut at = 0;
        for mut document in gathered {
            let range = at..at + document.input_ids.len();
            at = range.end;
            let masks = [&by_loss, &by_entropy, &by_both].map(|mask| mask[range.clone()].to_vec());
            if self.sample.is_none() && document.input_ids.len() > 1 {
                self.sample = Some(Document {
                    id: document.id.clone(),
                    tokens: document.input_ids.clone(),
                    masks: vec![("mask_intersection".to_owned(), masks[2].clone())],
                    ..Document::default()
                });
            }
            document.masks = masks.to_vec();
            open.write(&document)?;
        }
        Ok(())
    }
}

fn row(scored: ScoredDocument) -> MaskRow {
    let ScoredDocument {
        document,
        loss,
        entropy,
    } = scored;
    MaskRow {
        id: document.id,
        row: document.row,
        input_ids: document.tokens,
        scores: vec![loss, entropy],
        masks: Vec::new(),
        text: document.text,
        source: document.source,
    }
}
