//! Granite (IBM 2024): Llama with factors on embedding, scores, residual branches and logits.

use super::common::LLAMA;
use crate::{CheckpointError, Decoder, Settings, rope::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let mut decoder = Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())?;
    decoder.embedding.scale = settings.number_or("embedding_multiplier", 1.0)?;
    decoder.head.scale = 1.0 / settings.positive_or("logits_scaling", 1.0)?;
    let scale = settings.positive_or("attention_multiplier", 1.0)?;
    for attention in decoder.attentions_mut() {
        attention.scale = scale;
    }
    let residual = settings.number_or("residual_multiplier", 1.0)?;
    for layer in &mut decoder.layers {
        layer.residual = residual;
    }
    let bias = settings.flag_or("attention_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    Ok(decoder.attention_bias(bias, bias).mlp_bias(mlp_bias))
}
