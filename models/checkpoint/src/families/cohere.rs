//! Command R and R+ (Cohere 2024): parallel attention and feed-forward blocks after one LayerNorm without a bias, a
//! rotation of neighbours instead of halves, a factor on the logits. Command R7B and A (2025): only layers with a
//! window have a rotation.

use super::common::{Defaults, LLAMA, windows};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Norm, NormOver},
    rope::Names,
};

const DEFAULTS: Defaults = Defaults {
    epsilon_name: "layer_norm_eps",
    epsilon: 1e-5,
    tied: true,
    ..LLAMA
};

pub(super) fn cohere(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let mut decoder = like_cohere(settings, 500_000.0)?;
    let epsilon = decoder.norm.epsilon;
    let normalised = settings.flag_or("use_qk_norm", false)?;
    for attention in decoder.attentions_mut() {
        if normalised {
            let norms = ["q_norm", "k_norm"];
            let [queries, keys] = norms.map(|name| Norm::layer(name, epsilon).without_bias());
            attention.normalised(queries, keys, NormOver::HeadWithOwnWeights);
        }
        attention.neighbours_to_halves();
    }
    Ok(decoder)
}

pub(super) fn cohere2(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = like_cohere(settings, 10_000.0)?;
    let pattern = settings.size_or("sliding_window_pattern", 4)?;
    settings.size_if("_sliding_window_pattern")?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let rule = |i: usize| !(i + 1).is_multiple_of(pattern);
    let windows = windows(settings, decoder.layers.len(), window, rule)?;
    let mut decoder = decoder.windowed(windows);
    // Settings of its older code, for what the model always does.
    settings.must("use_gated_activation")?;
    settings.must("use_parallel_block")?;
    settings.must_not("use_parallel_embedding")?;
    settings.must_not("use_qk_norm")?;
    for (name, expected) in [
        ("position_embedding_type", "rope_gptj"),
        ("order_of_interleaved_layers", "local_attn_first"),
        ("layer_switch", "4"),
    ] {
        let said = settings.values().get(name).filter(|value| !value.is_null());
        let said = said.map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        settings.says(name);
        if said.is_some_and(|said| said != expected) {
            return Err(settings.refuse(name, expected));
        }
    }
    settings.says("rotary_pct");
    for attention in decoder.attentions_mut() {
        attention.neighbours_to_halves();
        if attention.window.is_none() {
            attention.rotation = None;
        }
    }
    Ok(decoder)
}

fn like_cohere(settings: &Settings, theta: f64) -> Result<Decoder, CheckpointError> {
    let names = Names {
        theta,
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &DEFAULTS)?.turned(settings, names)?;
    let mut decoder = decoder
        .with_norms(|norm| Norm::layer(norm.name, norm.epsilon).without_bias())
        .side_by_side();
    decoder.head.scale = settings.number_or("logit_scale", 0.0625)?;
    let bias = settings.flag_or("attention_bias", false)?;
    Ok(decoder.attention_bias(bias, bias))
}
