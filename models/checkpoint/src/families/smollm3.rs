//! SmolLM3 (Hugging Face 2025): Llama in which some layers do not turn queries and keys.

use super::common::{Defaults, LLAMA, windows};
use crate::{CheckpointError, Decoder, Settings, rotation::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Transformers' own default is no matter of course.
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
        // Despite the name, 1 says that a layer turns.
        Some(turned) if turned.len() == layers => turned.iter().map(|&n| n != 0).collect(),
        Some(_) => {
            let expected = format!("0 or 1 for each of {layers} layers");
            return Err(settings.refuse("no_rope_layers", expected));
        }
        None => (1..=layers)
            .map(|i| !i.is_multiple_of(interval))
            .collect::<Vec<_>>(),
    };
    // Written, and not read by Transformers.
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
