//! The plan of a run for the trainer: how many rows and steps, and when to evaluate and save.

use rho_trainer::run::{EvaluationSet, RunPlan};

use super::{
    data::Data,
    plan::{Prepared, TrainPlan},
};
use crate::hinted_error::HintedError;

/// The number of rows and steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    rows: u64,
    steps: u64,
}

impl Lengths {
    pub(super) fn of(plan: &TrainPlan, data: &Data) -> anyhow::Result<Self> {
        let batch = plan.batch_rows as u64;
        let (rows, steps) = match (plan.steps, plan.epochs) {
            (Some(steps), _) => (steps.saturating_mul(batch), steps),
            (None, epochs) => {
                let length = |document: usize| data.lengths[document];
                let documents = data.lengths.len();
                let epochs = epochs.unwrap_or(1);
                let counts = plan.packing.count(documents, length, epochs);
                (counts.rows, counts.rows.div_ceil(batch))
            }
        };
        match steps {
            0 => Err(HintedError::error(
                "expected at least one step, got none",
                "name more data or --steps",
            )),
            steps => Ok(Self { rows, steps }),
        }
    }
}

/// The plan of a run over so many rows and steps.
pub(super) fn run_plan(
    prepared: &Prepared,
    lengths: Lengths,
    evaluations: Vec<EvaluationSet>,
    fingerprint: serde_json::Value,
) -> RunPlan {
    let plan = &prepared.plan;
    let tenth = (lengths.steps / 10).max(1);
    RunPlan {
        folder: plan.out.clone(),
        steps: lengths.steps,
        packing: plan.packing,
        batch_rows: plan.batch_rows,
        rows: lengths.rows,
        vocabulary: plan.vocabulary,
        keep: prepared.keep,
        save_every: plan.save_every,
        keep_last: plan.keep_last,
        evaluations,
        evaluate_every: plan.eval_every.unwrap_or(tenth),
        probe_every: plan.changed_every.unwrap_or(tenth),
        spike: plan.spike,
        fingerprint,
    }
}
