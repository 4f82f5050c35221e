//! StableLM (Stability AI 2023 to 2024): Llama's layout with LayerNorm and a partial rotation; parallel blocks in some
//! releases.

use super::common::{Defaults, LLAMA};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let defaults = Defaults {
        epsilon_name: "layer_norm_eps",
        epsilon: 1e-5,
        ..LLAMA
    };
    let names = Names {
        share: Some(0.25),
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let mut decoder = decoder.with_norms(|norm| Norm::layer(norm.name, norm.epsilon));
    if settings.flag_or("use_parallel_residual", false)? {
        decoder = decoder.side_by_side();
    }
    let epsilon = decoder.norm.epsilon;
    // Settings of its own code, which have other names in Transformers.
    let share = settings.number_or("partial_rotary_factor", 0.25)?;
    for (name, expected) in [
        ("rope_pct", share),
        ("rotary_scaling_factor", 1.0),
        ("norm_eps", epsilon),
    ] {
        if settings.number_if(name)?.is_some_and(|got| got != expected) {
            return Err(settings.refuse(name, expected.to_string()));
        }
    }
    if settings.flag_or("qk_layernorm", false)? {
        for attention in decoder.attentions_mut() {
            let norms = ["q_layernorm.norms", "k_layernorm.norms"];
            let [queries, keys] = norms.map(|name| Norm::layer(name, epsilon).without_bias());
            attention.normalised(queries, keys, NormOver::HeadWithOwnTensor);
        }
    }
    let bias = settings.flag_or("use_qkv_bias", false)?;
    Ok(decoder.attention_bias(bias, false))
}
