//! ONNX graphs without ONNX Runtime: reads a causal language model and cuts it before its head, and exports a model
//! from a Hugging Face checkpoint.
//!
//! ```text
//! model.onnx ── Model::open ──► Model ── cut ──► Cut { body, head }
//!                                                 │      └── weights and later steps: for build::head_model or a
//!                                                 │          custom kernel
//!                                                 └── to_bytes: a small ModelProto; large weights stay in the files
//! ```
//!
//! * [`onnx`]: the messages of the ONNX schema.
//! * [`tensor`]: constants and their bytes, memory-mapped.
//! * [`model`]: a model file, its inputs and outputs.
//! * `external_data`: the files beside a model. `message_size`: how much memory a file takes when it is decoded.
//! * [`head`]: from the logits back to the last matmul.
//! * [`cut`]: the graph before the head.
//! * [`attention`]: fuses attention into one operator, for custom kernels.
//! * [matmuls]: replaces matmuls with constant weights by an operator for custom kernels; `quantised` reads weights
//!   in 8 bits.
//! * `simplify`: removes nodes that right-padded batches do not need.
//! * [`build`]: small models from scratch.
//! * [`export`], `decoder`: from a checkpoint ([`rho_checkpoint`]) to a model.
//!
//! This crate does not deal with tokens, devices or ONNX Runtime's sessions.

pub mod attention;
pub mod build;
pub mod cut;
mod decoder;
mod error;
pub mod export;
mod external_data;
pub mod head;
pub mod matmuls;
mod message_size;
pub mod model;
pub mod onnx;
mod quantised;
mod simplify;
pub mod tensor;

pub use cut::Cut;
pub use error::{GraphError, NotCuttable, NotReducible};
pub use export::{Dtype, ExportError, ExportHead, ExportOptions, Exported, Prepared};
pub use head::{Head, Layout, Step};
pub use matmuls::ConstantMatmul;
pub use model::{Dimension, Model, Port};
pub use tensor::{DataType, Tensor};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
