//! What to do about a checkpoint that is refused.

use rho_checkpoint::CheckpointError;

/// A checkpoint that cannot be used.
pub(super) fn checkpoint(error: &CheckpointError) -> Option<&'static str> {
    Some(match error {
        CheckpointError::NotACheckpoint { .. } => {
            "a checkpoint is what save_pretrained(DIR) writes; weights in pytorch_model.bin have to be saved again \
             with safe_serialization=True"
        }
        CheckpointError::Adapter { .. } => {
            "merge it (merge_and_unload) and save the model again; where it is merged already, move \
             adapter_config.json away"
        }
        CheckpointError::Pointer { .. } => {
            "the weights were not fetched: run git lfs pull in the repository, or download the model again"
        }
        CheckpointError::Json { .. }
        | CheckpointError::JsonSize { .. }
        | CheckpointError::Index { .. } => "download or save the checkpoint again",
        CheckpointError::Family { .. } | CheckpointError::Setting { .. } => {
            "what is not understood is not guessed: docs/export.md lists the families and what of them is supported"
        }
        CheckpointError::UnknownSettings { .. } => {
            "--ignore-setting NAME lets one through that changes no score; the masks' metadata will say so"
        }
        CheckpointError::Quantisation { .. } => {
            "save the model unquantised: from_pretrained(DIR, dtype=\"bfloat16\")"
        }
        CheckpointError::Safetensors { .. } => {
            "the file was cut short or damaged on its way: compare its size and SHA-256 with the original's, and \
             fetch it again"
        }
        CheckpointError::MissingTensor { name, .. }
            if name.contains("head") || name == "embed_out.weight" =>
        {
            "a model whose head is its embedding says \"tie_word_embeddings\": true in config.json"
        }
        CheckpointError::MissingTensor { .. }
        | CheckpointError::ExtraTensors { .. }
        | CheckpointError::Shape { .. } => {
            "config.json and weights do not belong to one model, or it was changed after config.json was written; \
             adapters have to be merged first (merge_and_unload)"
        }
        CheckpointError::TensorType { .. } => {
            "save the model unquantised: from_pretrained(DIR, dtype=\"bfloat16\")"
        }
        CheckpointError::Tied { .. } => {
            "remove the head from the file, or say \"tie_word_embeddings\": false if it is the one to use"
        }
        CheckpointError::Read { .. } => return None,
    })
}
