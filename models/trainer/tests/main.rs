//! Whole models compared with independent results: PyTorch's, those of candle's autograd in f64, and invariants.

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
