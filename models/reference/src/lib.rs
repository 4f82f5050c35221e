//! A frozen reference model through ONNX Runtime: batches of tokens in, loss and entropy out.
//!
//! ```text
//! Piece { tokens, scored_from } ─► Reference ─► body session ─► hidden states ─► head ─► Scores { loss, entropy }
//! ```
//!
//! * [`device`]: CPU or CUDA, and proof that it works.
//! * [`source`]: the files of a reference: graph, configuration, tokenizer.
//! * [`inputs`]: what a graph wants to be fed.
//! * [`head`]: from hidden states to loss and entropy without a `[batch, length, vocabulary]` in memory.
//! * [`product`]: matrix products in int8 and bf16; `attention` without squares in memory;
//!   `operators` puts both into the body's session.
//! * [`OpenedReference`]: checked, with its weights still on disk; [`Reference`]: loaded, behind the trait [`Scorer`].
//!
//! The library itself is found and loaded by `rho-runtime`: its environment comes in. Documents, windows and masks are
//! the program's.

mod attention;
pub mod device;
mod error;
pub mod head;
pub mod inputs;
mod opened;
mod operators;
mod precision;
pub mod product;
mod reference;
mod scorer;
pub mod source;

pub use device::{Device, ResolvedDevice};
pub use error::ReferenceError;
pub use opened::{HeadChoice, OpenedReference, ReferenceOptions};
pub use precision::Precision;
pub use reference::{Reference, WorkDone};
pub use scorer::{Piece, Scorer, Scores};
pub use source::Source;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
