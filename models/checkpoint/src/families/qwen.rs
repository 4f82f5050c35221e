//! Qwen2 and Qwen2.5 (Yang et al. 2024): biases on queries, keys and values; later layers may have a sliding window.
//! Qwen3 (Yang et al. 2025): queries and keys are normalised per head before the rotation; dense, or with experts.

use super::{
    common::{LLAMA, windows},
    mixtral,
};
use crate::{
    CheckpointError, Decoder, Settings, Weights,
    decoder::{Activation, FeedForward, Glu, Linear, Mixture, Norm, NormOver, Routing},
    rope::Names,
};

pub(super) fn qwen2(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let decoder = Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())?;
    let windows = windows_after(settings, decoder.layers.len())?;
    Ok(decoder.attention_bias(true, false).windowed(windows))
}

pub(super) fn qwen3(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = normalised_by_head(settings)?;
    let windows = windows_after(settings, decoder.layers.len())?;
    Ok(decoder.windowed(windows))
}

pub(super) fn qwen3_moe(
    settings: &Settings,
    weights: Option<&Weights>,
) -> Result<Decoder, CheckpointError> {
    let mut decoder = normalised_by_head(settings)?;
    let used = settings.flag_or("use_sliding_window", false)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let window = window.filter(|_| used);
    // All layers are alike here, unlike in other families with this setting.
    settings.says("max_window_layers");
    let layers = decoder.layers.len();
    let dense = settings.counts_if("mlp_only_layers")?.unwrap_or_default();
    let step = settings.size_or("decoder_sparse_step", 1)?;
    let [hidden, inner] = [decoder.hidden, settings.size("moe_intermediate_size")?];
    let activation = Activation::read(settings, "hidden_act", "silu")?;
    let count = settings.size_if("num_local_experts")?;
    let count = match count {
        Some(count) => count,
        None => settings.size("num_experts")?,
    };
    let top = mixtral::chosen(settings, count)?;
    let normalised = settings.flag_or("norm_topk_prob", false)?;
    for (i, layer) in decoder.layers.iter_mut().enumerate() {
        if !dense.contains(&i) && (i + 1).is_multiple_of(step) {
            let at =
                mixtral::ExpertTensors::new(weights, format!("model.layers.{i}.mlp."), "experts");
            layer.mlp = FeedForward::Mixture(Box::new(Mixture {
                scope: "mlp",
                router: Linear::new("gate", hidden, count),
                routing: Routing::SoftmaxFirst { normalised },
                top,
                experts: at.experts(count, [hidden, inner], mixtral::LLAMA_NAMES),
                glu: Glu::Gated(activation),
            }));
        }
    }
    Ok(decoder.windowed(vec![window; layers]))
}

fn normalised_by_head(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let epsilon = settings.epsilon_or("rms_norm_eps", 1e-6)?;
    let mut decoder = Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())?;
    for attention in decoder.attentions_mut() {
        let [queries, keys] = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon));
        attention.normalised(queries, keys, NormOver::Head);
    }
    let bias = settings.flag_or("attention_bias", false)?;
    Ok(decoder.attention_bias(bias, bias))
}

/// Sliding windows from layer `max_window_layers` on, if `use_sliding_window` is set.
fn windows_after(
    settings: &Settings,
    layers: usize,
) -> Result<Vec<Option<usize>>, CheckpointError> {
    let used = settings.flag_or("use_sliding_window", false)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let window = window.filter(|_| used);
    let from = settings.count_or("max_window_layers", 28)?;
    windows(settings, layers, window, |layer| layer >= from)
}
