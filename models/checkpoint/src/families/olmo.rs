//! OLMo 2 (OLMo et al. 2025): norms after attention and feed-forward block, not before them; queries and keys are
//! normalised over all heads together. OLMo 3 adds sliding windows. OLMoE (Muennighoff et al. 2024) has norms before
//! attention and feed-forward block, and experts.

use super::{
    common::{Defaults, LLAMA, sliding},
    mixtral,
};
use crate::{
    CheckpointError, Decoder, Settings, Weights,
    decoder::{Activation, FeedForward, Glu, Linear, Mixture, Norm, NormOver, Routing},
    rope::{Names, Rotation},
};

const DEFAULTS: Defaults = Defaults {
    epsilon: 1e-5,
    ..LLAMA
};

pub(super) fn olmo2(settings: &Settings) -> Result<Decoder, CheckpointError> {
    normalised_behind(settings)?.turned(settings, Names::default())
}

/// YaRN applies only to layers with full attention, as the model was trained. Transformers 5 reads files with one
/// rotation for all layers differently.
pub(super) fn olmo3(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let mut decoder = normalised_behind(settings)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let layers = decoder.layers.len();
    let sliding = sliding(settings, layers, |i| (i + 1) % 4 != 0)?;
    if window.is_none() && sliding.contains(&true) {
        return Err(settings.refuse(
            "sliding_window",
            "a window, because some layers are sliding",
        ));
    }
    let names = Names {
        theta: 500_000.0,
        ..Names::default()
    };
    let width = decoder
        .attentions()
        .next()
        .map_or(0, |attention| attention.width);
    let full = Rotation::of_type(settings, width, names, "full_attention", true)?;
    let local = Rotation::of_type(settings, width, names, "sliding_attention", false)?;
    decoder.turn(full, |i| !sliding[i]);
    decoder.turn(local, |i| sliding[i]);
    let windows = sliding.iter().map(|&sliding| window.filter(|_| sliding));
    Ok(decoder.windowed(windows.collect()))
}

pub(super) fn olmoe(
    settings: &Settings,
    weights: Option<&Weights>,
) -> Result<Decoder, CheckpointError> {
    let mut decoder = normalised_over_all(settings)?;
    let clip = settings.number_if("clip_qkv")?;
    if clip.is_some_and(|clip| clip <= 0.0) {
        return Err(settings.refuse("clip_qkv", "a number above zero"));
    }
    for attention in decoder.attentions_mut() {
        attention.clip = clip;
    }
    let count = match settings.size_if("num_local_experts")? {
        Some(count) => count,
        None => settings.size("num_experts")?,
    };
    let top = mixtral::chosen(settings, count)?;
    let sizes = [decoder.hidden, decoder.inner()];
    let activation = Activation::read(settings, "hidden_act", "silu")?;
    let normalised = settings.flag_or("norm_topk_prob", false)?;
    for (i, layer) in decoder.layers.iter_mut().enumerate() {
        let at = mixtral::ExpertTensors::new(weights, format!("model.layers.{i}.mlp."), "experts");
        layer.mlp = FeedForward::Mixture(Box::new(Mixture {
            scope: "mlp",
            router: Linear::new("gate", sizes[0], count),
            routing: Routing::SoftmaxFirst { normalised },
            top,
            experts: at.experts(count, sizes, mixtral::LLAMA_NAMES),
            glu: Glu::Gated(activation),
        }));
    }
    decoder.turned(settings, Names::default())
}

fn normalised_behind(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let names = ["post_attention_layernorm", "post_feedforward_layernorm"];
    Ok(normalised_over_all(settings)?.with_norms_after(names, None))
}

fn normalised_over_all(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let mut decoder = Decoder::like_llama(settings, &DEFAULTS)?;
    let epsilon = decoder.norm.epsilon;
    for attention in decoder.attentions_mut() {
        let [queries, keys] = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon));
        attention.normalised(queries, keys, NormOver::AllHeads);
    }
    let bias = settings.flag_or("attention_bias", false)?;
    Ok(decoder.attention_bias(bias, bias))
}
