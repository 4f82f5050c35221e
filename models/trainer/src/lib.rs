//! Selective language modelling (Rho-1, arXiv 2404.07965): models that learn from the tokens that are worth it.
//!
//! ```text
//! Batch ─► Network::forward ─► losses ─► Objective: which targets ─► Network::backward ─► Optimiser
//! ```
//!
//! * [`checkpoint`], [`config`], [`model`], [`initial`]: Hugging Face checkpoints, what a model is made of, fresh weights.
//! * [`batch`]: packed documents, token-aligned, and the one shift.
//! * [`Network`]: forward and backward; `fused` on the processor, `plain` by candle elsewhere and as the oracle.
//! * [`objective`], [`step`]: which targets of a global batch are trained on, and their gradient.
//! * [`optimiser`]: AdamW, clipping and schedules.
//! * [`data`]: documents packed into rows, in an order made by chance.
//! * [`run`]: step after step, with metrics, checkpoints, and going on after an interruption.
//!
//! A whole step stands in the crate's README. Other models know nothing of selection; here the ranking is part of the
//! step, so this crate depends on `rho-selection`. It reads no corpus and no masks: who calls it has the documents.

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod data;
mod error;
pub mod fused;
pub mod initial;
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
