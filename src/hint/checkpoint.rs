//! Hints for checkpoints that are refused.

use rho_checkpoint::CheckpointError;

/// A checkpoint that cannot be used.
pub(super) fn checkpoint(error: &CheckpointError) -> Option<&'static str> {
    Some(match error {
        CheckpointError::NotACheckpoint { .. } => {
            "name a folder that save_pretrained(DIR) wrote; if the weights are in pytorch_model.bin, save them again \
             with safe_serialization=True"
        }
        CheckpointError::Adapter { .. } => {
            "merge it (merge_and_unload) and save the model again; if it is merged already, remove \
             adapter_config.json"
        }
        CheckpointError::Pointer { .. } => {
            "the weights were not downloaded: run git lfs pull in the repository, or download the model again"
        }
        CheckpointError::Json { .. }
        | CheckpointError::JsonSize { .. }
        | CheckpointError::Index { .. } => "download or save the checkpoint again",
        CheckpointError::Family { .. } | CheckpointError::Setting { .. } => {
            "see docs/export.md for the supported model families and their settings"
        }
        CheckpointError::UnknownSettings { .. } => {
            "if it does not change the scores, use --ignore-setting NAME; the masks' metadata records it"
        }
        CheckpointError::Quantisation { .. } => {
            "save the model unquantised: from_pretrained(DIR, dtype=\"bfloat16\")"
        }
        CheckpointError::Safetensors { .. } => {
            "the file is truncated or damaged: compare its size and SHA-256 with those of the original, and \
             download it again"
        }
        CheckpointError::TooManyTensors { .. } => {
            "check that you trust this checkpoint: no known model has as many"
        }
        CheckpointError::MissingTensor { name, .. }
            if name.contains("head") || name == "embed_out.weight" =>
        {
            "if the head shares the embedding's weights, set \"tie_word_embeddings\": true in config.json"
        }
        CheckpointError::MissingTensor { .. }
        | CheckpointError::ExtraTensors { .. }
        | CheckpointError::Shape { .. } => {
            "check that config.json and the weights belong to the same version of the model; merge adapters first \
             (merge_and_unload)"
        }
        CheckpointError::TensorType { .. } => {
            "save the model unquantised: from_pretrained(DIR, dtype=\"bfloat16\")"
        }
        CheckpointError::Tied { .. } => {
            "remove the head from the file, or set \"tie_word_embeddings\": false to use it"
        }
        CheckpointError::Read { .. } => return None,
    })
}
