//! The graph under construction: values with their shapes, nodes, and constants that stay in the checkpoint.
//!
//! Every value gets a `value_info`, so that shape inference knows the outputs of non-standard operators. Names are
//! paths: constants have their names in the checkpoint, nodes are named like `/model/layers.0/self_attn/MatMul`.

use std::collections::{HashMap, HashSet};

use rho_checkpoint::{Stored, Weights};

use super::constants::{Change, Constant, Content};
use crate::{
    DataType, Dimension, ExportError,
    build::{self, value_info},
    onnx::{AttributeProto, GraphProto, NodeProto},
};

/// Domain of ONNX Runtime's own operators.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// How to build the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Dtype of the computation: f32, f16 or bf16.
    pub(crate) dtype: DataType,
    /// Whether the body's matrices are in 8 bits.
    pub(crate) int8: bool,
    /// Whether to use standard operators only.
    pub(crate) portable: bool,
}

/// A value of the graph. Without a name it stands for an omitted optional operand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    pub(crate) dims: Vec<Dimension>,
}

impl Value {
    /// An omitted operand.
    pub(crate) fn none() -> Self {
        Self {
            name: String::new(),
            dtype: DataType::F32,
            dims: Vec::new(),
        }
    }

    /// Dtype and shape.
    pub(crate) fn kind(&self) -> Kind {
        (self.dtype, self.dims.clone())
    }

    /// Dtype and shape, with a last axis of size `width`.
    pub(crate) fn kind_with_width(&self, width: usize) -> Kind {
        let mut kind = self.kind();
        if let Some(last) = kind.1.last_mut() {
            *last = Dimension::Fixed(width);
        }
        kind
    }
}

/// Dtype and shape.
pub(crate) type Kind = (DataType, Vec<Dimension>);

/// Axis: documents.
pub(crate) fn batch() -> Dimension {
    Dimension::Named("batch".to_owned())
}

/// Axis: tokens.
pub(crate) fn length() -> Dimension {
    Dimension::Named("length".to_owned())
}

/// Axis of a known size.
pub(crate) fn fixed(size: usize) -> Dimension {
    Dimension::Fixed(size)
}

/// A graph under construction.
pub(crate) struct Graph<'c> {
    pub(crate) style: Style,
    pub(crate) weights: &'c Weights,
    pub(crate) proto: GraphProto,
    pub(crate) constants: Vec<Constant>,
    constant_names: HashSet<String>,
    /// Names of the checkpoint's tensors that were taken.
    pub(crate) taken: HashSet<String>,
    /// Values that are computed once and read by all layers, by key.
    pub(crate) shared: HashMap<String, Value>,
    /// Whether new values get no `value_info`.
    shapeless: bool,
    scopes: Vec<String>,
    names: HashMap<String, usize>,
}

impl<'c> Graph<'c> {
    pub(crate) fn new(weights: &'c Weights, style: Style) -> Self {
        Self {
            style,
            weights,
            proto: GraphProto {
                name: Some("rho-mask".to_owned()),
                ..Default::default()
            },
            constants: Vec::new(),
            constant_names: HashSet::new(),
            taken: HashSet::new(),
            shared: HashMap::new(),
            shapeless: false,
            scopes: Vec::new(),
            names: HashMap::new(),
        }
    }

    /// Builds inside a module: its name is added to the paths of tensors and nodes.
    pub(crate) fn within<T>(
        &mut self,
        scope: &str,
        build: impl FnOnce(&mut Self) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        // The part has no module of its own.
        if scope.is_empty() {
            return build(self);
        }
        self.scopes.push(scope.to_owned());
        let built = build(self);
        self.scopes.pop();
        built
    }

    /// A tensor's full name.
    pub(crate) fn path(&self, name: &str) -> String {
        let mut path = self.scopes.clone();
        path.push(name.to_owned());
        path.join(".")
    }

    /// Builds a value that all layers share, once, outside any scope.
    pub(crate) fn once(
        &mut self,
        key: &str,
        build: impl FnOnce(&mut Self) -> Result<Value, ExportError>,
    ) -> Result<Value, ExportError> {
        if let Some(value) = self.shared.get(key) {
            return Ok(value.clone());
        }
        let scopes = std::mem::replace(&mut self.scopes, vec!["shared".to_owned()]);
        let value = build(self);
        self.scopes = scopes;
        let value = value?;
        self.shared.insert(key.to_owned(), value.clone());
        Ok(value)
    }

    /// Builds values without `value_info`, so that their shapes stay unknown.
    pub(crate) fn without_shapes<T>(
        &mut self,
        build: impl FnOnce(&mut Self) -> Result<T, ExportError>,
    ) -> Result<T, ExportError> {
        let before = std::mem::replace(&mut self.shapeless, true);
        let built = build(self);
        self.shapeless = before;
        built
    }

