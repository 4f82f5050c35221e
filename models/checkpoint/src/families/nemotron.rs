//! Nemotron-3 and Minitron (Parmar et al. 2024): LayerNorm with weights stored minus one, squared ReLU without a gate,
//! a partial rotation.

use super::common::{Defaults, LLAMA, plain};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Norm},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        epsilon_name: "norm_eps",
        epsilon: 1e-5,
        activation: "relu2",
        ..LLAMA
    };
    let names = Names {
        share: Some(0.5),
        ..Names::default()
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let activation = Activation::read(settings, "hidden_act", "relu2")?;
    let sizes = [decoder.hidden, decoder.inner()];
    let bias = settings.flag_or("attention_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    Ok(decoder
        .with_mlp(&plain(
            ["up_proj", "down_proj"],
            sizes,
            activation,
            mlp_bias,
        ))
        .with_norms(|norm| Norm::layer(norm.name, norm.epsilon).offset(1.0))
        .attention_bias(bias, bias))
}
