//! GLM-4 (GLM Team 2024): a partial rotation of neighbours; gate and up in one matrix. GLM-4-0414 adds norms after
//! attention and feed-forward block.

use super::common::{Defaults, LLAMA, gated_in_one};
use crate::{CheckpointError, Decoder, Settings, decoder::Activation, rope::Names};

pub(super) fn glm(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let defaults = Defaults {
        epsilon: 1.5625e-7,
        ..LLAMA
    };
    let names = Names {
        share: Some(0.5),
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let activation = Activation::read(settings, "hidden_act", "silu")?;
    let mlp = gated_in_one("gate_up_proj", decoder.hidden, decoder.inner(), activation);
    let mut decoder = decoder.with_mlp(&mlp);
    for attention in decoder.attentions_mut() {
        attention.neighbours_to_halves();
    }
    let bias = settings.flag_or("attention_bias", true)?;
    Ok(decoder.attention_bias(bias, false))
}

pub(super) fn glm4(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let after = ["post_self_attn_layernorm", "post_mlp_layernorm"];
    let before = ["input_layernorm", "post_attention_layernorm"];
    Ok(glm(settings)?.with_norms_after(after, Some(before)))
}
