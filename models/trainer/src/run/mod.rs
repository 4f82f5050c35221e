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
//! * `trainee`: the interface of the loop to a model and its optimiser ([`Trainee`]); `learner`: its implementation
//!   by a network; `moments`: the optimiser's state as a file.
//! * `keep`: the keep ratio over the steps; `probe`: how much the selection of a fixed batch changes.
//! * `metrics`: the metrics of a step; `lines`: the files they are written to; `spike`: the detection of loss spikes.
//! * `evaluate`: loss on held-out text.
//! * `checkpoint`: checkpoint folders, written atomically; `state`: the run's state in them; `publish`: the model of a
//!   finished run.
//! * `plan`: the run's plan and its events; `drive`: the loop itself; divergence: the documents of the batch at which
//!   a run stopped.
//!
//! Everything random depends only on the seed and on the step or the position in the data, so a resumed run does
//! exactly what the uninterrupted one would have done.

mod checkpoint;
mod divergence;
mod drive;
mod error;
mod evaluate;
mod keep;
mod learner;
mod lines;
mod metrics;
mod moments;
mod plan;
mod probe;
mod publish;
mod spike;
mod state;
mod trainee;

pub use checkpoint::{Checkpoints, SavedStep};
pub use drive::Run;
pub use error::{Diverged, RunError};
pub use evaluate::{Evaluated, EvaluationSet, Mean};
pub use keep::{KeepSchedule, KeepScheduleError};
pub use learner::{Learner, LearnerOptions, Start, Where};
pub use lines::{METRICS, TIMINGS};
pub use metrics::{StepMetrics, Sums};
pub use plan::{Ended, Event, RunPlan, Timing};
pub use probe::Probe;
pub use spike::Spike;
pub use state::RunState;
pub use trainee::{NotFinite, StepOutcome, Trainee, TraineeError};

#[cfg(test)]
mod tests;
