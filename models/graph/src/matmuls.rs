//! Replaces matmuls with constant weights by an operator for custom kernels.
//!
//! ```text
//! x ─ MatMul(w) ─► y      x ─ Gemm(w, bias) ─► y      becomes      x ─ Product { product: i } ─► y
//! ```
//!
//! The graph no longer reads the weights. They are read one matrix at a time, each from its own memory map, so packing
//! a model never holds it in memory twice.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use bytes::Bytes;

use crate::{
    DataType, GraphError, Layout, Model, NotReducible, Tensor,
    onnx::{AttributeProto, NodeProto, OperatorSetIdProto},
    quantised::Levels,
};

/// Matmuls with quantised weights, which are refused; `MatMulNBits` only if `crate::quantised` does not support its
/// format.
const QUANTISED: [&str; 7] = [
    "MatMulNBits",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "QLinearMatMul",
    "QGemm",
    "DequantizeLinear",
];

/// Names of the operator that replaces a matmul.
pub mod names {
    /// The operators' domain.
    pub const DOMAIN: &str = "rho_mask";
    /// One input `[.., inputs]`, one output `[.., outputs]`.
    pub const PRODUCT: &str = "Product";
    /// Its integer attribute: the index of the [`ConstantMatmul`](super::ConstantMatmul).
    pub const NUMBER: &str = "product";
}

/// A matmul that was replaced: `y [.., outputs] = x [.., inputs] @ weights * scale + bias`.
#[derive(Debug, Clone)]
pub struct ConstantMatmul {
    /// Name of the weights.
    pub name: String,
    /// Which axis of the weights comes first.
    pub layout: Layout,
    /// Number of input features.
    pub inputs: usize,
    /// Number of output features.
    pub outputs: usize,
    /// A factor, usually 1.
    pub scale: f32,
    /// `[outputs]`, added at the end.
    pub bias: Option<Vec<f32>>,
    pub(crate) dtype: DataType,
    pub(crate) dims: Vec<usize>,
    pub(crate) place: WeightStorage,
    /// For weights in 8 bits.
    pub(crate) levels: Option<Levels>,
}

#[derive(Debug, Clone)]
pub(crate) enum WeightStorage {
    File {
        path: PathBuf,
        offset: usize,
        length: usize,
    },
    Memory(Bytes),
}

impl ConstantMatmul {
    /// The weights, memory-mapped, or dequantised if they are in 8 bits.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or has become shorter.
    pub fn weights(&self) -> Result<Tensor, GraphError> {
        let bytes = self.place.bytes()?;
        let bytes = match &self.levels {
            Some(levels) => levels.numbers(&bytes, self.inputs),
            None => bytes,
        };
        Ok(Tensor {
            name: self.name.clone(),
            dims: self.dims.clone(),
            dtype: self.dtype,
            bytes,
        })
    }
}

impl Model {
    /// Whether all its matmuls with constant weights are in 8 bits, as this crate exports them.
    pub fn is_stored_in_8_bits(&self) -> bool {
        let operators = || self.graph.node.iter().map(|n| n.op_type.as_deref());
        let mut quantised = operators().flatten().filter(|o| QUANTISED.contains(o));
        quantised.next().is_some()
            && self
                .without_matmuls()
                .is_ok_and(|(_, products)| products.iter().all(|product| product.levels.is_some()))
    }

    /// Replaces every matmul with constant f32 weights by an operator [`names::PRODUCT`]. The rest of the graph stays,
    /// including the weights; [`Model::with_output`] removes what is no longer needed.
    ///
    /// # Errors
    /// When there is no such matmul, weights of a matmul are not f32 or are quantised in another format, or a file
    /// cannot be read.
    pub fn without_matmuls(&self) -> Result<(Model, Vec<ConstantMatmul>), NotReducible> {
        let mut model = self.clone();
        let mut products = Vec::new();
        let weights = Weights::of(self);
        for node in &mut model.graph.node {
            let unreadable = |error: GraphError| NotReducible::Unreadable(error.to_string());
            let in_8_bits = self.product_in_8_bits(node).map_err(unreadable)?;
            let operator = node.op_type.as_deref().unwrap_or_default();
            let product = match in_8_bits {
                None if QUANTISED.contains(&operator) => {
                    return Err(NotReducible::Quantised {
                        operator: operator.to_owned(),
                    });
                }
                None => weights.product(node)?,
                found => found,
            };
            let Some(product) = product else {
                continue;
            };
            *node = NodeProto {
                op_type: Some(names::PRODUCT.to_owned()),
                domain: Some(names::DOMAIN.to_owned()),
                input: vec![node.input[0].clone()],
                attribute: vec![number(products.len())],
                ..node.clone()
            };
            products.push(product);
        }
        if products.is_empty() {
            return Err(NotReducible::NoProducts);
        }
        model.speak_own_domain();
        Ok((model, products))
    }

