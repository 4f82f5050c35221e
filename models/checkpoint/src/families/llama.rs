//! Llama (Touvron et al. 2023), and families that differ only in biases, activation or the order of a head's
//! dimensions.

use super::common::{Defaults, LLAMA, plain};
use crate::{CheckpointError, Decoder, Settings, decoder::Activation, rope::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())?;
    let bias = settings.flag_or("attention_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    Ok(decoder.attention_bias(bias, bias).mlp_bias(mlp_bias))
}

/// AFM (Arcee): squared ReLU without a gate.
pub(super) fn arcee(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        activation: "relu2",
        ..LLAMA
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, Names::default())?;
    let bias = settings.flag_or("attention_bias", false)?;
    let activation = Activation::read(settings, "hidden_act", "relu2")?;
    let sizes = [decoder.hidden, decoder.inner()];
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    let mlp = plain(["up_proj", "down_proj"], sizes, activation, mlp_bias);
    Ok(decoder.attention_bias(bias, bias).with_mlp(&mlp))
}

/// Seed-OSS: separate settings for the biases of attention's input and output projections.
pub(super) fn seed_oss(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())?;
    let inputs = settings.flag_or("attention_bias", true)?;
    let output = settings.flag_or("attention_out_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    Ok(decoder.attention_bias(inputs, output).mlp_bias(mlp_bias))
}

/// ERNIE 4.5 (dense): the rotation pairs neighbours instead of halves.
pub(super) fn ernie4_5(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("head_dim")?;
    let defaults = Defaults {
        epsilon: 1e-5,
        tied: true,
        ..LLAMA
    };
    let names = Names {
        theta: 500_000.0,
        ..Names::default()
    };
    let mut decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    for attention in decoder.attentions_mut() {
        attention.neighbours_to_halves();
    }
    settings.must("use_rmsnorm")?;
    let bias = settings.flag_or("use_bias", false)?;
    Ok(decoder.attention_bias(bias, bias).mlp_bias(bias))
}
