//! EXAONE 4.0 (LG 2025): norms after attention and feed-forward block; queries and keys normalised per head. In models
//! with sliding windows, the layers without one have no rotation.

use super::common::{Defaults, LLAMA, windows};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Norm, NormOver},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let defaults = Defaults {
        epsilon: 1e-5,
        ..LLAMA
    };
    let names = ["post_attention_layernorm", "post_feedforward_layernorm"];
    let decoder = Decoder::like_llama(settings, &defaults)?
        .turned(settings, Names::default())?
        .with_norms_after(names, None);
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let layers = decoder.layers.len();
    let pattern = pattern(settings, window.is_some())?;
    // `LLLG`: local, local, local, global. A number `n`: every n-th layer is global.
    let rule = |i: usize| match &pattern {
        Pattern::Every(every) => !(i + 1).is_multiple_of(*every),
        Pattern::Letters(letters) => letters[i % letters.len()] == b'L',
    };
    let windows = windows(settings, layers, window, rule)?;
    let mut decoder = decoder.windowed(windows);
    let epsilon = decoder.norm.epsilon;
    for attention in decoder.attentions_mut() {
        let [queries, keys] = ["q_norm", "k_norm"].map(|name| Norm::rms(name, epsilon));
        attention.normalised(queries, keys, NormOver::Head);
        if window.is_some() && attention.window.is_none() {
            attention.rotation = None;
        }
    }
    Ok(decoder)
}

enum Pattern {
    Every(usize),
    Letters(Vec<u8>),
}

fn pattern(settings: &Settings, any: bool) -> Result<Pattern, CheckpointError> {
    const NAME: &str = "sliding_window_pattern";
    let listed = settings.says("layer_types");
    match settings.values().get(NAME) {
        Some(serde_json::Value::String(letters)) => {
            settings.says(NAME);
            let known = letters.bytes().all(|letter| matches!(letter, b'L' | b'G'));
            // Transformers accepts letters only with layer_types.
            match known && !letters.is_empty() && (listed || !any) {
                true => Ok(Pattern::Letters(letters.clone().into_bytes())),
                false => Err(settings.refuse(NAME, "a number, or layer_types beside it")),
            }
        }
        _ if listed || !any => {
            settings.says(NAME);
            Ok(Pattern::Every(1))
        }
        _ => Ok(Pattern::Every(settings.size_or(NAME, 4)?)),
    }
}
