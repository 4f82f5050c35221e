//! Apertus (Swiss AI Initiative 2025): Llama with queries and keys normalised per head, and a plain block with xIELU.

use super::common::{Defaults, LLAMA, plain};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is the scaled rotation of the first releases, which other models may not have.
    if settings.names_in("rope_parameters").is_empty()
        && settings.names_in("rope_scaling").is_empty()
    {
        return Err(settings.refuse("rope_parameters", "an object"));
    }
    let activation = match settings.text_if("hidden_act")? {
        Some("xielu") => Activation::Xielu,
        None if !settings.says("hidden_act") => Activation::Xielu,
        _ => Activation::read(settings, "hidden_act", "xielu")?,
    };
    settings.must_not("post_norm")?;
    settings.must("qk_norm")?;
    let defaults = Defaults {
        epsilon: 1e-5,
        activation_name: "-",
        ..LLAMA
    };
    let names = Names {
        theta: 12_000_000.0,
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let sizes = [decoder.hidden, decoder.inner()];
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    if mlp_bias {
        return Err(settings.refuse("mlp_bias", "false: nothing else is supported"));
    }
    let mlp = plain(["up_proj", "down_proj"], sizes, activation, false);
    let mut decoder = decoder.with_mlp(&mlp);
    for layer in &mut decoder.layers {
        let named = |norm: Option<Norm>, name: &str| {
            norm.map(|norm| Norm {
                name: name.to_owned(),
                ..norm
            })
        };
        layer.mixer_norm = named(layer.mixer_norm.take(), "attention_layernorm");
        layer.mlp_norm = named(layer.mlp_norm.take(), "feedforward_layernorm");
    }
    let epsilon = decoder.norm.epsilon;
    for attention in decoder.attentions_mut() {
        let [queries, keys] = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon));
        attention.normalised(queries, keys, NormOver::Head);
    }
    let bias = settings.flag_or("attention_bias", false)?;
    Ok(decoder.attention_bias(bias, bias))
}
