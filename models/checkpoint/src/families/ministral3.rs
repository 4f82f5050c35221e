//! Ministral 3: Mistral with YaRN, and queries scaled by position as in Llama 4.

use super::common::{Defaults, LLAMA};
use crate::{CheckpointError, Decoder, Settings, decoder::PositionScale, rope::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let Some(rotation) = settings.inner_if("rope_parameters")? else {
        return Err(settings.refuse("rope_parameters", "an object"));
    };
    if settings.inner_if("rope_scaling")?.is_some() {
        return Err(settings.refuse("rope_scaling", "nothing: use rope_parameters"));
    }
    // Repeated in rope_parameters.
    rotation.size_if("max_position_embeddings")?;
    let defaults = Defaults {
        epsilon: 1e-5,
        ..LLAMA
    };
    let mut decoder =
        Decoder::like_llama(settings, &defaults)?.turned(settings, Names::default())?;
    let window = settings.size_if("sliding_window")?;
    let scale = PositionScale {
        beta: rotation
            .number_if("llama_4_scaling_beta")?
            .ok_or_else(|| rotation.refuse("llama_4_scaling_beta", "a number"))?,
        original: rotation.size("original_max_position_embeddings")?,
    };
    for attention in decoder.attentions_mut() {
        attention.window = window;
        attention.position_scale = Some(scale);
    }
    Ok(decoder)
}
