//! From hidden states to loss and entropy, without ever holding `[batch, length, vocabulary]`.
//!
//! * [`plain`]: the definition in f64, the oracle of the others.
//! * [`kernel`]: the processor's way, product and softmax in one pass.
//! * [`session`]: a device's way, a small ONNX graph in chunks of rows.

pub mod kernel;
pub mod plain;
pub mod session;
