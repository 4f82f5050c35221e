//! Errors of opening, loading and running a reference.

use std::path::PathBuf;

use rho_graph::{GraphError, NotReducible};

use crate::Precision;

/// A reference that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// There is no model at the path.
    #[error("{path}: expected a folder with an ONNX model, or an .onnx file; got {got}")]
    NoModel {
        /// The given path.
        path: PathBuf,
        /// What was found there.
        got: String,
    },
    /// The folder has several models and none has a known name such as model.onnx.
    #[error("{path}: expected one ONNX model, got {}", names.join(", "))]
    SeveralModels {
        /// The folder.
        path: PathBuf,
        /// Names of the .onnx files.
        names: Vec<String>,
    },
    /// config.json exists but cannot be used.
    #[error("not a model configuration")]
    Config(#[from] rho_checkpoint::CheckpointError),
    /// The weights are bf16, for which ONNX Runtime has no operators on the CPU.
    #[error("{path}: expected weights in f32 or f16 for the CPU, got bf16")]
    Bf16OnCpu {
        /// The model.
        path: PathBuf,
    },
    /// The graph cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The graph has no output of logits.
    #[error("{path}: expected an output of logits [batch, length, vocabulary], got {}", outputs.join(", "))]
    NoLogits {
        /// The model.
        path: PathBuf,
        /// Its outputs with their shapes.
        outputs: Vec<String>,
    },
    /// The model is an encoder-decoder: it reads a second sequence.
    #[error(
        "{path}: expected a decoder-only language model, got an encoder-decoder (input {input})"
    )]
    EncoderDecoder {
        /// The model.
        path: PathBuf,
        /// The input or file that shows it.
        input: String,
    },
    /// The graph requires an unknown input.
    #[error(
        "{path}: unknown required input {input}; known inputs are input_ids, attention_mask, position_ids, \
             past_key_values.*, use_cache_branch"
    )]
    UnknownInput {
        /// The model.
        path: PathBuf,
        /// The input with its shape.
        input: String,
    },
    /// An input has a type or shape that does not fit its name.
    #[error("{path}: input {input}: expected {expected}")]
    InputShape {
        /// The model.
        path: PathBuf,
        /// The input with its shape.
        input: String,
        /// The expected type and shape.
        expected: String,
    },
    /// The width of the logits is unknown.
    #[error("{path}: the vocabulary's size is neither in the graph nor in config.json")]
    UnknownVocabulary {
        /// The model.
        path: PathBuf,
    },
    /// CUDA was requested but is not available.
    #[error("device cuda:{index} was requested, but {reason}")]
    NoCuda {
        /// The device number.
        index: u32,
        /// Why it is not available.
        reason: String,
        /// ONNX Runtime's error, if it was called.
        source: Option<ort::Error>,
    },
    /// ONNX Runtime reported an error.
    #[error("ONNX Runtime failed while {doing}")]
    Runtime {
        /// The operation that failed.
        doing: String,
        /// ONNX Runtime's error.
        source: ort::Error,
    },
    /// The body's output has an unexpected type or size.
    #[error("the model's output: expected the shape {expected}, got {got}")]
    HiddenShape {
        /// The type and shape that follow from the batch.
        expected: String,
        /// The actual type and shape.
        got: String,
    },
    /// The graph returns something for the last token of each row only.
    #[error(
        "expected logits for each token of a batch, got them for the last token only (an output of shape {output})"
    )]
    LastPosition {
        /// The shape of the output.
        output: String,
    },
    /// The graph declares that it returns logits for the last token of each row only.
    #[error(
        "{path}: expected logits for each token of a batch, got them for the last token only (an output {output})"
    )]
    DeclaresLastPosition {
        /// The model.
        path: PathBuf,
        /// The output with its shape.
        output: String,
    },
    /// The graph did not end.
    #[error("{doing}: expected an end within {seconds} seconds, got none")]
    Endless {
        /// The operation.
        doing: String,
        /// The time it was allowed.
        seconds: u64,
    },
    /// The CPU has no instructions for a precision.
    #[error("precision {precision}: expected a processor with {needed}, got one without")]
    NoInstructions {
        /// The requested precision.
        precision: Precision,
        /// The instructions, as /proc/cpuinfo names them.
        needed: &'static str,
    },
    /// A reduced precision was requested on another device than the CPU.
    #[error("precision {precision} is computed on the cpu, got device {device}")]
    PrecisionOnDevice {
        /// The requested precision.
        precision: Precision,
        /// The requested device.
        device: crate::ResolvedDevice,
    },
    /// The graph's matmuls cannot be computed in the requested precision.
    #[error("{path}: precision {precision} cannot be used: {source}")]
    NotReducible {
        /// The model.
        path: PathBuf,
        /// The requested precision.
        precision: Precision,
        /// The reason.
        source: NotReducible,
    },
    /// A scorer outside this crate failed.
    #[error("{source}")]
    Elsewhere {
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A scorer was stopped before its end, together with the run.
    #[error("stopped before the scores were there")]
    Stopped,
    /// The head's threads could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// Number of threads.
        threads: usize,
        /// The cause.
        source: rayon::ThreadPoolBuildError,
    },
}

impl ReferenceError {
    /// Wraps an error of ONNX Runtime with the operation that failed.
    pub(crate) fn runtime<R>(doing: impl Into<String>) -> impl FnOnce(ort::Error<R>) -> Self {
        let doing = doing.into();
        move |error| {
            // Drop the builder that the error carries for recovery.
            let source = ort::Error::new_with_code(error.code(), error.message());
            Self::Runtime { doing, source }
        }
    }
}
