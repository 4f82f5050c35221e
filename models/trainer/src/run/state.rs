//! What a checkpoint says of the run: everything beside model and optimiser that going on needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Place;

/// `run.json` of a checkpoint. There are no states of random generators in it: all that is random is computed from the
/// seed and the numbers here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Steps that are done.
    pub step: u64,
    /// Where the next batch begins.
    pub place: Place,
    /// Targets seen.
    pub tokens_seen: u64,
    /// Targets trained on.
    pub tokens_trained: u64,
    /// Bytes of `metrics.jsonl` that are of these steps.
    pub metrics_bytes: u64,
    /// Bytes of `timings.jsonl` that are of these steps.
    pub timings_bytes: u64,
    /// Seconds that the steps took, those of earlier starts too.
    pub seconds: f64,
    /// Everything that the curve follows from, as the run was begun.
    pub plan: Value,
}
