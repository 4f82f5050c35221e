//! Whole models against independent answers: what PyTorch computed, what candle's autograd gives in f64, and laws.

mod gradients;
mod laws;
mod recorded;
mod support;
mod transformers;
