//! From what was typed after `train` to a trained model. The training itself is the crate `rho-trainer`; here is what it
//! knows nothing of: the corpus, its tokens, the masks, and people.
//!
//! ```text
//! masks folder ────────────────────────────┐
//!                                          ├─► documents by number ──► rho-trainer ──► out/
//! corpus ── tokens ── join by token hash ──┘
//! ```
//!
//! * `plan`: what was typed, decided; `model`: the model and its tokenizer, opened.
//! * `columns`: what of the masks an objective asks for.
//! * `data`: where the documents are, tokenised once into `out/.rho-mask/` where they are texts: `tokens`, `join`.
//! * `documents`: mask files as the trainer reads documents.
//! * `evaluation`: text that is not trained on.
//! * `folder`: the run's folder, and what it was begun with.
//! * `learner`: the model and its optimiser as the plan wants them.
//! * `run`: all of it together; `progress`, `tensorboard`, `summary` tell of it.

mod columns;
mod data;
mod documents;
mod evaluation;
mod folder;
mod join;
mod learner;
mod model;
mod plan;
mod progress;
pub(crate) mod run;
mod summary;
mod tensorboard;
mod tokens;
