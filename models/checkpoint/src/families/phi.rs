//! Phi-1 to Phi-2 (Gunasekar et al. 2023): parallel attention and feed-forward blocks after one LayerNorm, and biases
//! everywhere, including the head.

use super::common::{Defaults, LLAMA, plain};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Linear, Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        epsilon_name: "layer_norm_eps",
        epsilon: 1e-5,
        activation: "gelu_new",
        ..LLAMA
    };
    let names = Names {
        share: Some(0.5),
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let activation = Activation::read(settings, "hidden_act", "gelu_new")?;
    let sizes = [decoder.hidden, decoder.inner()];
    let mut decoder = decoder
        .with_mlp(&plain(["fc1", "fc2"], sizes, activation, true))
        .with_norms(|norm| Norm::layer(norm.name, norm.epsilon))
        .side_by_side();
    decoder.norm.name = "final_layernorm".to_owned();
    decoder.head.bias = true;
    let epsilon = decoder.norm.epsilon;
    let normalised = settings.flag_or("qk_layernorm", false)?;
    for attention in decoder.attentions_mut() {
        let Linear {
            inputs, outputs, ..
        } = attention.output;
        attention.output = Linear::new("dense", inputs, outputs);
        if normalised {
            let norms = ["q_layernorm", "k_layernorm"];
            let [queries, keys] = norms.map(|name| Norm::layer(name, epsilon));
            attention.normalised(queries, keys, NormOver::Head);
        }
    }
    Ok(decoder.attention_bias(true, true))
}
