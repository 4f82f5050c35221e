//! Runs a frozen reference model in ONNX Runtime: batches of tokens in, loss and entropy out.
//!
//! ```text
//! TokenWindow { tokens, scored_from } ─► Reference ─► body session ─► hidden states ─► head ─► Scores { loss, entropy, top }
//! ```
//!
//! * [`device`]: CPU or CUDA, with a check that it works.
//! * [`source`]: the files of a reference: graph, configuration, tokenizer. [`fingerprint`]: SHA-256 over them.
//! * [`inputs`]: the inputs that a graph declares.
//! * [`head`]: from hidden states to loss and entropy without a `[batch, length, vocabulary]` tensor in memory.
//! * [`matmul`]: matmuls in int8 and bf16. `attention`: attention without `[length, length]` tensors in memory.
//!   `time_limit`: ends a graph that does not end by itself. `operators`: both as custom operators of the body's session.
//! * [`ReferenceModel`]: checked, with its weights still on disk. [`Reference`]: loaded; implements [`Scorer`].
//!
//! `rho-runtime` finds and loads the ONNX Runtime library; this crate takes its environment. Documents, windows and
//! masks belong to the program.

mod attention;
pub mod device;
mod error;
pub mod fingerprint;
pub mod head;
pub mod inputs;
pub mod matmul;
mod operators;
mod precision;
mod reference;
mod reference_model;
mod scorer;
pub mod source;
mod time_limit;

pub use device::{Device, ResolvedDevice};
pub use error::ReferenceError;
pub use precision::Precision;
pub use reference::{Reference, WorkDone};
pub use reference_model::{HeadChoice, ReferenceModel, ReferenceOptions};
pub use scorer::{Scorer, Scores, TokenWindow, Top};
pub use source::Source;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
