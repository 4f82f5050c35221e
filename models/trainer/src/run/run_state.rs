//! The run's state in a checkpoint: what resuming needs besides the model and the optimiser.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::DataPosition;

/// `run.json` of a checkpoint. It contains no random generator states: everything random is computed from the seed
/// and these numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Number of steps done.
    pub step: u64,
    /// Where the next batch starts.
    pub place: DataPosition,
    /// Targets seen.
    pub tokens_seen: u64,
    /// Targets trained on.
    pub tokens_trained: u64,
    /// Bytes of `metrics.jsonl` up to this step.
    pub metrics_bytes: u64,
    /// Bytes of `timings.jsonl` up to this step.
    pub timings_bytes: u64,
    /// Seconds that the steps took, including those before an interruption.
    pub seconds: f64,
    /// The plan that the run was started with: everything that determines the loss curve.
    pub plan: Value,
}
