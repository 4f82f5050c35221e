//! From hidden states to loss, entropy and the most likely tokens, without a `[batch, length, vocab_size]` tensor.
//!
//! * [`plain`]: the definition in f64, the oracle of the others.
//! * [`kernel`]: on the CPU, matmul and softmax in one pass.
//! * [`session`]: on other devices, a small ONNX graph run over chunks of rows.
//! * `top`: the most likely tokens of a row.

pub mod kernel;
pub mod plain;
pub mod session;
mod top;
