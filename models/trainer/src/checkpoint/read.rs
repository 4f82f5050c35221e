//! Reading a checkpoint, memory-mapped.
#![expect(unsafe_code, reason = "memory-mapped files")]

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;

use super::Checkpoint;
use crate::{
    Config, Result, TrainerError,
    model::{Architecture, Parameter},
};

/// Reads a checkpoint folder.
pub fn open(folder: &Path) -> Result<Checkpoint> {
    let config = Config::read(&folder.join("config.json"))?;
    let architecture = Architecture::new(config);
    let weights = read_weights(folder, &architecture)?;
    Ok(Checkpoint {
        architecture,
        weights,
    })
}

/// Reads the weights of a model whose configuration is known; F16 and BF16 become f32.
pub fn read_weights(folder: &Path, architecture: &Architecture) -> Result<Vec<Vec<f32>>> {
    let maps = files(folder)?
        .into_iter()
        .map(|path| map(&path).map(|map| (path, map)))
        .collect::<Result<Vec<_>>>()?;
    let mut found: HashMap<String, TensorView<'_>> = HashMap::new();
    for (path, map) in &maps {
        let tensors = SafeTensors::deserialize(map).map_err(|source| TrainerError::Tensors {
            path: path.clone(),
            source,
        })?;
        found.extend(tensors.tensors());
    }
    let read = |parameter: &Parameter| {
        // GPT-2's own files leave out the model's prefix.
        let short = parameter.name.strip_prefix("transformer.");
        let view = found
            .get(&parameter.name)
            .or_else(|| found.get(short?))
            .ok_or_else(|| TrainerError::TensorMissing {
                path: folder.to_owned(),
                name: parameter.name.clone(),
            })?;
        numbers(folder, parameter, view)
    };
    architecture.parameters.iter().map(read).collect()
}

/// The one file, or those that an index names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec![folder.join("model.safetensors")]);
    }
    let bytes = std::fs::read(&index).map_err(|source| TrainerError::File {
        path: index.clone(),
        action: "read the index of shards",
        source,
    })?;
    let parsed: Index =
        serde_json::from_slice(&bytes).map_err(|source| TrainerError::ConfigSyntax {
            path: index,
            source,
        })?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn map(path: &Path) -> Result<Mmap> {
    let failed = |source| TrainerError::File {
        path: path.to_owned(),
        action: "read the weights",
        source,
    };
    let file = File::open(path).map_err(failed)?;
    // SAFETY: the file is only read; that nobody cuts it meanwhile is the usual condition of a mapping.
    unsafe { Mmap::map(&file) }.map_err(failed)
}

fn numbers(folder: &Path, parameter: &Parameter, view: &TensorView<'_>) -> Result<Vec<f32>> {
    if view.shape() != parameter.shape {
        return Err(TrainerError::TensorShape {
            path: folder.to_owned(),
            name: parameter.name.clone(),
            expected: parameter.shape.clone(),
            got: view.shape().to_vec(),
        });
    }
    let bytes = view.data();
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    match view.dtype() {
        Dtype::F32 => {
            let fours = bytes.chunks_exact(4);
            Ok(fours
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect())
        }
        Dtype::F16 => Ok(pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Ok(pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        other => Err(TrainerError::TensorType {
            path: folder.to_owned(),
            name: parameter.name.clone(),
            got: format!("{other:?}"),
        }),
    }
}
