//! StarCoder2 (Lozhkov et al. 2024): Llama's layout with LayerNorm, a plain block, biases and a sliding window.

use super::common::{Defaults, LLAMA, plain};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Norm},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let defaults = Defaults {
        epsilon_name: "norm_epsilon",
        epsilon: 1e-5,
        activation: "gelu_pytorch_tanh",
        tied: true,
        ..LLAMA
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, Names::default())?;
    // Settings of its older code: only these values exist.
    for (name, expected) in [("norm_type", "layer_norm"), ("mlp_type", "default")] {
        if settings.text_if(name)?.is_some_and(|got| got != expected) {
            return Err(settings.refuse(name, expected));
        }
    }
    // Transformers does not read these, but hidden_act and norm_epsilon.
    for name in ["activation_function", "layer_norm_epsilon"] {
        settings.says(name);
    }
    settings.must("scale_attn_weights")?;
    let bias = settings.flag_or("use_bias", true)?;
    let activation = Activation::read(settings, "hidden_act", "gelu_pytorch_tanh")?;
    let sizes = [decoder.hidden, decoder.inner()];
    let window = settings.size_if("sliding_window")?;
    let windows = vec![window; decoder.layers.len()];
    Ok(decoder
        .with_mlp(&plain(["c_fc", "c_proj"], sizes, activation, bias))
        .with_norms(|norm| Norm::layer(norm.name, norm.epsilon))
        .attention_bias(bias, bias)
        .windowed(windows))
}
