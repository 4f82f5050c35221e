//! From hidden states to loss and entropy, without ever holding `[batch, length, vocabulary]`.
//!
//! * [`plain`]: the definition in f64, the oracle of the others.
//! * [`kernel`]: the processor's way, product and softmax in one pass.
//! * [`session`]: a device's way, a small ONNX graph in chunks of rows.
//! * `lanes`: vectors of numbers for the kernel.

pub mod kernel;
mod lanes;
pub mod plain;
pub mod session;
