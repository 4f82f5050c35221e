//! Whole models against independent answers: what PyTorch computed, what candle's autograd gives in f64, and laws.

#[cfg(test)]
mod gradients;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transformers;
