//! Errors about checkpoints, and hints.

use std::{io, path::PathBuf};

use crate::DataType;

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The folder holds no checkpoint.
    #[error("{path}: expected a folder with config.json and safetensors, got {got}")]
    NotACheckpoint {
        /// The given path.
        path: PathBuf,
        /// What is at the path.
        got: String,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not a JSON object.
    #[error("{path}: expected a JSON object")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A JSON file larger than any that describes a model.
    #[error("{path}: expected at most {most} bytes of JSON, got more")]
    JsonSize {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        most: u64,
    },
    /// A Git LFS pointer in place of the weights.
    #[error("{path}: expected a whole safetensors file, got a Git LFS pointer")]
    Pointer {
        /// The file.
        path: PathBuf,
    },
    /// A PEFT adapter beside the weights: Transformers with PEFT would apply it.
    #[error("{path}: expected merged weights, got an adapter beside them")]
    Adapter {
        /// The adapter's configuration.
        path: PathBuf,
    },
    /// A model of a family that this crate does not describe.
    #[error("{path}: model_type: expected one of {}, got {got}", known.join(", "))]
    Family {
        /// The configuration.
        path: PathBuf,
        /// Its model type.
        got: String,
        /// The supported families.
        known: Vec<&'static str>,
    },
    /// A setting with a value that is not supported.
    #[error("{path}: {name}: expected {expected}, got {got}")]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// The setting's full name, with the objects it is in.
        name: String,
        /// Values that are supported.
        expected: String,
        /// Its value.
        got: String,
    },
    /// Settings that were not read and are not known to have no effect.
    #[error(
        "{path}: expected only settings known for {family}, got {}{}",
        shown(names, SETTINGS),
        rest(names, SETTINGS)
    )]
    UnknownSettings {
        /// The configuration.
        path: PathBuf,
        /// The family.
        family: &'static str,
        /// `name = value` of each.
        names: Vec<String>,
    },
    /// A quantisation that is not supported.
    #[error("{path}: quantization_config: expected {expected}, got {got}")]
    Quantisation {
        /// The configuration.
        path: PathBuf,
        /// What is supported.
        expected: String,
        /// What the configuration has.
        got: String,
    },
    /// A safetensors file that is truncated, or whose header and size disagree.
    #[error("{path}: expected a whole safetensors file, got {bytes} bytes that are not one")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: usize,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// More tensors than any model has.
    #[error("{path}: expected at most {most} tensors, got {got}")]
    TooManyTensors {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: usize,
        /// How many there are, or how many its header announces.
        got: usize,
    },
    /// The index and its files disagree.
    #[error("{path}: {problem}")]
    Index {
        /// The index, or the file.
        path: PathBuf,
        /// What is wrong, with expected and got.
        problem: String,
    },
    /// A tensor that the model needs is missing.
    #[error("{path}: expected a tensor {name}, got {there} other tensors")]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many tensors the checkpoint has.
        there: usize,
    },
    /// Tensors that the described model does not use: the configuration is of another model.
    #[error(
        "{path}: expected no other tensors, got {}{}",
        shown(names, TENSORS),
        rest(names, TENSORS)
    )]
    ExtraTensors {
        /// The checkpoint.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// A tensor whose shape differs from the configuration's.
    #[error("{path}: tensor {name}: expected the shape {expected:?}, got {got:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape from the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// A tensor with an unsupported dtype.
    #[error("{path}: tensor {name}: expected f32, f16 or bf16, got {got}")]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its dtype.
        got: String,
    },
    /// The configuration ties the head to the embedding, but the file holds a different head.
    #[error("{path}: tie_word_embeddings: expected {head} to equal {embedding}, got other numbers")]
    Tied {
        /// The file.
        path: PathBuf,
        /// The head.
        head: String,
        /// The embedding.
        embedding: String,
    },
}

/// The name of a type in messages.
pub(crate) fn type_name(dtype: DataType) -> String {
    let name = match dtype {
        DataType::Other(4) => "u16",
        DataType::Other(5) => "i16",
        DataType::Other(12) => "u32",
        DataType::Other(13) => "u64",
        DataType::Other(19) => "f8_e5m2",
        DataType::Other(_) => "an unknown type",
        named => return format!("{named:?}").to_lowercase(),
    };
    name.to_owned()
}

/// How many tensors or settings a message names at most.
const TENSORS: usize = 3;
const SETTINGS: usize = 20;

/// The first `most` names.
fn shown(names: &[String], most: usize) -> String {
    let first: Vec<&str> = names.iter().take(most).map(String::as_str).collect();
    first.join(", ")
}

fn rest(names: &[String], most: usize) -> String {
    match names.len().saturating_sub(most) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}
