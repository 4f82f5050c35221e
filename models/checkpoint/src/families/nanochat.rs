//! nanochat (Karpathy 2025): norms without weights, one of them after the embedding; a rotation in the opposite
//! direction; squared ReLU; capped logits.

use super::{
    common::{Defaults, LLAMA, plain},
    gemma::capped,
};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        activation: "relu2",
        ..LLAMA
    };
    let decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, Names::default())?;
    let activation = Activation::read(settings, "hidden_act", "relu2")?;
    let sizes = [decoder.hidden, decoder.inner()];
    let mut decoder = decoder
        .with_mlp(&plain(["fc1", "fc2"], sizes, activation, false))
        .with_norms(Norm::bare);
    let bare = decoder.norm.clone();
    decoder.embedding.norm = Some(bare.clone());
    for attention in decoder.attentions_mut() {
        // nanochat normalises after the rotation, which scales vectors by its factor only. So the norm can go before
        // it, with epsilon divided by the factor's square.
        let factor = attention
            .rotation
            .as_ref()
            .map_or(1.0, |rotation| rotation.factor);
        let norm = Norm {
            epsilon: bare.epsilon / (factor * factor),
            ..bare.clone()
        };
        attention.normalised(norm.clone(), norm, NormOver::Head);
        attention.rotation = attention.rotation.take().map(|rotation| crate::Rotation {
            factor: 1.0,
            ..rotation.reversed()
        });
    }
    decoder.head.cap = capped(settings, "final_logit_softcapping", Some(15.0))?;
    let bias = settings.flag_or("attention_bias", false)?;
    Ok(decoder.attention_bias(bias, bias))
}
