//! Hunyuan dense (Tencent 2025): queries and keys are normalised per head after the rotation, whose theta is scaled by
//! `alpha`.

use super::common::{Defaults, LLAMA};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        ..LLAMA
    };
    let mut decoder =
        Decoder::like_llama(settings, &defaults)?.turned(settings, Names::default())?;
    stretch(settings, &mut decoder)?;
    let epsilon = decoder.norm.epsilon;
    for attention in decoder.attentions_mut() {
        let norms = ["query_layernorm", "key_layernorm"];
        let [queries, keys] = norms.map(|name| Norm::rms(name, epsilon));
        attention.normalised(queries, keys, NormOver::Head);
        if let Some(norms) = &mut attention.norms {
            norms.after_rotation = true;
        }
    }
    let bias = settings.flag_or("attention_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    // Settings of its older code, for what the model always does.
    settings.must("use_qk_norm")?;
    settings.must("use_rotary_pos_emb")?;
    if let Some(head) = settings.size_if("attention_head_dim")?
        && decoder
            .attentions()
            .any(|attention| attention.width != head)
    {
        return Err(settings.refuse("attention_head_dim", "the same as head_dim"));
    }
    for name in [
        "cla_share_factor",
        "class_num",
        "dense_list",
        "norm_type",
        "org_vocab_size",
        "pool_type",
    ] {
        settings.says(name);
    }
    Ok(decoder.attention_bias(bias, bias).mlp_bias(mlp_bias))
}

/// Scales theta to `theta * alpha^(width / (width - 2))`, at any length; other settings of a dynamic rotation are then
/// unused.
fn stretch(settings: &Settings, decoder: &mut Decoder) -> Result<(), CheckpointError> {
    let old = settings.inner_if("rope_scaling")?;
    let old = old.filter(|old| !old.values().is_empty());
    let Some(scaling) = old.or(settings.inner_if("rope_parameters")?) else {
        return Ok(());
    };
    let alpha = scaling.number_if("alpha")?.filter(|&alpha| alpha != 0.0);
    let is_dynamic = ["rope_type", "type"]
        .iter()
        .any(|name| matches!(scaling.text_if(name), Ok(Some("dynamic"))));
    let Some(alpha) = alpha.filter(|_| is_dynamic) else {
        return Ok(());
    };
    for name in [
        "factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
    ] {
        scaling.number_if(name)?;
    }
    decoder.most_positions = None;
    for attention in decoder.attentions_mut() {
        let Some(rotation) = &mut attention.rotation else {
            continue;
        };
        let width = rotation.width as f64;
        let by = alpha.powf(width / (width - 2.0));
        for (i, frequency) in rotation.frequencies.iter_mut().enumerate() {
            *frequency *= by.powf(-((2 * i) as f64) / width);
        }
    }
    Ok(())
}
