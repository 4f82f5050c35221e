//! The `train` command, from its arguments to a trained model. The crate `rho-trainer` does the training itself. This
//! module handles what that crate knows nothing about: the corpus, its tokens, the masks and the terminal.
//!
//! ```text
//! masks folder ────────────────────────────┐
//!                                          ├─► documents by number ──► rho-trainer ──► out/
//! corpus ── tokens ── join by token hash ──┘
//! ```
//!
//! * `resolve`: from the arguments to a `plan`; `model`: the model and its tokenizer.
//! * `masks`: a masks folder; `columns`: the columns of it that an objective needs.
//! * `data`: the documents; a corpus of texts is tokenised once into `out/.rho-mask/`: `tokens`, [`crate::masks_by_tokens`].
//! * `documents`: mask files as the trainer's documents.
//! * `evaluation`: held-out text.
//! * `folder`: the run's folder and the plan it was started with.
//! * `learner`: the model and its optimiser, built from the plan.
//! * `run`: runs all of this; `progress`, `tensorboard` (an `event_file`) and `summary` report on it.

mod columns;
mod data;
mod documents;
mod dumped_batches;
mod evaluation;
mod event_file;
mod folder;
mod learner;
mod masks;
mod model;
mod plan;
mod progress;
mod resolve;
pub(crate) mod run;
mod run_plan;
mod summary;
mod tensorboard;
mod tokens;
