//! Phi-3 and Phi-4-mini (Abdin et al. 2024): queries, keys and values in one matrix, gate and up in another; a sliding
//! window; LongRoPE for the long releases.

use super::common::{Defaults, LLAMA, gated_in_one};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Linear, Projections},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        ..LLAMA
    };
    let names = Names {
        share: Some(1.0),
        ..Names::default()
    };
    // Required at the top level: otherwise Transformers takes its default, even if the rotation's object has a value.
    let old = settings.names_in("rope_scaling");
    let new = settings.inner_if("rope_parameters")?;
    let kind = new
        .as_ref()
        .map(|new| new.text_if("rope_type"))
        .transpose()?;
    if !old.is_empty() || kind.flatten().is_some_and(|kind| kind != "default") {
        settings.size("original_max_position_embeddings")?;
    }
    settings.size_if("original_max_position_embeddings")?;
    // Settings of its own code, which Transformers does not read. Only with these values do they change nothing.
    for name in ["full_attn_mod", "interpolate_factor"] {
        if settings.number_if(name)?.is_some_and(|got| got != 1.0) {
            return Err(settings.refuse(name, "1: nothing else is supported"));
        }
    }
    let mut decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let window = settings.size_if("sliding_window")?;
    let hidden = decoder.hidden;
    for attention in decoder.attentions_mut() {
        let width = (attention.queries + 2 * attention.keys) * attention.width;
        attention.rows = Projections::Together(Linear::new("qkv_proj", hidden, width));
        attention.window = window;
    }
    let activation = Activation::read(settings, "hidden_act", "silu")?;
    let mlp = gated_in_one("gate_up_proj", hidden, decoder.inner(), activation);
    Ok(decoder.with_mlp(&mlp))
}
