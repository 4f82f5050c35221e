//! What can be wrong with a checkpoint, and what to do about it.

use std::path::PathBuf;

use crate::{DataType, GraphError};

/// A checkpoint that cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
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
        source: std::io::Error,
    },
    /// A file is no JSON object.
    #[error("{path}: expected a JSON object")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it ends to be one.
        source: serde_json::Error,
    },
    /// A model that is not built here.
    #[error("{path}: model_type: expected one of {}, got {got}", known.join(", "))]
    Family {
        /// The configuration.
        path: PathBuf,
        /// Its model type.
        got: String,
        /// The families that are built.
        known: Vec<&'static str>,
    },
    /// A setting with a value that is not built here.
    #[error("{path}: {name}: expected {expected}, got {got}")]
    Setting {
        /// The configuration.
        path: PathBuf,
        /// The setting.
        name: String,
        /// Values that work.
        expected: String,
        /// Its value.
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
        shown(names),
        rest(names)
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
    #[error("{path}: tensor {name}: expected f32, f16 or bf16, got {got:?}")]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        got: DataType,
    },
    /// A number that f16 cannot hold, or no number at all.
    #[error(
        "{path}: tensor {name}: expected numbers that {dtype} can hold, got {got} at element {at}"
    )]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type asked for.
        dtype: &'static str,
        /// The number.
        got: f32,
        /// Where.
        at: usize,
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
    /// The tokenizer knows tokens that the model does not.
    #[error("{path}: expected token ids below {vocabulary}, the model's vocab_size, got {got}")]
    Tokenizer {
        /// The tokenizer.
        path: PathBuf,
        /// Rows of the embedding.
        vocabulary: usize,
        /// The highest id.
        got: u64,
    },
    /// The place to write to is taken.
    #[error("{path}: expected a folder that does not exist yet or is empty, got {got}")]
    OutExists {
        /// The folder.
        path: PathBuf,
        /// What is there.
        got: String,
    },
    /// Writing failed.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody said stop; nothing was left behind.
    #[error("stopped before {path} was written; nothing was left behind")]
    Stopped {
        /// The folder.
        path: PathBuf,
    },
    /// A mapped file.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl ExportError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotACheckpoint { .. } => {
                "a checkpoint is what save_pretrained(DIR) writes; weights in pytorch_model.bin have to be saved again \
                 with safe_serialization=True"
            }
            Self::Json { .. } | Self::Index { .. } => "download or save the checkpoint again",
            Self::Family { .. } | Self::Setting { .. } => {
                "what is not known is not guessed; `optimum-cli export onnx --task text-generation` may export it"
            }
            Self::Safetensors { .. } => {
                "the file was cut short or damaged on its way: compare its size and SHA-256 with the original's, and \
                 fetch it again"
            }
            Self::MissingTensor { name, .. }
                if name.contains("head") || name == "embed_out.weight" =>
            {
                "a model whose head is its embedding says \"tie_word_embeddings\": true in config.json"
            }
            Self::MissingTensor { .. } | Self::ExtraTensors { .. } | Self::Shape { .. } => {
                "config.json and weights do not belong to one model, or it was changed after config.json was written; \
                 adapters have to be merged first (merge_and_unload)"
            }
            Self::TensorType { .. } => {
                "save the model unquantised: from_pretrained(DIR, torch_dtype=\"bfloat16\")"
            }
            Self::OutOfRange { dtype: "f16", .. } => "export it with --dtype bf16 or f32",
            Self::OutOfRange { .. } => {
                "the checkpoint is broken: training has diverged before it was saved"
            }
            Self::Tied { .. } => {
                "remove the head from the file, or say \"tie_word_embeddings\": false if it is the one to use"
            }
            Self::Tokenizer { .. } => {
                "tokens were added without model.resize_token_embeddings(len(tokenizer)), or this is another model's \
                 tokenizer"
            }
            Self::OutExists { .. } => "name another folder with --out, or remove this one first",
            Self::Read { .. } | Self::Write { .. } | Self::Stopped { .. } | Self::Graph(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

/// The first few names.
fn shown(names: &[String]) -> String {
    names
        .iter()
        .take(3)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn rest(names: &[String]) -> String {
    match names.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}
