//! Hints for reference models, devices and precisions that are refused.

use rho_graph::GraphError;
use rho_reference::ReferenceError;

/// A model, a device or a precision.
pub(super) fn reference(error: &ReferenceError) -> Option<String> {
    let hint = match error {
        ReferenceError::NoModel { .. } => {
            "name a Hugging Face checkpoint (a folder with config.json and model.safetensors, or its name on the Hub), \
             or an export of `rho-mask export` or optimum"
        }
        ReferenceError::Bf16OnCpu { .. } => {
            "export it with --dtype f32 (--precision bf16 then computes in bf16 if the processor can), or score on CUDA"
        }
        ReferenceError::SeveralModels { .. } => "name the file: --model DIR/FILE.onnx",
        ReferenceError::NoLogits { .. } => {
            "name the checkpoint itself, or export it with `rho-mask export` (with optimum: --task text-generation)"
        }
        ReferenceError::EncoderDecoder { .. } => "use a causal language model",
        ReferenceError::UnknownInput { .. } => {
            "name the checkpoint itself, or export it with `rho-mask export` (with optimum: --task text-generation)"
        }
        ReferenceError::InputShape { .. } => {
            "export it with dynamic batch and sequence axes, as optimum does"
        }
        ReferenceError::UnknownVocabulary { .. } => {
            "put the checkpoint's config.json beside the model"
        }
        ReferenceError::NoCuda { .. } => {
            "run `rho-mask setup --cuda` to install what CUDA needs, and `rho-mask doctor` to see what is installed; \
             or use --device cpu"
        }
        ReferenceError::Config(_) => {
            "download it again; or remove it, and set the maximum input length with --context"
        }
        ReferenceError::Graph(GraphError::NotOnnx { .. } | GraphError::NoGraph { .. }) => {
            "check that it was copied completely, or export it again: rho-mask export CHECKPOINT --out DIR"
        }
        ReferenceError::Graph(GraphError::Read { .. } | GraphError::TensorBytes { .. }) => {
            "copy all files of the weights completely: some may be beside the model (model.onnx_data)"
        }
        ReferenceError::Graph(GraphError::ExternalData { .. }) => {
            "check that you trust this model: it names files outside its folder; copy the files of its weights beside it"
        }
        ReferenceError::Graph(
            GraphError::TooLarge { .. } | GraphError::TensorShape { .. } | GraphError::Twice { .. },
        ) => {
            "check that you trust this file, or export the model again: rho-mask export CHECKPOINT --out DIR"
        }
        ReferenceError::Graph(GraphError::SeveralFolders { .. }) => {
            "put the model and all files of its weights into one folder"
        }
        ReferenceError::LastPosition { .. } | ReferenceError::DeclaresLastPosition { .. } => {
            "it was exported for generation; name the checkpoint itself, or export it with `rho-mask export`"
        }
        ReferenceError::Endless { .. } => {
            "check that you trust this model: its graph may hold a loop without an end; or try a computer that is less busy"
        }
        ReferenceError::NoInstructions { .. } => {
            "use --precision int8 or f32, which work on every processor"
        }
        ReferenceError::PrecisionOnDevice { .. } => {
            "use --device cpu, or omit --precision: a GPU runs the model in the type it is stored in (export it with \
             --dtype f16)"
        }
        ReferenceError::NotReducible { .. } => {
            "omit --precision to compute as the model is stored, or export it in f32: rho-mask export CHECKPOINT \
             --out DIR"
        }
        ReferenceError::Graph(_)
        | ReferenceError::Runtime { .. }
        | ReferenceError::HiddenShape { .. }
        | ReferenceError::Elsewhere { .. }
        | ReferenceError::Stopped
        | ReferenceError::Threads { .. } => return None,
    };
    Some(hint.to_owned())
}
