//! Errors about model files.

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
    /// The bytes are not a ModelProto.
    #[error("{path} is not an ONNX model")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// The file decodes, but has no graph with outputs.
    #[error("{path} holds no ONNX graph (an empty file, or another kind of protobuf)")]
    NoGraph {
        /// The file.
        path: PathBuf,
    },
    /// The number of a tensor's bytes does not match its shape.
    #[error("tensor {name}: expected {expected} bytes, got {got} ({place})")]
    TensorBytes {
        /// The tensor.
        name: String,
        /// Number of bytes by its shape and dtype.
        expected: usize,
        /// Number of bytes found.
        got: usize,
        /// The file, or "in the model".
        place: String,
    },
    /// The external data of a tensor is not where it may be.
    #[error("{model}: external data of tensor {name}: expected {expected}, got {got:?}")]
    ExternalData {
        /// The model, or its folder.
        model: PathBuf,
        /// The tensor.
        name: String,
        /// What its entry may say.
        expected: &'static str,
        /// What it says.
        got: String,
    },
    /// A file that would take too much memory when it is decoded.
    #[error("{path}: expected {expected}, got {got}")]
    TooLarge {
        /// The model.
        path: PathBuf,
        /// Upper bound.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// A shape that no tensor can have.
    #[error(
        "{path}: tensor {name}: expected axes of at least 0 and at most {most} elements, got the shape {got:?}"
    )]
    TensorShape {
        /// The model.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Most elements.
        most: usize,
        /// Its shape.
        got: Vec<i64>,
    },
    /// Two values of a graph have one name.
    #[error("{path}: expected names that occur once, got two {what} named {name:?}")]
    Twice {
        /// The model.
        path: PathBuf,
        /// Outputs or inputs.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// A tensor has a dtype that is not supported here.
    #[error("tensor {name}: expected {expected}, got dtype {got:?}")]
    TensorType {
        /// The tensor.
        name: String,
        /// Supported dtypes.
        expected: &'static str,
        /// Its dtype.
        got: crate::DataType,
    },
    /// The metadata of an export names a head that cannot be found.
    #[error("{path}: expected a head as `rho-mask export` writes it")]
    Head {
        /// The model.
        path: PathBuf,
        /// What is wrong.
        source: NotCuttable,
    },
    /// The model's external data is in several folders, but ONNX Runtime takes only one.
    #[error("external data of {path} is in more than one folder ({first} and {second})")]
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
    /// An operator other than a cast, scale, soft cap or bias is between the last matmul and the logits.
    #[error(
        "the logits come from the operator {operator}, not from a matmul with constant weights"
    )]
    Operator {
        /// ONNX operator type.
        operator: String,
    },
    /// The matmul's second operand is not a constant.
    #[error("the last matmul multiplies by {value}, which is not a constant")]
    NotConstant {
        /// The value's name.
        value: String,
    },
    /// The constant has an unexpected shape.
    #[error(
        "the head's weights {name} have the shape {dims:?}, expected two axes, one of them of size {vocabulary}"
    )]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        dims: Vec<usize>,
        /// Number of logits per position.
        vocabulary: usize,
    },
    /// The constant has an unsupported dtype.
    #[error("the head's weights {name} are of type {got:?}, expected f32, f16 or bf16")]
    Type {
        /// The tensor.
        name: String,
        /// Its dtype.
        got: crate::DataType,
    },
    /// The constant's bytes cannot be read.
    #[error("the head's weights cannot be read: {0}")]
    Unreadable(String),
}

/// Why the matmuls of a graph cannot be replaced.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotReducible {
    /// The model is already quantised.
    #[error("the model is already quantised (operator {operator})")]
    Quantised {
        /// ONNX operator type.
        operator: String,
    },
    /// The main graph has no matmul with constant weights.
    #[error("the graph has no matmul with constant weights")]
    NoProducts,
    /// The weights are not f32.
    #[error("the weights {name} are of type {got:?}, expected f32")]
    Type {
        /// The tensor.
        name: String,
        /// Its dtype.
        got: crate::DataType,
    },
    /// The graph could not be cut before its head.
    #[error("the graph cannot be cut before its head: {0}")]
    NotCut(NotCuttable),
    /// A constant's bytes cannot be read.
    #[error("weights cannot be read: {0}")]
    Unreadable(String),
}