    /// Adds the domain of the custom operators to the model's opset imports.
    pub(crate) fn speak_own_domain(&mut self) {
        let sets = &mut self.proto.opset_import;
        if !(sets.iter()).any(|set| set.domain.as_deref() == Some(names::DOMAIN)) {
            sets.push(OperatorSetIdProto {
                domain: Some(names::DOMAIN.to_owned()),
                version: Some(1),
            });
        }
    }
}

/// Finds the constants behind operands.
struct Weights<'a> {
    model: &'a Model,
    producers: HashMap<&'a str, &'a NodeProto>,
    constants: HashSet<&'a str>,
}

impl<'a> Weights<'a> {
    fn of(model: &'a Model) -> Self {
        let nodes = model.graph.node.iter();
        let outputs = nodes.flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n)));
        let constants = model.graph.initializer.iter();
        Self {
            model,
            producers: outputs.collect(),
            constants: constants.filter_map(|t| t.name.as_deref()).collect(),
        }
    }

    /// The matmul of a node, if its second operand is a constant matrix in f32; other dtypes are refused.
    fn product(&self, node: &NodeProto) -> Result<Option<ConstantMatmul>, NotReducible> {
        let attribute = |name: &str| {
            let named = node.attribute.iter();
            named.into_iter().find(|a| a.name.as_deref() == Some(name))
        };
        let flag = |name: &str| attribute(name).and_then(|a| a.i).unwrap_or(0) != 0;
        let factor = |name: &str| attribute(name).and_then(|a| a.f).unwrap_or(1.0);
        let gemm = match node.op_type.as_deref() {
            Some("MatMul") => false,
            Some("Gemm") if !flag("transA") => true,
            _ => return Ok(None),
        };
        let [rows, operand, rest @ ..] = &node.input[..] else {
            return Ok(None);
        };
        let Some((name, mut transposed)) = self.constant(operand) else {
            return Ok(None);
        };
        let proto = self.model.graph.initializer.iter();
        let Some(proto) = proto.into_iter().find(|t| t.name.as_deref() == Some(name)) else {
            return Ok(None);
        };
        let [first, second] = proto.dims[..] else {
            return Ok(None);
        };
        if self.constant(rows).is_some() {
            return Ok(None);
        }
        let dtype = DataType::from_onnx(proto.data_type.unwrap_or(0));
        if dtype != DataType::F32 {
            return Err(NotReducible::Type {
                name: name.to_owned(),
                got: dtype,
            });
        }
        transposed ^= gemm && flag("transB");
        let (first, second) = (first.max(0) as usize, second.max(0) as usize);
        let (inputs, outputs) = match transposed {
            true => (second, first),
            false => (first, second),
        };
        let bias = match rest.first().filter(|bias| gemm && !bias.is_empty()) {
            None => None,
            Some(bias) => match self.bias(bias, outputs, factor("beta")) {
                Some(bias) => Some(bias),
                // A bias of another shape, or a computed one: left to ONNX Runtime.
                None => return Ok(None),
            },
        };
        let unreadable = |error: GraphError| NotReducible::Unreadable(error.to_string());
        let place = self.model.place_for_packing(proto, inputs * outputs * 4);
        let place = place.map_err(unreadable)?;
        Ok(Some(ConstantMatmul {
            name: name.to_owned(),
            layout: match transposed {
                true => Layout::VocabularyFirst,
                false => Layout::HiddenFirst,
            },
            inputs,
            outputs,
            scale: if gemm { factor("alpha") } else { 1.0 },
            bias,
            dtype,
            dims: vec![first, second],
            place,
            levels: None,
        }))
    }

    /// The initializer that a value comes from, and whether an odd number of transposes is in between.
    fn constant(&self, name: &str) -> Option<(&'a str, bool)> {
        let mut transposed = false;
        let mut name = name;
        loop {
            if let Some(constant) = self.constants.get(name) {
                return Some((constant, transposed));
            }
            let node = self.producers.get(name)?;
            match node.op_type.as_deref()? {
                "Identity" => {}
                "Transpose" => transposed = !transposed,
                _ => return None,
            }
            name = node.input.first()?;
        }
    }

    fn bias(&self, name: &str, outputs: usize, beta: f32) -> Option<Vec<f32>> {
        let tensor = self.model.constant(self.constant(name)?.0)?.ok()?;
        let bias = tensor.to_f32().ok()?;
        (bias.len() == outputs).then(|| bias.iter().map(|b| b * beta).collect())
    }
}

