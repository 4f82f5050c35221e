//! What to do about a reference model, a device or a precision that is refused.

use rho_graph::GraphError;
use rho_reference::ReferenceError;

/// A model, a device or a precision.
pub(super) fn reference(error: &ReferenceError) -> Option<String> {
    let hint = match error {
        ReferenceError::NoModel { .. } => {
            "name a Hugging Face checkpoint (config.json, model.safetensors) or its name on the Hub, or an export of \
             `rho-mask export` or optimum"
        }
        ReferenceError::Bf16OnCpu { .. } => {
            "export it with --dtype f32 (--precision bf16 then computes in bf16 where the processor can), or score on \
             CUDA"
        }
        ReferenceError::SeveralModels { .. } => "name the file: --model DIR/FILE.onnx",
        ReferenceError::NoLogits { .. } => {
            "name the checkpoint itself, or export it with `rho-mask export` (with optimum: --task text-generation)"
        }
        ReferenceError::EncoderDecoder { .. } => {
            "a reference predicts a text from itself alone: take a causal language model"
        }
        ReferenceError::UnknownInput { .. } => {
            "name the checkpoint itself, or export it with `rho-mask export` (with optimum: --task text-generation)"
        }
        ReferenceError::InputShape { .. } => {
            "export with free batch and sequence axes, as optimum does"
        }
        ReferenceError::UnknownVocabulary { .. } => {
            "put the checkpoint's config.json beside the model"
        }
        ReferenceError::NoCuda { .. } => {
            "`rho-mask setup --cuda` installs what is needed, `rho-mask doctor` shows what is there; --device cpu works everywhere"
        }
        ReferenceError::Config(_) => {
            "fetch it again; without it --context says how long inputs may be"
        }
        ReferenceError::Graph(GraphError::NotOnnx { .. } | GraphError::NoGraph { .. }) => {
            "was it copied whole? export again: rho-mask export CHECKPOINT --out DIR"
        }
        ReferenceError::Graph(GraphError::Read { .. } | GraphError::TensorBytes { .. }) => {
            "weights may lie in other files beside the model (model.onnx_data): copy all of them, whole"
        }
        ReferenceError::Graph(GraphError::SeveralFolders { .. }) => {
            "put the model and all files of its weights into one folder"
        }
        ReferenceError::NoInstructions { .. } => {
            "--precision int8 works on every processor, and so does f32"
        }
        ReferenceError::PrecisionOnDevice { .. } => {
            "--device cpu, or leave --precision out: a GPU takes the model as it is stored (export it as f16)"
        }
        ReferenceError::NotReducible { .. } => {
            "leave --precision out to compute as the model is stored, or export in f32: rho-mask export \
             CHECKPOINT --out DIR"
        }
        ReferenceError::Graph(_)
        | ReferenceError::Runtime { .. }
        | ReferenceError::HiddenShape { .. }
        | ReferenceError::Threads { .. } => return None,
    };
    Some(hint.to_owned())
}
