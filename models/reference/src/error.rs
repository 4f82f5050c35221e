//! What can go wrong with a reference, as situations with fields.

use std::path::PathBuf;

use rho_graph::{GraphError, NotReducible};

use crate::Precision;

/// A reference that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// No such model.
    #[error("{path}: expected a folder with an ONNX model, or an .onnx file; got {got}")]
    NoModel {
        /// What was given.
        path: PathBuf,
        /// What is there.
        got: String,
    },
    /// Several models in a folder, and none called model.onnx.
    #[error("{path}: expected one ONNX model, got {}", names.join(", "))]
    SeveralModels {
        /// The folder.
        path: PathBuf,
        /// The files.
        names: Vec<String>,
    },
    /// config.json is there but no use.
    #[error("not a model configuration")]
    Config(#[from] rho_checkpoint::CheckpointError),
    /// Weights in bf16, for which ONNX Runtime has no operators on the processor.
    #[error("{path}: expected weights in f32 or f16 for the CPU, got bf16")]
    Bf16OnCpu {
        /// The model.
        path: PathBuf,
    },
    /// The graph cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The graph has no logits.
    #[error("{path}: expected an output of logits [batch, length, vocabulary], got {}", outputs.join(", "))]
    NoLogits {
        /// The model.
        path: PathBuf,
        /// Its outputs with their shapes.
        outputs: Vec<String>,
    },
    /// The model reads another sequence beside the one it predicts.
    #[error(
        "{path}: expected a decoder-only language model, got an encoder-decoder (input {input})"
    )]
    EncoderDecoder {
        /// The model.
        path: PathBuf,
        /// The input that shows it.
        input: String,
    },
    /// An input that nobody knows how to feed.
    #[error(
        "{path}: unknown required input {input}; known are input_ids, attention_mask, position_ids, \
             past_key_values.*, use_cache_branch"
    )]
    UnknownInput {
        /// The model.
        path: PathBuf,
        /// The input with its shape.
        input: String,
    },
    /// An input whose type or shape does not fit its name.
    #[error("{path}: input {input}: expected {expected}")]
    InputShape {
        /// The model.
        path: PathBuf,
        /// The input with its shape.
        input: String,
        /// What works.
        expected: String,
    },
    /// The graph does not say how wide its logits are.
    #[error("{path}: the vocabulary's size is neither in the graph nor in config.json")]
    UnknownVocabulary {
        /// The model.
        path: PathBuf,
    },
    /// CUDA was asked for and cannot be had.
    #[error("device cuda:{index} was asked for, but {reason}")]
    NoCuda {
        /// The device's number.
        index: u32,
        /// What is missing.
        reason: String,
        /// ONNX Runtime's own words, where it was reached.
        source: Option<ort::Error>,
    },
    /// ONNX Runtime refused something.
    #[error("ONNX Runtime failed while {doing}")]
    Runtime {
        /// What was being done.
        doing: String,
        /// Its own words.
        source: ort::Error,
    },
    /// The body's output is not rows of hidden states.
    #[error("the model's hidden states: expected {expected}, got {got}")]
    HiddenShape {
        /// Type and shape that follow from the batch.
        expected: String,
        /// Type and shape that came.
        got: String,
    },
    /// The processor has no instructions for a precision.
    #[error("precision {precision}: expected a processor with {needed}, got one without")]
    NoInstructions {
        /// What was asked for.
        precision: Precision,
        /// The instructions, as /proc/cpuinfo names them.
        needed: &'static str,
    },
    /// A precision is not computed on the device.
    #[error("precision {precision} is computed on the cpu, got device {device}")]
    PrecisionOnDevice {
        /// What was asked for.
        precision: Precision,
        /// Where it would run.
        device: crate::ResolvedDevice,
    },
    /// The graph's products cannot be computed in another precision.
    #[error("{path}: precision {precision} cannot be had: {source}")]
    NotReducible {
        /// The model.
        path: PathBuf,
        /// What was asked for.
        precision: Precision,
        /// What stands in the way.
        source: NotReducible,
    },
    /// The threads for the head could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
}

impl ReferenceError {
    /// Wraps an error of ONNX Runtime with what was being done.
    pub(crate) fn runtime<R>(doing: impl Into<String>) -> impl FnOnce(ort::Error<R>) -> Self {
        let doing = doing.into();
        move |error| {
            // The builder that the error carries for recovery is of no use here.
            let source = ort::Error::new_with_code(error.code(), error.message());
            Self::Runtime { doing, source }
        }
    }
}
