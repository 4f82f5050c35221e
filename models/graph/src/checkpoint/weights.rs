//! Where tensors lie in safetensors files. Reads headers only; bytes are mapped one tensor at a time, so that a
//! checkpoint of any size is walked through in the memory of its largest tensor.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use safetensors::{SafeTensors, tensor::Dtype};
use serde_json::Value;

use crate::{DataType, ExportError, map};

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// A tensor in its file.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its name in the checkpoint.
    pub name: String,
    /// Element type.
    pub dtype: DataType,
    /// Axes.
    pub dims: Vec<usize>,
    file: Arc<PathBuf>,
    offset: usize,
    length: usize,
}

impl Stored {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// Its bytes, mapped for as long as they are held.
    pub(crate) fn bytes(&self) -> Result<Bytes, ExportError> {
        if self.length == 0 {
            return Ok(Bytes::new());
        }
        Ok(map::map_range(&self.file, self.offset, self.length)?)
    }
}

/// All tensors of a checkpoint.
#[derive(Debug, Clone)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, Stored>,
}

impl Weights {
    /// Reads the headers of `model.safetensors`, or of the files that its index names.
    pub fn find(folder: &Path) -> Result<Self, ExportError> {
        let index = folder.join(INDEX);
        let single = folder.join(SINGLE);
        let mut found = Self {
            folder: folder.to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        if single.is_file() {
            found.add(single)?;
        } else if index.is_file() {
            let placed = read_index(&index)?;
            let files: BTreeSet<&String> = placed.values().collect();
            for file in files {
                found.add(folder.join(file))?;
            }
            for (name, file) in &placed {
                let there = found.tensors.get(name).map(|stored| stored.file());
                if there != Some(folder.join(file).as_path()) {
                    return Err(ExportError::Index {
                        path: index,
                        problem: format!("expected the tensor {name} in {file}, got none there"),
                    });
                }
            }
            found.files.push(index);
        } else {
            return Err(ExportError::NotACheckpoint {
                path: folder.to_owned(),
                got: "a folder with config.json, but without model.safetensors or its index"
                    .to_owned(),
            });
        }
        Ok(found)
    }

    /// Adds the tensors of one file.
    fn add(&mut self, path: PathBuf) -> Result<(), ExportError> {
        let whole = map::map(&path)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&whole).map_err(|source| ExportError::Safetensors {
                path: path.clone(),
                bytes: whole.len(),
                source,
            })?;
        let file = Arc::new(path.clone());
        for (name, info) in metadata.tensors() {
            let dtype = match info.dtype {
                Dtype::F32 => DataType::F32,
                Dtype::F16 => DataType::F16,
                Dtype::BF16 => DataType::Bf16,
                Dtype::F64 => DataType::F64,
                Dtype::I64 => DataType::I64,
                Dtype::BOOL => DataType::Bool,
                Dtype::U8 => DataType::U8,
                Dtype::I8 => DataType::I8,
                // Undefined in ONNX: refused by whoever wants this tensor.
                _ => DataType::Other(0),
            };
            let stored = Stored {
                name: name.clone(),
                dtype,
                dims: info.shape.clone(),
                file: file.clone(),
                // The first eight bytes say how long the header is.
                offset: 8 + header + info.data_offsets.0,
                length: info.data_offsets.1 - info.data_offsets.0,
            };
            if let Some(other) = self.tensors.insert(name.clone(), stored) {
                return Err(ExportError::Index {
                    path,
                    problem: format!("the tensor {name} is in {} too", other.file().display()),
                });
            }
        }
        self.files.push(path);
        Ok(())
    }

    /// The files, the index last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Names of all tensors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its name in the model, or by that without the first word: checkpoints of a bare base model leave
    /// `model.` or `transformer.` out.
    pub(crate) fn find_tensor(&self, name: &str) -> Option<&Stored> {
        let bare = || name.split_once('.').map(|(_, rest)| rest);
        let found = self.tensors.get(name);
        found.or_else(|| self.tensors.get(bare()?))
    }

    /// A tensor that must be there, with these axes, of floats.
    pub(crate) fn expect(&self, name: &str, dims: &[usize]) -> Result<&Stored, ExportError> {
        let stored = self
            .find_tensor(name)
            .ok_or_else(|| ExportError::MissingTensor {
                path: self.folder.clone(),
                name: name.to_owned(),
                there: self.tensors.len(),
            })?;
        if stored.dims != dims {
            return Err(ExportError::Shape {
                path: stored.file().to_owned(),
                name: stored.name.clone(),
                expected: dims.to_vec(),
                got: stored.dims.clone(),
            });
        }
        match stored.dtype {
            DataType::F32 | DataType::F16 | DataType::Bf16 => Ok(stored),
            got => Err(ExportError::TensorType {
                path: stored.file().to_owned(),
                name: stored.name.clone(),
                got,
            }),
        }
    }
}

/// The index: tensor to file.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>, ExportError> {
    let text = std::fs::read(path).map_err(|source| ExportError::Read {
        path: path.to_owned(),
        source,
    })?;
    let json: Value = serde_json::from_slice(&text).map_err(|source| ExportError::Json {
        path: path.to_owned(),
        source,
    })?;
    let refused = |problem: String| ExportError::Index {
        path: path.to_owned(),
        problem,
    };
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| refused("expected an object weight_map, got none".to_owned()))?;
    map.iter()
        .map(|(name, file)| {
            let file = file.as_str().filter(|file| {
                // A plain name: an index must not lead out of the checkpoint.
                Path::new(file)
                    .file_name()
                    .is_some_and(|name| name == *file)
            });
            let file =
                file.ok_or_else(|| refused(format!("expected the name of a file for {name}")))?;
            Ok((name.clone(), file.to_owned()))
        })
        .collect()
}
