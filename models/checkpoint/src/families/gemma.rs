//! Gemma 2 and 3 (Gemma Team 2024, 2025): norms before and after attention and feed-forward block, with weights stored
//! minus one; scaled embeddings; soft caps on scores and logits; sliding windows in most layers. Gemma 3 normalises
//! queries and keys per head, and layers with a window have their own rotation.

use super::common::{Defaults, LLAMA, sliding};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Norm, NormOver},
    rope::{Names, Rotation},
};

const DEFAULTS: Defaults = Defaults {
    activation_name: "hidden_activation",
    activation: "gelu_pytorch_tanh",
    tied: true,
    ..LLAMA
};

pub(super) fn gemma2(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = like_gemma(settings, [Some(50.0), Some(30.0)], |layer| layer % 2 == 0)?;
    decoder.0.turned(settings, Names::default())
}

pub(super) fn gemma3(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // The old name for every how many layers one has full attention.
    let pattern = settings.size_or("sliding_window_pattern", 6)?;
    settings.size_if("_sliding_window_pattern")?;
    let rule = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let (mut decoder, sliding) = like_gemma(settings, [None, None], rule)?;
    let epsilon = decoder.norm.epsilon;
    for attention in decoder.attentions_mut() {
        let norms = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon).offset(1.0));
        let [queries, keys] = norms;
        attention.normalised(queries, keys, NormOver::Head);
    }
    let types = ["full_attention", "sliding_attention"];
    if let Some(rotation) = settings.inner_if("rope_parameters")?
        && rotation
            .values()
            .keys()
            .any(|name| !types.contains(&name.as_str()))
    {
        let expected = "an object for each layer type";
        return Err(settings.refuse("rope_parameters", expected));
    }
    let width = decoder
        .attentions()
        .next()
        .map_or(0, |attention| attention.width);
    let named = |theta, theta_name| Names {
        theta,
        theta_name,
        ..Names::default()
    };
    let full = named(1_000_000.0, "rope_theta");
    let full = Rotation::of_type(settings, width, full, "full_attention", true)?;
    let local = named(10_000.0, "rope_local_base_freq");
    let local = Rotation::of_type(settings, width, local, "sliding_attention", false)?;
    decoder.turn(full, |i| !sliding[i]);
    decoder.turn(local, |i| sliding[i]);
    Ok(decoder)
}

/// The decoder without its rotation, and which layers have a window.
fn like_gemma(
    settings: &Settings,
    [cap, last_cap]: [Option<f64>; 2],
    rule: impl Fn(usize) -> bool,
) -> Result<(Decoder, Vec<bool>), CheckpointError> {
    settings.must_not("use_bidirectional_attention")?;
    // A name in the first releases, which Transformers does not read.
    if let (Some(early), Some(window)) = (
        settings.size_if("sliding_window_size")?,
        settings.size_if("sliding_window")?,
    ) && early != window
    {
        return Err(settings.refuse(
            "sliding_window_size",
            format!("{window}, as sliding_window"),
        ));
    }
    // Transformers reads only hidden_activation; files have both.
    settings.says("hidden_act");
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let decoder = Decoder::like_llama(settings, &DEFAULTS)?;
    let layers = decoder.layers.len();
    let sliding = sliding(settings, layers, rule)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    if window.is_none() && sliding.contains(&true) {
        return Err(settings.refuse(
            "sliding_window",
            "a window, because some layers are sliding",
        ));
    }
    let windows = sliding.iter().map(|&sliding| window.filter(|_| sliding));
    let scale = settings.positive("query_pre_attn_scalar")?.powf(-0.5);
    let after = ["post_attention_layernorm", "post_feedforward_layernorm"];
    let before = ["input_layernorm", "pre_feedforward_layernorm"];
    let mut decoder = decoder
        .windowed(windows.collect())
        .with_norms_after(after, Some(before))
        .with_norms(|norm| norm.offset(1.0));
    let bias = settings.flag_or("attention_bias", false)?;
    // Gemma 3 has the setting, but Transformers does not use it there.
    let said = capped(settings, "attn_logit_softcapping", cap)?;
    let cap = cap.and(said);
    for attention in decoder.attentions_mut() {
        attention.scale = scale;
        attention.cap = cap;
    }
    decoder.head.cap = capped(settings, "final_logit_softcapping", last_cap)?;
    decoder.embedding.scale = (decoder.hidden as f64).sqrt();
    Ok((decoder.attention_bias(bias, bias), sliding))
}

/// A soft cap; `None` if it is `null`.
pub(super) fn capped(
    settings: &Settings,
    name: &str,
    default: Option<f64>,
) -> Result<Option<f64>, CheckpointError> {
    match (settings.says(name), settings.number_if(name)?) {
        (false, _) => Ok(default),
        (true, Some(cap)) if cap <= 0.0 => Err(settings.refuse(name, "a number above zero")),
        (true, cap) => Ok(cap),
    }
}
