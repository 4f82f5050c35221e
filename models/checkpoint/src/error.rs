//! What can be wrong with a checkpoint, and what to do about it.

use std::{io, path::PathBuf};

use crate::DataType;

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The folder holds no checkpoint.
    #[error("{path}: expected a folder with config.json and safetensors, got {got}")]
    NotACheckpoint {
        /// What was given.
        path: PathBuf,
        /// What is there.
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
    /// A file is no JSON object.
    #[error("{path}: expected a JSON object")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops being one.
        source: serde_json::Error,
    },
    /// A JSON file of more bytes than any has that describes a model.
    #[error("{path}: expected at most {most} bytes of JSON, got more")]
    JsonSize {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// What Git leaves in place of a file that Git LFS was not asked for.
    #[error("{path}: expected a whole safetensors file, got a pointer of Git LFS to it")]
    Pointer {
        /// The file.
        path: PathBuf,
    },
    /// Weights with an adapter beside them: Transformers with PEFT computes both.
    #[error("{path}: expected weights that are whole, got an adapter beside them")]
    Adapter {
        /// The adapter's configuration.
        path: PathBuf,
    },
    /// A model that nothing here describes.
    #[error("{path}: model_type: expected one of {}, got {got}", known.join(", "))]
    Family {
        /// The configuration.
        path: PathBuf,
        /// Its model type.
        got: String,
        /// The families that are described.
        known: Vec<&'static str>,
    },
    /// A setting with a value that is not supported.
    #[error("{path}: {name}: expected {expected}, got {got}")]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// The setting, with the objects it is in.
        name: String,
        /// Values that work.
        expected: String,
        /// Its value.
        got: String,
    },
    /// Settings that nobody read and that are not known to be without effect.
    #[error(
        "{path}: expected settings that are known for {family}, got {}{}",
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
    /// A quantisation that is not read.
    #[error("{path}: quantization_config: expected {expected}, got {got}")]
    Quantisation {
        /// The configuration.
        path: PathBuf,
        /// What is read.
        expected: String,
        /// What it says.
        got: String,
    },
    /// A safetensors file whose header and size disagree, or that is cut short.
    #[error("{path}: expected a whole safetensors file, got {bytes} bytes that are none")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// The index and its files disagree.
    #[error("{path}: {problem}")]
    Index {
        /// The index, or the file.
        path: PathBuf,
        /// What is wrong, with expected and got.
        problem: String,
    },
    /// A tensor that the model needs is not there.
    #[error("{path}: expected a tensor {name}, got {there} tensors of other names")]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// How many others there are.
        there: usize,
    },
    /// Tensors that the model has no use for: it is another model than its configuration says.
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
    /// A tensor of another shape than the configuration says.
    #[error("{path}: tensor {name}: expected the shape {expected:?}, got {got:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// From the configuration.
        expected: Vec<usize>,
        /// In the file.
        got: Vec<usize>,
    },
    /// A tensor of a type that is not read.
    #[error("{path}: tensor {name}: expected f32, f16 or bf16, got {got}")]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        got: String,
    },
    /// The configuration ties the head to the embedding, but the file holds another head.
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

/// What the error says of a type.
pub(crate) fn type_name(dtype: DataType) -> String {
    let name = match dtype {
        DataType::Other(4) => "u16",
        DataType::Other(5) => "i16",
        DataType::Other(12) => "u32",
        DataType::Other(13) => "u64",
        DataType::Other(19) => "f8_e5m2",
        DataType::Other(_) => "a type that has no name here",
        named => return format!("{named:?}").to_lowercase(),
    };
    name.to_owned()
}

/// How many tensors and settings a message names.
const TENSORS: usize = 3;
const SETTINGS: usize = 20;

/// The first few names.
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
