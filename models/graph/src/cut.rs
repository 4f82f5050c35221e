//! The body: a graph whose output is the hidden states before the head, serialized with the weights left in their
//! files.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;

use crate::{
    GraphError, Head, Model, NotCuttable, Port,
    external_data::{self, external},
    onnx::{
        GraphProto, NodeProto, StringStringEntryProto, TensorProto, TensorTypeProto, TypeProto,
        ValueInfoProto,
    },
};

/// Tensors of fewer bytes stay in the graph: shape inference needs small constants.
const LARGE: usize = 16 * 1024;

/// A model cut before its head.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The graph up to the hidden states, its only output.
    pub body: Model,
    /// Name and dtype of that output: rows of [`Head::hidden`] values, in the order of the logits' rows.
    pub hidden: Port,
    /// The head.
    pub head: Head,
    /// The head's weights as in the graph, for [`crate::build::head_model`].
    pub(crate) weights: TensorProto,
}

/// A model's bytes for ONNX Runtime, and the folder its external data is relative to.
#[derive(Debug, Clone)]
pub struct Serialized {
    /// A ModelProto.
    pub bytes: Vec<u8>,
    /// The value for `session.model_external_initializers_file_folder_path`.
    pub folder: PathBuf,
}

impl Model {
    /// Cuts the graph before the matmul that computes `logits`.
    ///
    /// # Errors
    /// When the logits do not come from a matmul with readable constant weights in f32, f16 or bf16, or it is followed
    /// by another operator than a cast, scale, soft cap or bias.
    pub fn cut(&self, logits: &Port) -> Result<Cut, NotCuttable> {
        let found = self.find_head(logits)?;
        let hidden = Port {
            name: found.input,
            dtype: found.input_dtype,
            dims: None,
        };
        let name = Some(&found.head.weights.name);
        let weights = self
            .graph
            .initializer
            .iter()
            .find(|t| t.name.as_ref() == name)
            .cloned();
        let weights = weights.ok_or_else(|| NotCuttable::NotConstant {
            value: found.head.weights.name.clone(),
        })?;
        Ok(Cut {
            body: self.clone().without_softmax_guards().with_output(&hidden),
            hidden,
            head: found.head,
            weights,
        })
    }

    /// The same model with `output` as its only output, without nodes and constants that it does not need. Inputs stay.
    pub fn with_output(&self, output: &Port) -> Model {
        let mut graph = self.graph.clone();
        let mut needed = HashSet::from([output.name.clone()]);
        let mut keep = vec![false; graph.node.len()];
        // Nodes should be in topological order, but converters append theirs at the end: then it takes another round to
        // find what they read. If they are in order, the second round finds nothing.
        loop {
            let before = needed.len();
            for (node, keep) in graph.node.iter().zip(&mut keep).rev() {
                if !*keep && node.output.iter().any(|o| needed.contains(o)) {
                    *keep = true;
                    uses(node, &mut needed);
                }
            }
            if needed.len() == before {
                break;
            }
        }
        let mut keep = keep.into_iter();
        graph.node.retain(|_| keep.next().unwrap_or(true));
        let is_needed = |name: &Option<String>| name.as_ref().is_some_and(|n| needed.contains(n));
        graph.initializer.retain(|t| is_needed(&t.name));
        graph.value_info.retain(|v| is_needed(&v.name));
        graph
            .quantization_annotation
            .retain(|a| is_needed(&a.tensor_name));
        let tensor_type = TensorTypeProto {
            elem_type: Some(output.dtype.to_onnx()),
            shape: None,
        };
        graph.output = vec![ValueInfoProto {
            name: Some(output.name.clone()),
            r#type: Some(TypeProto {
                tensor_type: Some(tensor_type),
                ..Default::default()
            }),
            ..Default::default()
        }];
        Model {
            graph,
            ..self.clone()
        }
    }

    /// Serializes the model without its large weights. These become external data, by file and offset, even if they are
    /// inside the model file. ONNX Runtime maps them, and nothing is copied.
    ///
    /// # Errors
    /// When a file of external data cannot be found, or the weights are in several folders.
    pub fn to_bytes(&self) -> Result<Serialized, GraphError> {
        let mut proto = self.proto.clone();
        let mut graph = self.graph.clone();
        let mut folder = None;
        for tensor in &mut graph.initializer {
            if let Some((path, offset, length)) = self.place_of(tensor)? {
                refer(tensor, &path, offset, length, &mut folder, &self.path)?;
            }
        }
        proto.graph = Some(graph);
        let folder = folder.unwrap_or_else(|| self.folder().to_owned());
        Ok(Serialized {
            bytes: proto.encode_to_vec(),
            folder,
        })
    }

    /// Where to find a tensor's bytes, if they are to stay in their file: file with links resolved, offset, length.
    pub(crate) fn place_of(
        &self,
        tensor: &TensorProto,
    ) -> Result<Option<(PathBuf, usize, Option<usize>)>, GraphError> {
        if let Some(external) = external(tensor, &self.path)? {
            let name = tensor.name.as_deref();
            let path = external_data::file(name, &external, self.folder(), &self.path)?;
            return Ok(Some((path, external.offset, external.length)));
        }
        let place = tensor
            .raw_data
            .as_ref()
            .filter(|raw| raw.len() >= LARGE)
            .and_then(|raw| {
                let offset = offset_in(&self.file, raw)?;
                Some((self.path.clone(), offset, Some(raw.len())))
            });
        Ok(place)
    }
}

/// Turns a tensor into a reference to bytes in a file of the common folder.
fn refer(
    tensor: &mut TensorProto,
    path: &Path,
    offset: usize,
    length: Option<usize>,
    folder: &mut Option<PathBuf>,
    model: &Path,
) -> Result<(), GraphError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let known = folder.get_or_insert_with(|| parent.to_owned());
    // The file may also be in a subfolder.
    let Ok(location) = path.strip_prefix(&*known) else {
        let (path, first, second) = (model.to_owned(), known.clone(), parent.to_owned());
        return Err(GraphError::SeveralFolders {
            path,
            first,
            second,
        });
    };
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.external_data = vec![entry(
        "location",
        location.to_string_lossy().replace('\\', "/"),
    )];
    tensor
        .external_data
        .push(entry("offset", offset.to_string()));
    tensor
        .external_data
        .extend(length.map(|n| entry("length", n.to_string())));
    tensor.data_location = Some(1);
    tensor.raw_data = None;
    Ok(())
}

/// The offset of `part` in `whole`, if it is a view into it.
fn offset_in(whole: &Bytes, part: &Bytes) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

/// Adds the names that a node reads, including those that its subgraphs read from outside.
fn uses(node: &NodeProto, needed: &mut HashSet<String>) {
    needed.extend(node.input.iter().filter(|n| !n.is_empty()).cloned());
    let subgraphs = node
        .attribute
        .iter()
        .flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs));
    for subgraph in subgraphs {
        uses_of_graph(subgraph, needed);
    }
}

/// Adds all names read inside a subgraph. Names local to it do no harm: they match nothing outside.
fn uses_of_graph(graph: &GraphProto, needed: &mut HashSet<String>) {
    needed.extend(graph.output.iter().filter_map(|o| o.name.clone()));
    for node in &graph.node {
        uses(node, needed);
    }
}
