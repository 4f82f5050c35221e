//! Mistral (Jiang et al. 2023): Llama without biases, with a sliding window in some releases. Ministral has windows in
//! some layers.

use super::common::{LLAMA, windows};
use crate::{CheckpointError, Decoder, Settings, rope::Names};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = plain(settings)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let windows = vec![window; decoder.layers.len()];
    Ok(decoder.windowed(windows))
}

pub(super) fn ministral(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let decoder = plain(settings)?;
    let window = settings.size_or_null("sliding_window", Some(4096))?;
    let windows = windows(settings, decoder.layers.len(), window, |_| true)?;
    Ok(decoder.windowed(windows))
}

fn plain(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    Decoder::like_llama(settings, &LLAMA)?.turned(settings, Names::default())
}
