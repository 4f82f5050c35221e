//! Checkpoints in the Hugging Face layout: `config.json`, `model.safetensors` (or shards with an index) and the
//! tokenizer's files. Reads a folder into an [`Architecture`] and its f32 weights, and writes it back. Does not
//! handle the state of the optimiser and the training loop.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{open, read_weights};
pub(crate) use write::copy;
pub use write::save;

use crate::{Config, initial_weights, model::Architecture};

/// A model in memory: its architecture and its weights.
#[derive(Debug, Clone)]
pub struct Model {
    /// The architecture.
    pub architecture: Architecture,
    /// The elements of each parameter, in the order and layout of [`Architecture::parameters`].
    pub weights: Vec<Vec<f32>>,
}

impl Model {
    /// A model with fresh weights; the same seed gives the same weights.
    pub fn fresh(config: Config, seed: u64) -> Self {
        let architecture = Architecture::new(config);
        let weights = initial_weights::weights(&architecture, seed);
        Self {
            architecture,
            weights,
        }
    }
}
