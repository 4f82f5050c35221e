//! The plan of a run, its events, and how it ends.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{Evaluated, EvaluationSet, KeepSchedule, RunState, StepMetrics, StepOutcome};
use crate::data::{GlobalBatch, Packing};

/// The resolved plan of a run.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// The folder of the run.
    pub folder: PathBuf,
    /// Total number of steps.
    pub steps: u64,
    /// How documents are packed into rows.
    pub packing: Packing,
    /// Rows per global batch.
    pub batch_rows: usize,
    /// Total number of rows; the last batch may be smaller.
    pub rows: u64,
    /// The model's vocab_size.
    pub vocabulary: usize,
    /// The keep ratio over the steps.
    pub keep: KeepSchedule,
    /// Steps between two checkpoints; 0: only after the last step.
    pub save_every: u64,
    /// Number of checkpoints to keep; 0: all.
    pub keep_last: usize,
    /// Held-out text.
    pub evaluations: Vec<EvaluationSet>,
    /// Steps between two evaluations, besides those before the first and after the last step; 0: only these.
    pub evaluate_every: u64,
    /// Steps between two measurements of the change in the first batch's selection; 0: none.
    pub probe_every: u64,
    /// A loss above this many times the median of the last steps is an error.
    pub spike: Option<f64>,
    /// Everything that determines the loss curve. A resumed run must have the same.
    pub fingerprint: Value,
}

/// An event of a run, for progress output.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was trained: its number, its batch, and each token's loss and whether it was kept.
    Trained(u64, &'a GlobalBatch, &'a StepOutcome),
    /// The same step is done: its metrics and its time.
    Step(&'a StepMetrics, &'a Timing),
    /// An evaluation is done.
    Evaluated(&'a Evaluated),
    /// A checkpoint was written to this path.
    Saved(&'a Path),
}

/// A line of `timings.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// The step.
    pub step: u64,
    /// Seconds that the step took, including the wait for its data.
    pub seconds: f64,
    /// Seconds of the wait for its data.
    pub waited: f64,
    /// Seconds of all steps so far, including those before an interruption, without evaluations and checkpoints.
    pub total: f64,
    /// When the step ended, in seconds since 1970.
    pub unix: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// All steps are done, and the model is in the run's folder.
    Done(RunState),
    /// It stopped on request, after writing a checkpoint.
    Stopped(RunState),
}
