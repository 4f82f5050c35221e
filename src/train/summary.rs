//! The summary of a run, human-readable and, as `summary.json`, for programs. Written last: if it exists, the run is
//! done.

use std::{fmt, path::Path};

use anyhow::Context as _;
use rho_trainer::{
    data::PackingCounts,
    run::{Evaluated, METRICS, RunState},
};
use serde::{Deserialize, Serialize};

use super::{plan::TrainPlan, tokens::Counts};
use crate::numbers::grouped;

/// The file name.
pub(super) const SUMMARY: &str = "summary.json";

/// Numbers of a finished run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    pub(super) objective: String,
    /// The keep ratio over the steps, where the objective has one.
    pub(super) keep: Option<String>,
    pub(super) steps: u64,
    /// Target tokens seen.
    pub(super) tokens_seen: u64,
    /// Target tokens trained on.
    pub(super) tokens_trained: u64,
    pub(super) documents: u64,
    /// Packing counts over all epochs.
    pub(super) packing: PackingCounts,
    /// The share of the rows' tokens that is padding.
    pub(super) padding: f64,
    pub(super) parameters: u64,
    pub(super) device: String,
    /// Seconds of all steps over all starts of the run, without evaluations and checkpoints.
    pub(super) seconds: f64,
    pub(super) tokens_per_second: f64,
    /// The share of this start's time that steps waited for data.
    pub(super) waited: Option<f64>,
    /// The evaluations after the last step.
    pub(super) evaluations: Vec<Evaluated>,
    pub(super) corpus: Counts,
}

impl Summary {
    /// The summary of a finished run; the caller fills in the remaining fields.
    pub(super) fn new(plan: &TrainPlan, state: &RunState, corpus: Counts) -> Self {
        let objective = serde_json::to_value(plan.objective).ok();
        let name = objective.as_ref().and_then(|name| name.as_str());
        Self {
            objective: name.unwrap_or_default().to_owned(),
            keep: plan.objective.keeps_a_share().then(|| plan.keep.clone()),
            steps: state.step,
            tokens_seen: state.tokens_seen,
            tokens_trained: state.tokens_trained,
            documents: 0,
            packing: PackingCounts::default(),
            padding: 0.0,
            parameters: 0,
            device: plan.device.clone(),
            seconds: state.seconds,
            tokens_per_second: state.tokens_seen as f64 / state.seconds.max(1e-9),
            waited: None,
            evaluations: Vec::new(),
            corpus,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.tokens_trained as f64 / self.tokens_seen.max(1) as f64;
        let keep = self
            .keep
            .as_ref()
            .map_or(String::new(), |keep| format!(", keep {keep}"));
        writeln!(f, "  objective   {}{keep}", self.objective)?;
        writeln!(f, "  parameters  {}", grouped(self.parameters))?;
        writeln!(
            f,
            "  steps       {}, {} documents, {:.1} % padding",
            grouped(self.steps),
            grouped(self.documents),
            100.0 * self.padding
        )?;
        writeln!(
            f,
            "  tokens      {} seen, {} trained on ({share:.1} %)",
            grouped(self.tokens_seen),
            grouped(self.tokens_trained)
        )?;
        for evaluated in &self.evaluations {
            let loss = evaluated.all.loss.unwrap_or(f64::NAN);
            let after = evaluated.after.and_then(|after| after.loss);
            let after = after.map_or(String::new(), |loss| {
                format!(", {loss:.4} after the marker")
            });
            writeln!(
                f,
                "  held out    {}: {loss:.4} nats{after}",
                evaluated.evaluation
            )?;
        }
        let waited = self.waited.map_or(String::new(), |waited| {
            format!(
                "; steps waited {:.1} % of the time for data",
                100.0 * waited
            )
        });
        write!(
            f,
            "  speed       {} tokens/s on {}, {:.1} s{waited}",
            grouped(self.tokens_per_second as u64),
            self.device,
            self.seconds
        )
    }
}

/// The evaluations after a step, from the metrics file because an earlier start may have made them.
pub(super) fn evaluations(out: &Path, step: u64) -> anyhow::Result<Vec<Evaluated>> {
    let path = out.join(METRICS);
    let text = rho_files::read_named_text(&path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let evaluated = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Evaluated>(line).ok());
    Ok(evaluated
        .filter(|evaluated| evaluated.step == step)
        .collect())
}

/// What a finished run skipped of its corpus, from its summary.
pub(super) fn corpus(out: &Path) -> anyhow::Result<Counts> {
    #[derive(Deserialize)]
    struct Finished {
        corpus: Counts,
    }
    let path = out.join(SUMMARY);
    let text = rho_files::read_named(&path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let finished: Finished = serde_json::from_slice(&text)
        .with_context(|| format!("{}: expected the summary of a run", path.display()))?;
    Ok(finished.corpus)
}