fn number(number: usize) -> AttributeProto {
    AttributeProto {
        name: Some(names::NUMBER.to_owned()),
        i: Some(number as i64),
        r#type: Some(2),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{GraphProto, ModelProto, TensorProto};

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(operator.to_owned()),
            input: input.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    fn matrix(name: &str, dims: &[i64], data_type: i32) -> TensorProto {
        let numbers: i64 = dims.iter().product();
        TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(data_type),
            float_data: (0..numbers).map(|i| i as f32).collect(),
            ..Default::default()
        }
    }

    fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Model {
        Model {
            proto: ModelProto::default(),
            graph: GraphProto {
                node,
                initializer,
                ..Default::default()
            },
            path: PathBuf::new(),
            folder: PathBuf::new(),
            file: Bytes::new(),
        }
    }

    #[test]
    fn takes_products_with_constants_and_no_others() {
        let mut gemm = node("Gemm", &["b", "v", "bias"], "c");
        let attribute = |name: &str, i, f| AttributeProto {
            name: Some(name.to_owned()),
            i,
            f,
            ..Default::default()
        };
        gemm.attribute = vec![
            attribute("transB", Some(1), None),
            attribute("alpha", None, Some(2.0)),
            attribute("beta", None, Some(0.5)),
        ];
        let nodes = vec![
            node("Transpose", &["w"], "wt"),
            node("MatMul", &["x", "wt"], "a"),
            node("MatMul", &["a", "a"], "b"),
            gemm,
        ];
        let constants = vec![
            matrix("w", &[3, 2], 1),
            matrix("v", &[4, 3], 1),
            matrix("bias", &[4], 1),
        ];
        let (model, products) = model(nodes, constants).without_matmuls().unwrap();
        let operators: Vec<_> = (model.graph.node.iter())
            .map(|n| n.op_type.as_deref().unwrap())
            .collect();
        assert_eq!(operators, ["Transpose", "Product", "MatMul", "Product"]);
        assert_eq!(model.graph.node[3].input, ["b"]);
        assert_eq!(model.graph.node[3].attribute[0].i, Some(1));
        let [first, second] = &products[..] else {
            panic!("two products")
        };
        assert_eq!((first.inputs, first.outputs, first.scale), (2, 3, 1.0));
        assert_eq!(first.layout, Layout::VocabularyFirst);
        assert_eq!((second.inputs, second.outputs, second.scale), (3, 4, 2.0));
        assert_eq!(second.bias.as_deref(), Some(&[0.0, 0.5, 1.0, 1.5][..]));
        assert_eq!(second.weights().unwrap().to_f32().unwrap()[11], 11.0);
    }

    #[test]
    fn says_what_stands_in_the_way() {
        let half = model(
            vec![node("MatMul", &["x", "w"], "y")],
            vec![matrix("w", &[2, 2], 10)],
        );
        let error = half.without_matmuls().unwrap_err();
        assert!(matches!(
            error,
            NotReducible::Type {
                got: DataType::F16,
                ..
            }
        ));
        let done = model(vec![node("MatMulNBits", &["x", "w"], "y")], vec![]);
        let error = done.without_matmuls().unwrap_err();
        assert!(matches!(error, NotReducible::Quantised { .. }));
        let none = model(vec![node("MatMul", &["x", "x"], "y")], vec![]);
        assert_eq!(
            none.without_matmuls().unwrap_err(),
            NotReducible::NoProducts
        );
    }
}
