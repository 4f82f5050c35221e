//! What a step comes to, from each token's loss and whether it was kept. Sums are taken in f64 and in the batch's order, so
//! that they are the same bits whenever the losses are.

use rho_selection::{Direction, KeepRatio, excess, select};
use serde::{Deserialize, Serialize};

use super::StepOutcome;
use crate::data::GlobalBatch;

/// Losses of some tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// How many.
    pub tokens: u64,
    sum: f64,
    /// Those of them that the reference scored.
    referred: u64,
    reference: f64,
}

impl Sums {
    /// Adds a token: its loss, and that of the reference, NaN where there is none.
    pub fn add(&mut self, loss: f32, reference: f32) {
        self.tokens += 1;
        self.sum += f64::from(loss);
        if !reference.is_nan() {
            self.referred += 1;
            self.reference += f64::from(reference);
        }
    }

    /// Mean loss, in nats; none of no tokens.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.sum / self.tokens as f64)
    }

    /// Mean loss under the reference of those that it scored.
    pub fn reference_loss(&self) -> Option<f64> {
        (self.referred > 0).then(|| self.reference / self.referred as f64)
    }
}

/// A line of `metrics.jsonl`: what a step came to. Losses are in nats, before the step's update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: u64,
    /// The epoch in which its data ends, from 0.
    pub epoch: u64,
    /// Targets seen so far: what a forward pass was paid for.
    pub tokens_seen: u64,
    /// Targets trained on so far: what a gradient came from.
    pub tokens_trained: u64,
    /// Targets of this step.
    pub targets: u64,
    /// Those of them that were kept.
    pub kept: u64,
    /// The keep ratio that was asked for.
    pub keep: f64,
    /// What was minimised.
    pub objective: f64,
    /// Mean loss of all targets.
    pub loss: Option<f64>,
    /// Of the kept ones.
    pub loss_kept: Option<f64>,
    /// Of the others.
    pub loss_dropped: Option<f64>,
    /// Mean loss of all targets under the reference, of those that it scored.
    pub reference_loss: Option<f64>,
    /// Of the kept ones.
    pub reference_loss_kept: Option<f64>,
    /// Of the others.
    pub reference_loss_dropped: Option<f64>,
    /// Mean loss of the targets that `slm` would keep at this ratio, whatever this run keeps: figure 6 of the paper.
    pub loss_selected: Option<f64>,
    /// Of those that it would drop.
    pub loss_unselected: Option<f64>,
    /// Of the tokens kept in the run's first batch when it was ranked last, the share that is not kept any more.
    pub changed: Option<f64>,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Norm of the gradient before it was clipped.
    pub gradient_norm: f64,
}

impl StepMetrics {
    /// Of a step; `before` it so many targets were seen and trained on.
    pub(super) fn of(
        batch: &GlobalBatch,
        outcome: &StepOutcome,
        step: u64,
        keep: KeepRatio,
        before: (u64, u64),
    ) -> Self {
        let (mut kept, mut dropped, mut all) = <(Sums, Sums, Sums)>::default();
        for (i, &target) in batch.targets.iter().enumerate() {
            if target {
                let (loss, reference) = (outcome.loss[i], batch.reference_loss[i]);
                all.add(loss, reference);
                match outcome.kept[i] {
                    true => kept.add(loss, reference),
                    false => dropped.add(loss, reference),
                }
            }
        }
        let (selected, unselected) = by_excess(batch, &outcome.loss, keep);
        Self {
            step,
            epoch: batch.after.epoch,
            tokens_seen: before.0 + all.tokens,
            tokens_trained: before.1 + kept.tokens,
            targets: all.tokens,
            kept: kept.tokens,
            keep: keep.get(),
            objective: outcome.objective,
            loss: all.loss(),
            loss_kept: kept.loss(),
            loss_dropped: dropped.loss(),
            reference_loss: all.reference_loss(),
            reference_loss_kept: kept.reference_loss(),
            reference_loss_dropped: dropped.reference_loss(),
            loss_selected: selected.loss(),
            loss_unselected: unselected.loss(),
            changed: None,
            learning_rate: outcome.learning_rate,
            gradient_norm: outcome.gradient_norm,
        }
    }

    /// The first number that is none, and what it is called.
    pub(super) fn not_finite(&self) -> Option<(&'static str, f64)> {
        let numbers = [
            ("loss", self.loss.unwrap_or_default()),
            ("objective", self.objective),
            ("gradient norm", self.gradient_norm),
        ];
        numbers.into_iter().find(|(_, number)| !number.is_finite())
    }
}

/// The losses of what is kept by the highest excess loss, and of the rest; of nothing where there is no reference.
fn by_excess(batch: &GlobalBatch, loss: &[f32], keep: KeepRatio) -> (Sums, Sums) {
    let (mut selected, mut unselected) = <(Sums, Sums)>::default();
    let reference = &batch.reference_loss;
    if !batch.has_reference {
        return (selected, unselected);
    }
    // What is no target has no reference loss here.
    let kept = select(&excess(loss, reference), keep, Direction::High);
    for (i, kept) in kept.into_iter().enumerate() {
        match (reference[i].is_nan(), kept) {
            (true, _) => {}
            (false, true) => selected.add(loss[i], reference[i]),
            (false, false) => unselected.add(loss[i], reference[i]),
        }
    }
    (selected, unselected)
}
