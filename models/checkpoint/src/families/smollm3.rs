//! SmolLM3 (Hugging Face 2025): Llama with some layers without a rotation.

use super::common::{Defaults, LLAMA, windows};
use crate::{CheckpointError, Decoder, Settings, rope::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let defaults = Defaults {
        tied: true,
        ..LLAMA
    };
    let names = Names {
        theta: 2_000_000.0,
        ..Names::default()
    };
    let mut decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let layers = decoder.layers.len();
    let interval = settings.size_or("no_rope_layer_interval", 4)?;
    let turned = match settings.counts_if("no_rope_layers")? {
        // Despite the name, 1 means that the layer has a rotation.
        Some(turned) if turned.len() == layers => turned.iter().map(|&n| n != 0).collect(),
        Some(_) => {
            let expected = format!("0 or 1 for each of {layers} layers");
            return Err(settings.refuse("no_rope_layers", expected));
        }
        None => (1..=layers)
            .map(|i| !i.is_multiple_of(interval))
            .collect::<Vec<_>>(),
    };
    // Transformers writes this but does not use it.
    settings.says("max_window_layers");
    let used = settings.flag_or("use_sliding_window", false)?;
    let window = settings.size_if("sliding_window")?.filter(|_| used);
    let windows = windows(settings, layers, window, |i| !turned[i])?;
    for (attention, turned) in decoder.attentions_mut().zip(turned) {
        if !turned {
            attention.rotation = None;
        }
    }
    let bias = settings.flag_or("attention_bias", false)?;
    let mlp_bias = settings.flag_or("mlp_bias", false)?;
    let decoder = decoder.attention_bias(bias, bias).mlp_bias(mlp_bias);
    Ok(decoder.windowed(windows))
}
