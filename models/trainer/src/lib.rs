//! Selective language modelling (Rho-1, arXiv 2404.07965): trains models on selected tokens.
//!
//! ```text
//! Batch ─► Network::forward ─► losses ─► Objective: which targets ─► Network::backward ─► Optimiser
//! ```
//!
//! * [`checkpoint`], [`config`], [`model`], [initial_weights]: Hugging Face checkpoints, the parts of a model, fresh weights.
//! * [`batch`]: packed documents, token-aligned, and the only shift from tokens to targets.
//! * [`Network`]: forward and backward; `fused` on the CPU, `plain` by candle elsewhere and as the oracle.
//! * [`objective`], [`step`]: which targets of a global batch are trained on, and their gradient.
//! * [`optimiser`]: AdamW, gradient clipping and learning rate schedules.
//! * [`data`]: documents packed into rows, in random order.
//! * [`run`]: the training loop with metrics and checkpoints, and resuming after an interruption.
//!
//! The crate's README shows a whole step. Ranking is part of the step, so this crate depends on `rho-selection`,
//! unlike the other model crates. It reads no corpus and no masks: the caller provides the documents.

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod fused;
pub mod initial_weights;
pub mod model;
pub mod network;
pub mod objective;
pub mod optimiser;
pub mod plain;
pub mod run;
pub mod step;

pub use batch::{Batch, Target};
pub use checkpoint::Model;
pub use config::Config;
pub use error::{Result, TrainerError};
pub use network::Network;
pub use objective::Objective;
pub use optimiser::Optimiser;
pub use step::{StepOptions, StepReport, compute_gradient};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
