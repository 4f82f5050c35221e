//! A model file: its graph, its inputs and outputs, and the files with its weights. No weights are read here.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;
use rho_checkpoint::memory_map::map;

use crate::{
    DataType, GraphError, Tensor,
    external_data::{self, external},
    message_size,
    onnx::{GraphProto, ModelProto, ValueInfoProto},
    tensor::bytes_of,
};

/// Most elements of a tensor. As many in each of the most tensors of a model still add up to less than 2^63.
const MOST_ELEMENTS: usize = 1 << 44;

/// One axis of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A fixed size.
    Fixed(usize),
    /// A named size, such as `sequence_length`.
    Named(String),
    /// Not specified.
    Unknown,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Data type.
    pub dtype: DataType,
    /// Axes; `None` if the model does not specify their number.
    pub dims: Option<Vec<Dimension>>,
}

/// An ONNX model opened for reading and cutting.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) proto: ModelProto,
    pub(crate) graph: GraphProto,
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) file: Bytes,
}

impl Model {
    /// The value of `key` in the model's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let mut entries = self.proto.metadata_props.iter();
        let entry = entries.find(|entry| entry.key.as_deref() == Some(key))?;
        entry.value.as_deref()
    }

    /// Maps and decodes a file, without reading weights. If an export only names its head in the metadata, the head's
    /// nodes are added.
    ///
    /// # Errors
    /// When the file cannot be read, is not an ONNX model, is too large or has no graph, external data is outside its
    /// folder, names occur twice, or the named head cannot be found.
    pub fn open(path: &Path) -> Result<Self, GraphError> {
        let read = |source| GraphError::Read {
            path: path.to_owned(),
            source,
        };
        let given = std::path::absolute(path).map_err(read)?;
        let path = path.canonicalize().map_err(read)?;
        let file = map(&path).map_err(|source| GraphError::Read {
            path: path.clone(),
            source,
        })?;
        message_size::check(&path, &file)?;
        let mut proto = ModelProto::decode(file.clone()).map_err(|source| GraphError::NotOnnx {
            path: path.clone(),
            source,
        })?;
        match proto.graph.take() {
            Some(graph) if !graph.output.is_empty() => {
                let model = Self {
                    proto,
                    folder: folder(&graph, &given, &path),
                    graph,
                    path: path.clone(),
                    file,
                };
                model.check_names()?;
                model.check_shapes()?;
                model.check_locations()?;
                let head = |source| GraphError::Head { path, source };
                model.with_named_head().map_err(head)
            }
            _ => Err(GraphError::NoGraph { path }),
        }
    }

    /// The file, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that external data is relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Refuses outputs, inputs and constants that are named twice: which of them is meant is not defined.
    fn check_names(&self) -> Result<(), GraphError> {
        fn unique<'a>(
            path: &Path,
            what: &'static str,
            names: impl Iterator<Item = Option<&'a String>>,
        ) -> Result<(), GraphError> {
            let mut known = HashSet::new();
            let named = names.flatten().filter(|name| !name.is_empty());
            let twice = named.into_iter().find(|name| !known.insert(*name));
            twice.map_or(Ok(()), |name| {
                Err(GraphError::Twice {
                    path: path.to_owned(),
                    what,
                    name: name.clone(),
                })
            })
        }
        let graph = &self.graph;
        fn name(port: &ValueInfoProto) -> Option<&String> {
            port.name.as_ref()
        }
        unique(&self.path, "outputs", graph.output.iter().map(name))?;
        unique(&self.path, "inputs", graph.input.iter().map(name))?;
        let results = graph.node.iter().flat_map(|node| &node.output).map(Some);
        unique(&self.path, "results of nodes", results)?;
        let constants = graph.initializer.iter();
        let constants = constants.map(|tensor| tensor.name.as_ref());
        unique(&self.path, "constants", constants)
    }

    /// Refuses shapes that no tensor can have (sizes are multiplied and added without looking for an overflow), and bytes
    /// in the model that do not fill their shape.
    fn check_shapes(&self) -> Result<(), GraphError> {
        external_data::each_tensor(&self.proto, &self.graph, &mut |tensor| {
            let name = || tensor.name.clone().unwrap_or_default();
            if bytes_of(&tensor.dims, 1) > MOST_ELEMENTS {
                return Err(GraphError::TensorShape {
                    path: self.path.clone(),
                    name: name(),
                    most: MOST_ELEMENTS,
                    got: tensor.dims.clone(),
                });
            }
            let dtype = DataType::from_onnx(tensor.data_type.unwrap_or(0));
            let raw = tensor.raw_data.as_ref().filter(|raw| !raw.is_empty());
            if let (Some(raw), Some(size)) = (raw, dtype.size())
                && raw.len() != bytes_of(&tensor.dims, size)
            {
                return Err(GraphError::TensorBytes {
                    name: name(),
                    expected: bytes_of(&tensor.dims, size),
                    got: raw.len(),
                    place: self.path.display().to_string(),
                });
            }
            Ok(())
        })
    }

    /// Refuses external data outside the model's folder. Files that do not exist are reported by
    /// [`check_external_data`](Self::check_external_data).
    fn check_locations(&self) -> Result<(), GraphError> {
        let mut known = HashSet::new();
        external_data::each_tensor(&self.proto, &self.graph, &mut |tensor| {
            let Some(external) = external(tensor, &self.path)? else {
                return Ok(());
            };
            let there = self.folder.join(&external.location).exists();
            if there && known.insert(external.location.clone()) {
                let name = tensor.name.as_deref();
                external_data::file(name, &external, &self.folder, &self.path)?;
            }
            Ok(())
        })
    }

    /// Checks that the external data exists and has as many bytes as the constants need, without reading it.
    ///
    /// # Errors
    /// When a file is missing or too short.
    pub fn check_external_data(&self) -> Result<(), GraphError> {
        let mut sizes = HashMap::new();
        external_data::each_tensor(&self.proto, &self.graph, &mut |tensor| {
            let Some(external) = external(tensor, &self.path)? else {
                return Ok(());
            };
            let path = self.folder.join(&external.location);
            let size = match sizes.get(&path) {
                Some(size) => *size,
                None => {
                    let metadata = fs::metadata(&path).map_err(|source| GraphError::Read {
                        path: path.clone(),
                        source,
                    })?;
                    sizes.insert(path.clone(), metadata.len() as usize);
                    metadata.len() as usize
                }
            };
            let dtype = DataType::from_onnx(tensor.data_type.unwrap_or(0));
            let expected = dtype.size().map(|size| bytes_of(&tensor.dims, size));
            let expected = expected.max(external.length).unwrap_or(0);
            let there = size.saturating_sub(external.offset);
            let got = external.length.map_or(there, |length| there.min(length));
            if got < expected {
                return Err(GraphError::TensorBytes {
                    name: tensor.name.clone().unwrap_or_default(),
                    expected,
                    got,
                    place: path.display().to_string(),
                });
            }
            Ok(())
        })
    }

    /// The graph's inputs, without constants (old exporters list these as inputs too).
    pub fn inputs(&self) -> Vec<Port> {
        let constants: std::collections::HashSet<_> = self
            .graph
            .initializer
            .iter()
            .filter_map(|t| t.name.as_deref())
            .collect();
        let inputs = self.graph.input.iter().map(port);
        inputs
            .filter(|p| !constants.contains(p.name.as_str()))
            .collect()
    }

    /// The graph's outputs.
    pub fn outputs(&self) -> Vec<Port> {
        self.graph.output.iter().map(port).collect()
    }

    /// Files that hold the weights: the model itself, with links resolved, and its external data.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        let mut known = HashSet::new();
        // Opening the model refused locations that are wrong.
        let _ = external_data::each_tensor(&self.proto, &self.graph, &mut |tensor| {
            if let Some(external) = external(tensor, &self.path)? {
                let path = self.folder().join(external.location);
                if known.insert(path.clone()) {
                    files.push(path);
                }
            }
            Ok(())
        });
        files
    }

    /// A constant of the graph by its name.
    pub(crate) fn constant(&self, name: &str) -> Option<Result<Tensor, GraphError>> {
        let proto = self
            .graph
            .initializer
            .iter()
            .find(|t| t.name.as_deref() == Some(name));
        Some(Tensor::resolve(proto?, self.folder()))
    }
}

/// The folder of the external data: beside the path as given, or beside the real file if the path is a link. A download
/// cache has the data as a link beside the model's link, and both real files under other names elsewhere.
fn folder(graph: &GraphProto, given: &Path, real: &Path) -> PathBuf {
    let beside = |path: &Path| path.parent().unwrap_or(Path::new(".")).to_owned();
    let (given, real) = (beside(given), beside(real));
    let mut external = graph
        .initializer
        .iter()
        .filter_map(|tensor| external(tensor, &given).ok().flatten())
        .peekable();
    let there = external.peek().is_some() && external.all(|e| real.join(e.location).exists());
    if there { real } else { given }
}

pub(crate) fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    Port {
        name: info.name.clone().unwrap_or_default(),
        dtype: DataType::from_onnx(tensor.and_then(|t| t.elem_type).unwrap_or(0)),
        dims: tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
            let dim = |d: &crate::onnx::DimensionProto| match (d.dim_value, &d.dim_param) {
                (Some(size), _) if size >= 0 => Dimension::Fixed(size as usize),
                (_, Some(name)) if !name.is_empty() => Dimension::Named(name.clone()),
                _ => Dimension::Unknown,
            };
            shape.dim.iter().map(dim).collect()
        }),
    }
}
