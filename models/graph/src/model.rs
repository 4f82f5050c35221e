//! A model file: its graph, its inputs and outputs, and where its weights lie. Nothing large is read here.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use crate::{
    DataType, GraphError, Tensor,
    map::map,
    onnx::{GraphProto, ModelProto, ValueInfoProto},
};

/// One axis of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A fixed size.
    Fixed(usize),
    /// A named size, such as `sequence_length`.
    Named(String),
    /// Nothing is said.
    Unknown,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DataType,
    /// Axes; `None` where the model does not say even how many.
    pub dims: Option<Vec<Dimension>>,
}

/// An ONNX model opened for reading and cutting.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) proto: ModelProto,
    pub(crate) graph: GraphProto,
    pub(crate) path: PathBuf,
    pub(crate) file: Bytes,
}

impl Model {
    /// Maps and decodes a file. Weights are not read.
    pub fn open(path: &Path) -> Result<Self, GraphError> {
        // External data is found beside the real file, also when the model is reached through a link.
        let path = path.canonicalize().map_err(|source| GraphError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = map(&path)?;
        let mut proto = ModelProto::decode(file.clone()).map_err(|source| GraphError::NotOnnx {
            path: path.clone(),
            source,
        })?;
        match proto.graph.take() {
            Some(graph) if !graph.output.is_empty() => Ok(Self {
                proto,
                graph,
                path,
                file,
            }),
            _ => Err(GraphError::NoGraph { path }),
        }
    }

    /// The file, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that external data is relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The graph's inputs, without those that are only names of constants (old exporters list them too).
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

    /// Files that hold the weights: the model itself and its external data, with links resolved.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        for tensor in &self.graph.initializer {
            if let Some(external) = crate::tensor::external(tensor) {
                let path = self.folder().join(external.location);
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
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
