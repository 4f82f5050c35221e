//! The optimiser's state as a safetensors file: `mean.NAME` and `square.NAME` for each parameter, and the number of
//! steps in the metadata.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};

use crate::model::Parameter;
use crate::optimiser::State;
use crate::{Result, TrainerError};

/// The file's name in a checkpoint.
pub(super) const FILE: &str = "optimiser.safetensors";
const STEPS: &str = "steps";

struct Numbers<'a>(&'a Parameter, &'a [f32]);

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.0.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.1.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
    fn data_len(&self) -> usize {
        self.1.len() * 4
    }
}

/// Writes the state to a folder.
pub(super) fn save(folder: &Path, parameters: &[Parameter], state: &State) -> Result<()> {
    let path = folder.join(FILE);
    let mut tensors = named("mean", parameters, &state.mean);
    tensors.extend(named("square", parameters, &state.square));
    let metadata = HashMap::from([(STEPS.to_owned(), state.steps.to_string())]);
    safetensors::serialize_to_file(tensors, Some(metadata), &path)
        .map_err(|source| TrainerError::Tensors { path, source })
}

fn named<'a>(
    kind: &str,
    parameters: &'a [Parameter],
    vectors: &'a [Vec<f32>],
) -> Vec<(String, Numbers<'a>)> {
    let named = parameters.iter().zip(vectors);
    named
        .map(|(parameter, numbers)| {
            let name = format!("{kind}.{}", parameter.name);
            (name, Numbers(parameter, numbers))
        })
        .collect()
}

/// Reads the state from a folder.
pub(super) fn read(folder: &Path, parameters: &[Parameter]) -> Result<State> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(|source| TrainerError::File {
        path: path.clone(),
        action: "read the optimiser's state",
        source,
    })?;
    let broken = |source| TrainerError::Tensors {
        path: path.clone(),
        source,
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let steps = header
        .metadata()
        .as_ref()
        .and_then(|m| m.get(STEPS)?.parse().ok());
    let tensors = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let of = |kind: &str| -> Result<Vec<Vec<f32>>> {
        let vectors = parameters.iter().map(|parameter| {
            let name = format!("{kind}.{}", parameter.name);
            let missing = || TrainerError::TensorMissing {
                path: folder.to_owned(),
                name: name.clone(),
            };
            let view = tensors.tensor(&name).map_err(|_| missing())?;
            if view.dtype() != Dtype::F32 || view.shape() != parameter.shape {
                return Err(missing());
            }
            let numbers = view.data().as_chunks().0.iter();
            Ok(numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect())
        });
        vectors.collect()
    };
    Ok(State {
        steps: steps.ok_or_else(|| TrainerError::TensorMissing {
            path: folder.to_owned(),
            name: STEPS.to_owned(),
        })?,
        mean: of("mean")?,
        square: of("square")?,
    })
}
