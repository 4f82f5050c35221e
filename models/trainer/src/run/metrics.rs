//! The metrics of a step, from each token's loss and whether it was kept. Sums are in f64 and in the batch's order,
//! so that equal losses give equal bits.

use rho_selection::{Direction, KeepRatio, excess, select};
use serde::{Deserialize, Serialize};

use super::StepOutcome;
use crate::data::GlobalBatch;

/// Sums of the losses of some tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// Number of tokens.
    pub tokens: u64,
    sum: f64,
    /// Number of tokens that the reference scored.
    referred: u64,
    reference: f64,
}

impl Sums {
    /// Adds a token: its loss and its reference loss, NaN if there is none.
    pub fn add(&mut self, loss: f32, reference: f32) {
        self.tokens += 1;
        self.sum += f64::from(loss);
        if !reference.is_nan() {
            self.referred += 1;
            self.reference += f64::from(reference);
        }
    }

    /// Mean loss, in nats; `None` without tokens.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.sum / self.tokens as f64)
    }

    /// Mean reference loss, in nats, of the tokens that the reference scored.
    pub fn reference_loss(&self) -> Option<f64> {
        (self.referred > 0).then(|| self.reference / self.referred as f64)
    }
}

/// The metrics of a step: a line of `metrics.jsonl`. Losses are in nats, before the step's update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: u64,
    /// The epoch in which its data ends, from 0.
    pub epoch: u64,
    /// Targets seen so far, by a forward pass.
    pub tokens_seen: u64,
    /// Targets trained on so far, by a gradient.
    pub tokens_trained: u64,
    /// Targets of this step.
    pub targets: u64,
    /// Kept targets of this step.
    pub kept: u64,
    /// The requested keep ratio.
    pub keep: f64,
    /// The minimised value.
    pub objective: f64,
    /// Mean loss of all targets.
    pub loss: Option<f64>,
    /// Mean loss of the kept targets.
    pub loss_kept: Option<f64>,
    /// Mean loss of the dropped targets.
    pub loss_dropped: Option<f64>,
    /// Mean reference loss of all targets that the reference scored.
    pub reference_loss: Option<f64>,
    /// Mean reference loss of the kept targets.
    pub reference_loss_kept: Option<f64>,
    /// Mean reference loss of the dropped targets.
    pub reference_loss_dropped: Option<f64>,
    /// Mean loss of the targets that `slm` would keep at this ratio, for any objective: figure 6 of the paper.
    pub loss_selected: Option<f64>,
    /// Mean loss of the targets that `slm` would drop.
    pub loss_unselected: Option<f64>,
    /// Of the tokens kept when the run's first batch was last ranked, the share that is no longer kept.
    pub changed: Option<f64>,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

impl StepMetrics {
    /// The metrics of a step. `before` is the number of targets seen and trained on before it.
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

    /// The name and value of the first metric that is not finite.
    pub(super) fn not_finite(&self) -> Option<(&'static str, f64)> {
        let numbers = [
            ("loss", self.loss.unwrap_or_default()),
            ("objective", self.objective),
            ("gradient norm", self.gradient_norm),
        ];
        numbers.into_iter().find(|(_, number)| !number.is_finite())
    }
}

/// The losses of the targets with the highest excess loss, and of the others; empty without a reference.
fn by_excess(batch: &GlobalBatch, loss: &[f32], keep: KeepRatio) -> (Sums, Sums) {
    let (mut selected, mut unselected) = <(Sums, Sums)>::default();
    let reference = &batch.reference_loss;
    if !batch.has_reference {
        return (selected, unselected);
    }
    // A token that is not a target has no reference loss here.
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
