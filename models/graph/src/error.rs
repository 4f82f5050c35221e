//! What can be wrong with a model file.

use std::path::PathBuf;

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The model or its external data.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are no ModelProto.
    #[error("{path} is not an ONNX model")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// The file decodes, but holds no graph with outputs.
    #[error("{path} holds no ONNX graph (an empty file, or another kind of protobuf)")]
    NoGraph {
        /// The file.
        path: PathBuf,
    },
    /// A tensor's bytes are not where it says, or not as many as its shape says.
    #[error("tensor {name}: expected {expected} bytes, got {got} ({place})")]
    TensorBytes {
        /// The tensor.
        name: String,
        /// From its shape and type.
        expected: usize,
        /// What is there.
        got: usize,
        /// The file, or "in the model".
        place: String,
    },
    /// A tensor has an element type that the operation cannot take.
    #[error("tensor {name}: expected {expected}, got element type {got:?}")]
    TensorType {
        /// The tensor.
        name: String,
        /// Types that work.
        expected: &'static str,
        /// Its type.
        got: crate::DataType,
    },
    /// An export names a head that is not there.
    #[error("{path}: expected a head as `rho-mask export` names it")]
    Head {
        /// The model.
        path: PathBuf,
        /// What is wrong.
        source: NotCuttable,
    },
    /// The model's external data lies in several folders, and ONNX Runtime takes one.
    #[error("external data of {path} lies in more than one folder ({first} and {second})")]
    SeveralFolders {
        /// The model.
        path: PathBuf,
        /// One folder.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
}

/// Why the graph cannot be cut before its head. The model may still be scored through its logits.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotCuttable {
    /// Something other than a cast, scale, soft cap or bias stands between the last matrix product and the logits.
    #[error(
        "the logits come out of the operator {operator}, not of a matrix product with constant weights"
    )]
    Operator {
        /// ONNX operator type.
        operator: String,
    },
    /// The product's second operand is not a constant.
    #[error("the last matrix product multiplies by {value}, which is not a constant")]
    NotConstant {
        /// The value's name.
        value: String,
    },
    /// The constant is there but has an unexpected shape.
    #[error(
        "the head's weights {name} have shape {dims:?}, expected two axes, one of them {vocabulary} wide"
    )]
    Shape {
        /// The tensor.
        name: String,
        /// Its axes.
        dims: Vec<usize>,
        /// Width of the logits.
        vocabulary: usize,
    },
    /// The constant's type has no conversion.
    #[error("the head's weights {name} are of type {got:?}, expected f32, f16 or bf16")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        got: crate::DataType,
    },
    /// The constant's bytes cannot be read.
    #[error("the head's weights cannot be read: {0}")]
    Unreadable(String),
}

/// Why the products of a graph cannot be taken out of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotReducible {
    /// Somebody has quantised the model before.
    #[error("the model is quantised already (operator {operator})")]
    Quantised {
        /// ONNX operator type.
        operator: String,
    },
    /// No product with constant weights stands in the main graph.
    #[error("the graph has no matrix product with constant weights")]
    NoProducts,
    /// Weights that are not f32.
    #[error("the weights {name} are of type {got:?}, expected f32")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        got: crate::DataType,
    },
    /// The graph could not be cut before its head.
    #[error("the graph cannot be cut before its head: {0}")]
    NotCut(NotCuttable),
    /// A constant's bytes cannot be read.
    #[error("weights cannot be read: {0}")]
    Unreadable(String),
}
