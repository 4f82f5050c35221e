//! A training run: the loop, its metrics, and its checkpoints to resume from.
//!
//! ```text
//! out/
//!   config.json model.safetensors tokenizer.json ...   the trained model, once the run is finished
//!   metrics.jsonl                 a line for each step and each evaluation; the same bytes for the same run
//!   timings.jsonl                 a line for each step: how long it took, which varies
//!   checkpoints/step-000100/      the same model files, optimiser.safetensors, run.json
//! ```
//!
//! * `trained_model`: the interface of the loop to a model and its optimiser ([`Trainee`]); `learner`: its implementation
//!   by a network; `optimiser_state`: the optimiser's state as a file.
//! * `keep_schedule`: the keep ratio over the steps; `selection_changes`: how much the selection of a fixed batch changes.
//! * `metrics`: the metrics of a step; `json_lines`: the files they are written to; `spike`: the detection of loss spikes.
//! * `evaluate`: loss on held-out text.
//! * `checkpoint`: checkpoint folders, written atomically; `run_state`: the run's state in them; `publish`: the model of a
//!   finished run.
//! * `plan`: the run's plan and its events; `training_loop`: the loop itself; `divergence`: the documents of the batch at which
//!   a run stopped.
//!
//! Everything random depends only on the seed and on the step or the position in the data, so a resumed run does
//! exactly what the uninterrupted one would have done.

mod checkpoint;
mod divergence;
mod error;
mod evaluate;
mod json_lines;
mod keep_schedule;
mod learner;
mod metrics;
mod optimiser_state;
mod plan;
mod publish;
mod run_state;
mod selection_changes;
mod spike;
mod trained_model;
mod training_loop;

pub use checkpoint::{Checkpoints, SavedStep};
pub use error::{Diverged, RunError};
pub use evaluate::{Evaluated, EvaluationSet, Mean};
pub use json_lines::{METRICS, TIMINGS};
pub use keep_schedule::{KeepSchedule, KeepScheduleError};
pub use learner::{Learner, LearnerOptions, Start, Where};
pub use metrics::{StepMetrics, Sums};
pub use plan::{Ended, Event, RunPlan, Timing};
pub use run_state::RunState;
pub use selection_changes::Probe;
pub use spike::Spike;
pub use trained_model::{NotFinite, StepOutcome, Trainee, TraineeError};
pub use training_loop::Run;

#[cfg(test)]
mod tests;
