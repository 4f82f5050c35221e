//! ONNX graphs without ONNX Runtime: read a causal language model, cut it before its head, write what is left; and
//! write one from a Hugging Face checkpoint.
//!
//! ```text
//! model.onnx ── Model::open ──► Model ── cut ──► Cut { body, head }
//!                                                 │      └── weights and what follows them: build::head_model, or a
//!                                                 │          kernel of one's own
//!                                                 └── to_bytes: a small ModelProto whose large weights stay in the files
//! ```
//!
//! * [`onnx`]: the schema's messages.
//! * [`tensor`]: constants and their bytes, memory-mapped.
//! * [`model`]: a file and its inputs and outputs.
//! * [`head`]: from the logits back to the last matrix product.
//! * [`cut`]: what remains before it.
//! * [`attention`]: takes attention together, for somebody else to compute.
//! * [`products`]: takes out the products with constant weights, for somebody else to compute; `quantised` reads those
//!   in 8 bits.
//! * `simplify`: takes out what a scorer's batches do not need.
//! * [`build`]: small models made from nothing.
//! * [`export`], `decoder`: from a checkpoint ([`rho_checkpoint`]) to a model.
//!
//! Knows nothing of tokens, devices or sessions.

pub mod attention;
pub mod build;
pub mod cut;
mod decoder;
mod error;
pub mod export;
pub mod head;
pub mod model;
pub mod onnx;
pub mod products;
mod quantised;
mod simplify;
pub mod tensor;

pub use cut::Cut;
pub use error::{GraphError, NotCuttable, NotReducible};
pub use export::{Dtype, ExportError, ExportHead, ExportOptions, Exported, Prepared};
pub use head::{Head, Layout, Step};
pub use model::{Dimension, Model, Port};
pub use products::ConstantProduct;
pub use tensor::{DataType, Tensor};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
