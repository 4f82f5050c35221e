//! Checkpoints as Hugging Face lays them out: `config.json`, `model.safetensors` (or shards with an index) and whatever
//! else stands beside them. Takes a folder, gives an [`Architecture`] and its weights in f32, and back. Leaves the state
//! of optimisers and loops to others.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{open, read_weights};
pub use write::save;

use crate::{Config, initial, model::Architecture};

/// A model in memory: what it is made of, and a vector of numbers for each parameter.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is made of.
    pub architecture: Architecture,
    /// For each parameter its numbers, in the order and layout of [`Architecture::parameters`].
    pub weights: Vec<Vec<f32>>,
}

impl Model {
    /// A model from scratch; the same weights for the same seed.
    pub fn fresh(config: Config, seed: u64) -> Self {
        let architecture = Architecture::new(config);
        let weights = initial::weights(&architecture, seed);
        Self {
            architecture,
            weights,
        }
    }
}
