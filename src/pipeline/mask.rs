//! Scores to masks: gathers a scope, ranks it, writes its rows, shard by shard.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rho_formats::{MaskRow, MaskSchema, MaskWriter, MasksFolder, Rejection};
use rho_selection::{Batches, Direction, KeepRatio, intersect, select};

use super::{
    Break, Flow, Report, Sample, Scored, ScoredDocument, Work, for_each, summary::Summary,
};
use crate::cli::Scope;

/// Masks and writes everything that comes.
pub(super) fn run(
    work: &Work<'_>,
    receiver: Receiver<Flow<Scored>>,
    masks: &MasksFolder,
) -> anyhow::Result<Report> {
    let schema = MaskSchema {
        scores: ["loss", "entropy"].map(String::from).to_vec(),
        masks: ["mask_loss", "mask_entropy", "mask_intersection"]
            .map(String::from)
            .to_vec(),
        metadata: work.plan.metadata(),
    };
    let mut masker = Masker {
        work,
        keep: (
            KeepRatio::new(work.plan.keep_loss)?,
            KeepRatio::new(work.plan.keep_entropy)?,
        ),
        gathered: Vec::new(),
        report: Report {
            summary: Summary::default(),
            sample: None,
        },
        busy: Duration::ZERO,
    };
    let mut current: Option<(usize, MaskWriter, Batches)> = None;
    for_each(receiver, |flow| {
        let start = Instant::now();
        match flow {
            Flow::Begin(i) => {
                let writer = masks.writer(&work.shards[i].name, &schema)?;
                current = Some((i, writer, Batches::new(work.plan.scope_tokens)));
            }
            Flow::Part(scored) => {
                if let Some((_, writer, batches)) = &mut current {
                    masker.take(scored, writer, batches, masks)?;
                }
            }
            Flow::End(broken) => {
                if let Some((i, mut writer, _)) = current.take() {
                    masker.close_scope(&mut writer)?;
                    if let Some(Break { row, reason }) = broken {
                        let shard = work.shards[i].name.clone();
                        masker.report.summary.broken_shards += 1;
                        masks.reject(&Rejection {
                            shard,
                            row,
                            reason: format!("the shard ends early: {reason}"),
                        })?;
                    }
                    writer.finish()?;
                    masker.report.summary.shards += 1;
                }
            }
        }
        masker.busy += start.elapsed();
        Ok(true)
    })?;
    masker.report.summary.seconds.mask = masker.busy.as_secs_f64();
    Ok(masker.report)
}

struct Masker<'a> {
    work: &'a Work<'a>,
    keep: (KeepRatio, KeepRatio),
    /// Documents of the scope that is still open.
    gathered: Vec<ScoredDocument>,
    report: Report,
    busy: Duration,
}

impl Masker<'_> {
    fn take(
        &mut self,
        scored: Scored,
        writer: &mut MaskWriter,
        batches: &mut Batches,
        masks: &MasksFolder,
    ) -> anyhow::Result<()> {
        for rejection in &scored.rejected {
            masks.reject(rejection)?;
            self.report.summary.rejected += 1;
        }
        for document in scored.documents {
            let ends_before = match self.work.plan.scope {
                Scope::Document => true,
                Scope::Batch => batches.starts_another(document.document.tokens.len()),
            };
            if ends_before {
                self.close_scope(writer)?;
            }
            self.gathered.push(document);
        }
        Ok(())
    }

    /// Ranks the gathered documents as one scope and writes them.
    fn close_scope(&mut self, writer: &mut MaskWriter) -> anyhow::Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let loss: Vec<f32> = gathered
            .iter()
            .flat_map(|d| d.loss.iter().copied())
            .collect();
        let entropy: Vec<f32> = gathered
            .iter()
            .flat_map(|d| d.entropy.iter().copied())
            .collect();
        let by_loss = select(&loss, self.keep.0, Direction::Low);
        let by_entropy = select(&entropy, self.keep.1, Direction::Low);
        let by_both = intersect(&by_loss, &by_entropy);
        let summary = &mut self.report.summary;
        summary.count(&gathered, &loss, &entropy);
        summary.kept.loss.add(&loss, &by_loss);
        summary.kept.entropy.add(&entropy, &by_entropy);
        summary.kept.intersection.add(&loss, &by_both);
        let mut at = 0;
        for ScoredDocument {
            document,
            loss,
            entropy,
        } in gathered
        {
            let range = at..at + document.tokens.len();
            at = range.end;
            let masks = [&by_loss, &by_entropy, &by_both].map(|mask| mask[range.clone()].to_vec());
            if self.report.sample.is_none() && document.tokens.len() > 1 {
                let (id, tokens, kept) = (
                    document.id.clone(),
                    document.tokens.clone(),
                    masks[2].clone(),
                );
                self.report.sample = Some(Sample { id, tokens, kept });
            }
            let (id, row, input_ids) = (document.id, document.row, document.tokens);
            writer.write(&MaskRow {
                id,
                row,
                input_ids,
                scores: vec![loss, entropy],
                masks: masks.to_vec(),
            })?;
        }
        Ok(())
    }
}
