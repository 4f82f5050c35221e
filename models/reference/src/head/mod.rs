//! From hidden states to loss and entropy, without a `[batch, length, vocab_size]` tensor.
//!
//! * [`plain`]: the definition in f64, the oracle of the others.
//! * [`kernel`]: on the CPU, matmul and softmax in one pass.
//! * [`session`]: on other devices, a small ONNX graph run over chunks of rows.

pub mod kernel;
pub mod plain;
pub mod session;
