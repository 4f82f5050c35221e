//! Locates tensors in safetensors files. Only headers are read; data is memory-mapped one tensor at a time, so a
//! checkpoint of any size needs only the memory of its largest tensor.
//!
//! ```text
//! model.safetensors, or else the files of its index ─► Weights: name ► Stored: file, offset, dtype, shape
//!                                                               └ its scales, if it is quantised
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rho_files::InsidePath;
use safetensors::{SafeTensors, tensor::Dtype};
use serde_json::Value;

use crate::{
    CheckpointError, DataType, error::type_name, memory_map, settings::read_object, to_f32,
};

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Most tensors of a checkpoint. The largest mixtures of experts have 92,000.
const MOST_TENSORS: usize = 1 << 18;

/// Buffers that old checkpoints store and models compute anyway.
const COMPUTED: [&str; 4] = [
    ".rotary_emb.inv_freq",
    ".masked_bias",
    ".attn.bias",
    ".attention.bias",
];

/// A tensor in its file.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its dtype.
    pub dtype: DataType,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Factors on its values, if it is quantised.
    pub(crate) scales: Option<Scales>,
    file: Arc<PathBuf>,
    offset: usize,
    length: usize,
}

/// The scales of a quantised matrix, one per block. If the tensor holds several matrices, the scales have the same
/// first axis.
#[derive(Debug, Clone)]
pub(crate) struct Scales {
    pub(crate) stored: Box<Stored>,
    /// Rows and columns of a block.
    pub(crate) block: [usize; 2],
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

    /// Whether its values must be dequantised: the stored ones are multiplied by scales.
    pub fn is_quantised(&self) -> bool {
        self.scales.is_some()
    }

    /// Slice `index` along the first axis, without that axis.
    pub fn part(&self, index: usize) -> Self {
        let count = self.dims.first().copied().unwrap_or(1).max(1);
        let length = self.length / count;
        let scales = self.scales.as_ref().map(|of| Scales {
            stored: Box::new(of.stored.part(index)),
            block: of.block,
        });
        Self {
            dims: self.dims.get(1..).unwrap_or_default().to_vec(),
            scales,
            offset: self.offset + index.min(count - 1) * length,
            length,
            ..self.clone()
        }
    }

    /// Its stored bytes, memory-mapped.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or has become shorter.
    pub fn bytes(&self) -> Result<Bytes, CheckpointError> {
        if self.length == 0 {
            return Ok(Bytes::new());
        }
        memory_map::map_range(&self.file, self.offset, self.length).map_err(|source| {
            CheckpointError::Read {
                path: self.file.as_path().to_owned(),
                source,
            }
        })
    }

    /// Opens it for reading row by row.
    ///
    /// # Errors
    /// When the file cannot be mapped, the scales have an unsupported dtype, or a quantised tensor is not a matrix.
    pub fn rows(&self) -> Result<Rows, CheckpointError> {
        let mut scales = Vec::new();
        let mut per_row = 0;
        if let Some(of) = &self.scales {
            if self.dims.len() != 2
                || !to_f32::to_f32(of.stored.dtype, &of.stored.bytes()?, &mut scales)
            {
                return Err(of.stored.refused());
            }
            let width = self.dims.get(1).copied().unwrap_or(1);
            per_row = width.div_ceil(of.block[1]);
        }
        let count = self.dims.first().copied().unwrap_or(1).max(1);
        Ok(Rows {
            bytes: self.bytes()?,
            width: self.elements() / count,
            length: self.length / count,
            scales,
            per_row,
            stored: self.clone(),
        })
    }

    /// All values in f32, dequantised.
    ///
    /// # Errors
    /// When the file cannot be mapped, or the dtype is not supported.
    pub fn to_f32(&self) -> Result<Vec<f32>, CheckpointError> {
        let rows = self.rows()?;
        let (mut all, mut row) = (Vec::with_capacity(self.elements()), Vec::new());
        for i in 0..self.dims.first().copied().unwrap_or(1) {
            rows.read(i, &mut row)?;
            all.extend_from_slice(&row);
        }
        Ok(all)
    }

    fn refused(&self) -> CheckpointError {
        CheckpointError::TensorType {
            path: self.file().to_owned(),
            name: self.name.clone(),
            got: type_name(self.dtype),
        }
    }
}

/// A tensor that is read along its first axis.
#[derive(Debug)]
pub struct Rows {
    stored: Stored,
    bytes: Bytes,
    width: usize,
    /// Bytes in a row.
    length: usize,
    scales: Vec<f32>,
    per_row: usize,
}

