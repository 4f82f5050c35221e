//! From what was typed after `train` to a trained model. The training itself is the crate `rho-trainer`; here is what it
//! knows nothing of: the corpus, its tokens, the masks, and people.
//!
//! ```text
//! masks folder ────────────────────────────┐
//!                                          ├─► documents by number ──► rho-trainer ──► out/
//! corpus ── tokens ── join by token hash ──┘
//! ```
//!
//! * `resolve`: from what was typed to a `plan`; `model`: the model and its tokenizer.
//! * `masks`: a masks folder; `columns`: what of it an objective asks for.
//! * `data`: where the documents are, tokenised once into `out/.rho-mask/` where they are texts: `tokens`, [`crate::join`].
//! * `documents`: mask files as the trainer reads documents.
//! * `evaluation`: text that is not trained on.
//! * `folder`: the run's folder, and what it was begun with.
//! * `learner`: the model and its optimiser as the plan wants them.
//! * `run`: all of it together; `progress`, `tensorboard` (an `event_file`), `summary` tell of it.

mod columns;
mod data;
mod documents;
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
mod summary;
mod tensorboard;
mod tokens;
