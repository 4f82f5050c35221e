//! A run: step after step, what is measured on the way, and everything that lets it go on where it stopped.
//!
//! ```text
//! out/
//!   config.json model.safetensors tokenizer.json ...   the trained model, when the run is done
//!   metrics.jsonl                 a line for each step and each evaluation; the same bytes for the same run
//!   timings.jsonl                 a line for each step: how long it took, which is never the same
//!   checkpoints/step-000100/      the same model files, optimiser.safetensors, run.json
//! ```
//!
//! * `trainee`: what the loop asks of a model and its optimiser ([`Trainee`]); `learner`: a network that is one; `moments`: its
//!   optimiser's state as a file.
//! * `keep`: the keep ratio over the steps; `probe`: how much of a fixed batch's selection changes.
//! * `metrics`: what a step comes to; `lines`: the files it is written to; `spike`: where it says that a run must stop.
//! * `evaluate`: loss on text that is not trained on.
//! * `checkpoint`: folders that are there whole or not at all; `state`: what they say of the run; `publish`: the model of a
//!   run that is done.
//! * `plan`: what a run does and tells; `drive`: the loop itself; `diverged`: the documents at which it stopped.
//!
//! Everything that is random follows from the seed and the number of the step or the place in the data, so that a run that
//! goes on from a checkpoint does what it would have done.

mod checkpoint;
mod diverged;
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