impl Rows {
    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Reads row `index` into `out`, in f32.
    ///
    /// # Errors
    /// When the dtype is not supported.
    pub fn read(&self, index: usize, out: &mut Vec<f32>) -> Result<(), CheckpointError> {
        let bytes = &self.bytes[index * self.length..(index + 1) * self.length];
        if !to_f32::to_f32(self.stored.dtype, bytes, out) {
            return Err(self.stored.refused());
        }
        if let Some(Scales { block, .. }) = &self.stored.scales {
            let scales = &self.scales[index / block[0] * self.per_row..][..self.per_row];
            for (numbers, scale) in out.chunks_mut(block[1]).zip(scales) {
                numbers.iter_mut().for_each(|x| *x *= scale);
            }
        }
        Ok(())
    }
}

/// All tensors of a checkpoint.
#[derive(Debug, Clone)]
pub struct Weights {
    pub(crate) folder: PathBuf,
    pub(crate) tensors: BTreeMap<String, Stored>,
    files: Vec<PathBuf>,
}

impl Weights {
    /// Reads the headers of `model.safetensors` if it exists, else of the files in the index, as Transformers does.
    ///
    /// # Errors
    /// When neither exists, a file cannot be read or is damaged, or index and files disagree.
    pub fn find(folder: &Path) -> Result<Self, CheckpointError> {
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
            let files: BTreeSet<&InsidePath> = placed.values().collect();
            for file in files {
                found.add(folder.join(file))?;
            }
            for (name, file) in &placed {
                let there = found.tensors.get(name).map(|stored| stored.file());
                if there != Some(folder.join(file).as_path()) {
                    return Err(CheckpointError::Index {
                        path: index,
                        problem: format!("expected the tensor {name} in {file}, got none there"),
                    });
                }
            }
            found.files.push(index);
        } else {
            return Err(CheckpointError::NotACheckpoint {
                path: folder.to_owned(),
                got: "a folder with config.json, but without model.safetensors or its index"
                    .to_owned(),
            });
        }
        Ok(found)
    }

    /// Adds the tensors of one file.
    fn add(&mut self, path: PathBuf) -> Result<(), CheckpointError> {
        let whole = memory_map::map(&path).map_err(|source| CheckpointError::Read {
            path: path.clone(),
            source,
        })?;
        if whole.starts_with(b"version https://git-lfs") {
            return Err(CheckpointError::Pointer { path });
        }
        self.check_count(&path, announced(&whole))?;
        let (header, metadata) =
            SafeTensors::read_metadata(&whole).map_err(|source| CheckpointError::Safetensors {
                path: path.clone(),
                bytes: whole.len(),
                source,
            })?;
        self.check_count(&path, metadata.tensors().len())?;
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
                Dtype::F8_E4M3 => DataType::F8E4M3,
                Dtype::F8_E8M0 => DataType::F8E8M0,
                // Not supported; refused if the model uses this tensor.
                Dtype::F8_E5M2 => DataType::Other(19),
                Dtype::U16 => DataType::Other(4),
                Dtype::I16 => DataType::Other(5),
                Dtype::U32 => DataType::Other(12),
                Dtype::U64 => DataType::Other(13),
                _ => DataType::Other(0),
            };
            let stored = Stored {
                name: name.clone(),
                dtype,
                dims: info.shape.clone(),
                scales: None,
                file: file.clone(),
                // Before the header are eight bytes with its length.
                offset: 8 + header + info.data_offsets.0,
                length: info.data_offsets.1 - info.data_offsets.0,
            };
            if let Some(other) = self.tensors.insert(name.clone(), stored) {
                return Err(CheckpointError::Index {
                    path,
                    problem: format!("the tensor {name} is in {} too", other.file().display()),
                });
            }
        }
        self.files.push(path);
        Ok(())
    }

    /// Refuses `more` tensors if there would be too many, before their descriptions take memory.
    fn check_count(&self, path: &Path, more: usize) -> Result<(), CheckpointError> {
        let got = self.tensors.len() + more;
        match got > MOST_TENSORS {
            true => Err(CheckpointError::TooManyTensors {
                path: path.to_owned(),
                most: MOST_TENSORS,
                got,
            }),
            false => Ok(()),
        }
    }

    /// The files, the index last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its name in the model, with or without the first component: checkpoints of a base model omit
    /// `model.` or `transformer.`.
    pub fn find_tensor(&self, name: &str) -> Option<&Stored> {
        let bare = || name.split_once('.').map(|(_, rest)| rest);
        let found = self.tensors.get(name);
        found.or_else(|| self.tensors.get(bare()?))
    }

    /// A tensor that must exist with the shape `dims`, in floats or quantised.
    ///
    /// # Errors
    /// When it is missing, or has another shape or an unsupported dtype.
    pub fn expect(&self, name: &str, dims: &[usize]) -> Result<&Stored, CheckpointError> {
        let stored = self
            .find_tensor(name)
            .ok_or_else(|| CheckpointError::MissingTensor {
                path: self.folder.clone(),
                name: name.to_owned(),
                there: self.tensors.len(),
            })?;
        if stored.dims != dims {
            return Err(CheckpointError::Shape {
                path: stored.file().to_owned(),
                name: stored.name.clone(),
                expected: dims.to_vec(),
                got: stored.dims.clone(),
            });
        }
        match stored.dtype {
            DataType::F32 | DataType::F16 | DataType::Bf16 => Ok(stored),
            _ if stored.is_quantised() => Ok(stored),
            _ => Err(stored.refused()),
        }
    }

    /// Checks a tied head that is stored nevertheless: it must equal the embedding, since Transformers would not load
    /// it. Returns its name if it is stored under its own.
    ///
    /// # Errors
    /// When the head differs from the embedding, one of them has another shape or an unsupported dtype, the embedding
    /// is missing, or a file cannot be mapped.
    pub fn tied_head(
        &self,
        head: &str,
        embedding: &str,
        dims: &[usize],
    ) -> Result<Option<String>, CheckpointError> {
        if self.find_tensor(head).is_none() {
            return Ok(None);
        }
        let stored = self.expect(head, dims)?;
        let table = self.expect(embedding, dims)?;
        if stored.name == table.name {
            return Ok(None);
        }
        let same = stored.dtype == table.dtype
            && !stored.is_quantised()
            && !table.is_quantised()
            && stored.bytes()? == table.bytes()?;
        if !same {
            return Err(CheckpointError::Tied {
                path: stored.file().to_owned(),
                head: head.to_owned(),
                embedding: embedding.to_owned(),
            });
        }
        Ok(Some(stored.name.clone()))
    }

    /// Refuses tensors that are not in `taken`, except buffers that models compute anyway.
    ///
    /// # Errors
    /// When there are such tensors.
    pub fn must_all_be_taken(&self, taken: &HashSet<String>) -> Result<(), CheckpointError> {
        let left = self.names().filter(|name| {
            !taken.contains(*name) && !COMPUTED.iter().any(|end| name.ends_with(end))
        });
        let names: Vec<String> = left.map(str::to_owned).collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::ExtraTensors {
                path: self.folder.clone(),
                names,
            }),
        }
    }
}