    fn fresh(&mut self, operator: &str) -> String {
        let name = format!("/{}/{operator}", self.scopes.join("/"));
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            more => format!("{name}_{more}"),
        }
    }

    /// The model's only input, created on first use: i64 `[batch, length]`.
    pub(crate) fn input_ids(&mut self) -> Value {
        let value = Value {
            name: "input_ids".to_owned(),
            dtype: DataType::I64,
            dims: vec![batch(), length()],
        };
        if self.proto.input.is_empty() {
            let info = value_info(&value.name, value.dtype, Some(&value.dims));
            self.proto.input.push(info);
        }
        value
    }

    /// A node with several outputs; those that are `None` are omitted.
    pub(crate) fn nodes(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        outputs: Vec<Option<Kind>>,
    ) -> Vec<Value> {
        let name = self.fresh(operator);
        let values: Vec<Value> = (outputs.into_iter().enumerate())
            .map(|(i, kind)| match (i, kind) {
                (_, None) => Value::none(),
                (0, Some((dtype, dims))) => Value {
                    name: format!("{name}/output"),
                    dtype,
                    dims,
                },
                (i, Some((dtype, dims))) => Value {
                    name: format!("{name}/output_{i}"),
                    dtype,
                    dims,
                },
            })
            .collect();
        let told = values.iter().filter(|value| !value.name.is_empty());
        for value in told.filter(|_| !self.shapeless) {
            let info = value_info(&value.name, value.dtype, Some(&value.dims));
            self.proto.value_info.push(info);
        }
        let names = |values: &mut dyn Iterator<Item = &Value>| {
            let mut names: Vec<String> = values.map(|value| value.name.clone()).collect();
            while names.last().is_some_and(String::is_empty) {
                names.pop();
            }
            names
        };
        self.proto.node.push(NodeProto {
            op_type: Some(operator.to_owned()),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            input: names(&mut inputs.iter().copied()),
            output: names(&mut values.iter()),
            name: Some(name),
            attribute: attributes,
            ..Default::default()
        });
        values
    }

    /// A standard node with one output.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        kind: Kind,
    ) -> Value {
        self.one("", operator, inputs, attributes, kind)
    }

    /// A node with one of ONNX Runtime's own operators and one output.
    pub(crate) fn microsoft(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        kind: Kind,
    ) -> Value {
        self.one(MICROSOFT, operator, inputs, attributes, kind)
    }

    fn one(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        kind: Kind,
    ) -> Value {
        let mut values = self.nodes(domain, operator, inputs, attributes, vec![Some(kind)]);
        values.swap_remove(0)
    }

    /// Casts a value, unless it has the dtype already.
    pub(crate) fn cast(&mut self, value: &Value, to: DataType) -> Value {
        if value.dtype == to {
            return value.clone();
        }
        let attribute = build::int("to", i64::from(to.to_onnx()));
        let dims = value.dims.clone();
        self.node("Cast", &[value], vec![attribute], (to, dims))
    }

    /// Adds a constant to the graph, unless one of this name exists.
    pub(crate) fn constant(&mut self, constant: Constant) -> Value {
        let value = Value {
            name: constant.name.clone(),
            dtype: constant.dtype,
            dims: constant.dims.iter().copied().map(fixed).collect(),
        };
        if self.constant_names.insert(constant.name.clone()) {
            self.constants.push(constant);
        }
        value
    }

    /// A small constant of integers.
    pub(crate) fn integers(&mut self, values: &[i64], dims: &[usize]) -> Value {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.small(DataType::I64, dims, bytes)
    }

    /// A small constant of floats.
    pub(crate) fn numbers(&mut self, dtype: DataType, values: &[f64], dims: &[usize]) -> Value {
        let numbers: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let bytes = super::constants::encode(&numbers, dtype);
        self.small(dtype, dims, bytes)
    }

    fn small(&mut self, dtype: DataType, dims: &[usize], bytes: Vec<u8>) -> Value {
        let name = self.fresh("Constant");
        self.constant(Constant {
            name,
            dtype,
            dims: dims.to_vec(),
            content: Content::Bytes(bytes.into()),
        })
    }

    /// A tensor of the checkpoint, by its name in the current scope, in the model's dtype.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        dims: &[usize],
        change: Change,
    ) -> Result<Value, ExportError> {
        let dtype = self.style.dtype;
        self.tensor_as(name, dims, change, dtype, "")
    }

    /// Looks up a tensor of the checkpoint, by its name in the current scope, and marks it as used.
    pub(crate) fn take(&mut self, name: &str, dims: &[usize]) -> Result<Stored, ExportError> {
        let stored = self.weights.expect(&self.path(name), dims)?.clone();
        self.taken.insert(stored.name.clone());
        Ok(stored)
    }

    /// As [`Graph::tensor`], in a given dtype; `part` is a suffix to the name if only a part of the tensor is used.
    pub(crate) fn tensor_as(
        &mut self,
        name: &str,
        dims: &[usize],
        change: Change,
        dtype: DataType,
        part: &str,
    ) -> Result<Value, ExportError> {
        let stored = self.take(name, dims)?;
        let dims = change.dims(dims);
        Ok(self.constant(Constant {
            name: format!("{}{part}", self.path(name)),
            dtype,
            dims,
            content: Content::Stored(stored, change),
        }))
    }
}
