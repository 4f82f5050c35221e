//! GPT-BigCode (SantaCoder, StarCoder; Ben Allal et al. 2023): GPT-2, mostly with multi-query attention.

use super::{common::layer, common::plain, gpt2::Sizes};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Attention, Linear, Norm, Projections},
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let sizes = Sizes::read(settings)?;
    let hidden = sizes.hidden;
    let [queries, _, width] = sizes.heads;
    let shared = settings.flag_or("multi_query", true)?;
    let keys = if shared { 1 } else { queries };
    // Transformers sets this from multi_query, whatever the file says.
    settings.says("num_key_value_heads");
    let outputs = (queries + 2 * keys) * width;
    let mut all = Linear::new("c_attn", hidden, outputs).with_bias(true);
    if !shared {
        all.rows = head_by_head(queries, width);
    }
    let output = Linear::new("c_proj", hidden, hidden).with_bias(true);
    let heads = [queries, keys, width];
    let mut attention = Attention::new("attn", heads, Projections::Together(all), output);
    if !settings.flag_or("scale_attn_weights", true)? {
        attention.scale = 1.0;
    }
    let activation = Activation::read(settings, "activation_function", "gelu_pytorch_tanh")?;
    let mlp = plain(["c_fc", "c_proj"], [hidden, sizes.inner], activation, true);
    let norms = ["ln_1", "ln_2"].map(|name| Norm::layer(name, sizes.epsilon));
    let layers = vec![layer(norms, attention, mlp); sizes.layers];
    sizes.decoder(settings, layers)
}

/// Row order from stored (per head: query, key, value) to all queries, then all keys, then all values.
pub(super) fn head_by_head(heads: usize, width: usize) -> Vec<usize> {
    let parts = (0..3).flat_map(|part| (0..heads).map(move |head| 3 * head + part));
    parts
        .flat_map(|place| place * width..(place + 1) * width)
        .collect()
}
