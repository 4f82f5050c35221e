//! Qwen 3.5 (2026), the text model: three of four layers use a gated delta rule, the others gated attention with a
//! partial rotation; norms with weights stored minus one.

use super::common::{LLAMA, Sizes};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Delta, Linear, Mixer, Norm, NormOver, Projections},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let names = Names {
        share: Some(0.25),
        ..Names::default()
    };
    // The mrope settings are for images: in text, a token's row and column both equal its position.
    for object in ["rope_parameters", "rope_scaling"] {
        if let Some(rotation) = settings.inner_if(object)? {
            if rotation
                .text_if("rope_type")?
                .is_some_and(|kind| kind != "default")
            {
                return Err(rotation.refuse("rope_type", "default: no other is supported"));
            }
            rotation.says("mrope_section");
            rotation.says("mrope_interleaved");
        }
    }
    let Sizes {
        hidden,
        layers,
        heads: [queries, keys, width],
        ..
    } = Sizes::read(settings)?;
    let mut decoder = Decoder::like_llama(settings, &LLAMA)?
        .turned(settings, names)?
        .with_norms(|norm| norm.offset(1.0));
    let epsilon = decoder.norm.epsilon;
    let delta = Delta {
        scope: "linear_attn",
        keys: settings.size("linear_num_key_heads")?,
        values: settings.size("linear_num_value_heads")?,
        key_width: settings.size("linear_key_head_dim")?,
        value_width: settings.size("linear_value_head_dim")?,
        kernel: settings.size("linear_conv_kernel_dim")?,
        epsilon,
    };
    if !delta.values.is_multiple_of(delta.keys) {
        let expected = format!("a multiple of linear_num_key_heads, {}", delta.keys);
        return Err(settings.refuse("linear_num_value_heads", expected));
    }
    if delta.kernel < 2 {
        return Err(settings.refuse("linear_conv_kernel_dim", "at least 2"));
    }
    // The convolution shares the feed-forward blocks' activation, and ONNX Runtime's operator has only SiLU.
    if settings
        .text_if("hidden_act")?
        .is_some_and(|got| !matches!(got, "silu" | "swish"))
    {
        return Err(settings.refuse("hidden_act", "silu"));
    }
    // The state is always f32: a higher precision does no harm.
    settings.says("mamba_ssm_dtype");
    settings.must("attn_output_gate")?;
    for (name, expected) in [("output_gate_type", ["swish", "silu"])] {
        if settings
            .text_if(name)?
            .is_some_and(|got| !expected.contains(&got))
        {
            return Err(settings.refuse(name, "swish"));
        }
    }
    // Layers for multi-token prediction do not affect scores.
    for name in [
        "mtp_num_hidden_layers",
        "mtp_use_dedicated_embeddings",
        "mlp_only_layers",
    ] {
        settings.says(name);
    }
    for attention in decoder.attentions_mut() {
        // Stored head by head: each query is followed by its gate.
        let part = |from: usize| {
            let rows = (0..queries).flat_map(move |head| {
                let first = (2 * head + from) * width;
                first..first + width
            });
            rows.collect::<Vec<_>>()
        };
        let both = Linear::new("q_proj", hidden, 2 * queries * width);
        attention.rows = Projections::Apart {
            queries: both.clone().take(part(0), ".query"),
            keys: Linear::new("k_proj", hidden, keys * width),
            values: Linear::new("v_proj", hidden, keys * width),
        };
        attention.gate = Some(both.take(part(1), ".gate"));
        let norms = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon).offset(1.0));
        let [of_queries, of_keys] = norms;
        attention.normalised(of_queries, of_keys, NormOver::Head);
    }
    let interval = settings.size_or("full_attention_interval", 4)?;
    let linear: Vec<bool> = match settings.texts_if("layer_types")? {
        None => (1..=layers).map(|i| !i.is_multiple_of(interval)).collect(),
        Some(kinds) => {
            let known = |kind: &&str| match *kind {
                "linear_attention" => Some(true),
                "full_attention" => Some(false),
                _ => None,
            };
            let kinds: Option<Vec<bool>> = kinds.iter().map(known).collect();
            kinds.filter(|kinds| kinds.len() == layers).ok_or_else(|| {
                let expected =
                    format!("linear_attention or full_attention, for each of {layers} layers");
                settings.refuse("layer_types", expected)
            })?
        }
    };
    let bias = settings.flag_or("attention_bias", false)?;
    let mut decoder = decoder.attention_bias(bias, bias);
    if bias {
        for attention in decoder.attentions_mut() {
            attention.gate = attention.gate.take().map(|gate| gate.with_bias(true));
        }
    }
    for (layer, linear) in decoder.layers.iter_mut().zip(linear) {
        if linear {
            layer.mixer = Mixer::Delta(Box::new(delta.clone()));
        }
    }
    Ok(decoder)
}
