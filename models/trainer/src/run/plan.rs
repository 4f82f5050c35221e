//! What a run does, what it tells on the way, and how it ends.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{Evaluated, EvaluationSet, KeepSchedule, RunState, StepMetrics};
use crate::data::Packing;

/// Everything a run does, decided.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The folder of the run.
    pub folder: PathBuf,
    /// Steps in all.
    pub steps: u64,
    /// How documents become rows.
    pub packing: Packing,
    /// Rows of a global batch.
    pub batch_rows: usize,
    /// Rows of the whole run; the last batch holds what is left of them.
    pub rows: u64,
    /// Entries of the model's vocabulary.
    pub vocabulary: usize,
    /// The keep ratio over the steps.
    pub keep: KeepSchedule,
    /// Steps between two checkpoints; none but the last where it is 0.
    pub save_every: u64,
    /// Checkpoints that are kept.
    pub keep_last: usize,
    /// Text that is not trained on.
    pub evaluations: Vec<EvaluationSet>,
    /// Steps between two evaluations, beside those before the first and after the last step; only these where it is 0.
    pub evaluate_every: u64,
    /// Steps between two looks at what changed in the selection of the first batch; none where it is 0.
    pub probe_every: u64,
    /// A loss of more than so many times the median of the last steps' is an error.
    pub spike: Option<f64>,
    /// Everything that the curve follows from: what goes on must be the same.
    pub fingerprint: Value,
}

/// What happens in a run, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was done: what it came to, and how long it took.
    Step(&'a StepMetrics, &'a Timing),
    /// An evaluation was done.
    Evaluated(&'a Evaluated),
    /// A checkpoint was written there.
    Saved(&'a Path),
}

/// A line of `timings.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// The step.
    pub step: u64,
    /// Seconds that the step took, the wait for its data included.
    pub seconds: f64,
    /// Seconds of it that it waited for its data.
    pub waited: f64,
    /// Seconds of all steps so far, those of earlier starts too; evaluations and checkpoints are not in it.
    pub total: f64,
    /// When it ended, in seconds since 1970.
    pub unix: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// All steps are done, and the model lies in the run's folder.
    Done(RunState),
    /// Asked to stop, it stopped after a checkpoint.
    Stopped(RunState),
}