/// How many tensors the header of a safetensors file describes, without decoding it.
fn announced(file: &[u8]) -> usize {
    const EACH: &[u8] = b"data_offsets";
    let header = file.split_first_chunk().and_then(|(size, rest)| {
        let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
        rest.get(..size)
    });
    // Every description has this key. A quick look at its last letter skips most places.
    let header = header.unwrap_or_default().windows(EACH.len());
    header
        .filter(|part| part[EACH.len() - 1] == b's' && *part == EACH)
        .count()
}

/// The index, from tensor to file name.
fn read_index(path: &Path) -> Result<BTreeMap<String, InsidePath>, CheckpointError> {
    let json = read_object(path)?;
    let refused = |problem: String| CheckpointError::Index {
        path: path.to_owned(),
        problem,
    };
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| refused("expected an object weight_map, got none".to_owned()))?;
    map.iter()
        .map(|(name, file)| {
            let file = file.as_str().unwrap_or_default();
            let file = InsidePath::new(file);
            let file = file.map_err(|error| refused(format!("weight_map: {name:?}: {error}")))?;
            Ok((name.clone(), file))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and no data.
    fn file(header: &str) -> Vec<u8> {
        let size = (header.len() as u64).to_le_bytes();
        [&size[..], header.as_bytes()].concat()
    }

    #[test]
    fn too_many_tensors_are_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SINGLE);
        let tensors = |key: &str, count: usize| {
            let each = |i| format!(r#""{i}":{{"dtype":"F32","shape":[0],"{key}":[0,0]}}"#);
            let all: Vec<String> = (0..count).map(each).collect();
            file(&format!("{{{}}}", all.join(",")))
        };
        std::fs::write(&path, tensors("data_offsets", 3)).unwrap();
        assert_eq!(Weights::find(folder.path()).unwrap().names().count(), 3);
        // Also if the header hides them from a quick look.
        for key in ["data_offsets", r"data\u005foffsets"] {
            std::fs::write(&path, tensors(key, MOST_TENSORS + 1)).unwrap();
            let said = Weights::find(folder.path()).unwrap_err().to_string();
            assert!(
                said.ends_with("expected at most 262144 tensors, got 262145"),
                "{said}"
            );
        }
    }

    #[test]
    fn headers_that_are_none_announce_nothing() {
        for bytes in [&b""[..], b"1234567", &[255; 8], &file("")] {
            assert_eq!(announced(bytes), 0);
        }
    }
}
