//! Reads a checkpoint.

use std::path::Path;

use rho_checkpoint::Weights;

use super::Model;
use crate::{Config, Result, TrainerError, model::Architecture};

/// Reads a checkpoint folder. The settings in `ignored`, by their full names, are treated as absent.
///
/// # Errors
/// If the checkpoint cannot be read or understood, the trainer does not support a part of the model, a tensor is
/// missing, unexpected or of another shape, or a weight is not finite.
pub fn open(folder: &Path, ignored: &[String]) -> Result<Model> {
    let checkpoint = rho_checkpoint::Checkpoint::open_ignoring(folder, ignored)?;
    let json = checkpoint.settings.values().clone();
    let architecture = Architecture::new(Config::new(checkpoint.decoder()?, json)?);
    let weights = read(&checkpoint.weights, &architecture)?;
    Ok(Model {
        architecture,
        weights,
    })
}

/// Reads the weights of a model whose configuration is known, converted to f32.
///
/// # Errors
/// If a file cannot be read, a tensor is missing, unexpected or of another shape, or a weight is not finite.
pub fn read_weights(folder: &Path, architecture: &Architecture) -> Result<Vec<Vec<f32>>> {
    read(&Weights::find(folder)?, architecture)
}

fn read(weights: &Weights, architecture: &Architecture) -> Result<Vec<Vec<f32>>> {
    let parameters = architecture.parameters.iter();
    let mut taken = std::collections::HashSet::new();
    let mut numbers = Vec::with_capacity(architecture.parameters.len());
    for parameter in parameters {
        let stored = weights.expect(&parameter.name, &parameter.shape)?;
        let read = stored.to_f32()?;
        if let Some(at) = read.iter().position(|number| !number.is_finite()) {
            return Err(TrainerError::Weight {
                path: stored.file().to_owned(),
                name: stored.name.clone(),
                got: read[at],
                at,
            });
        }
        numbers.push(read);
        taken.insert(stored.name.clone());
    }
    let decoder = &architecture.config.decoder;
    if decoder.head.tied {
        let head = format!("{}.weight", decoder.head.name);
        let embedding = &architecture.parameters[architecture.embedding];
        taken.extend(weights.tied_head(&head, &embedding.name, &embedding.shape)?);
    }
    weights.must_all_be_taken(&taken)?;
    Ok(numbers)
}
