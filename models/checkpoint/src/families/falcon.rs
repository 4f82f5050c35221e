//! Falcon (Almazrouei et al. 2023): parallel or sequential attention and feed-forward blocks; multi-query,
//! grouped-query or multi-head attention with one matrix for queries, keys and values; a rotation or ALiBi.

use super::{
    bloom::slopes,
    common::{head_width, layer, plain},
    gpt_bigcode::head_by_head,
};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Attention, Embedding, Head, Linear, Norm, Projections, Slopes},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    settings.size_if("max_position_embeddings")?;
    let hidden = match settings.size_if("n_embed")? {
        Some(hidden) => hidden,
        None => settings.size("hidden_size")?,
    };
    let queries = settings.size("num_attention_heads")?;
    let width = head_width(settings, "num_attention_heads", hidden, queries)?;
    let new = settings.flag_or("new_decoder_architecture", false)?;
    let shared = settings.flag_or("multi_query", true)?;
    let groups = settings.size_if("num_kv_heads")?.unwrap_or(queries);
    let bias = settings.flag_or("bias", false)?;
    let alibi = settings.flag_or("alibi", false)?;
    let (keys, rows) = match (new, shared) {
        (true, _) if queries.is_multiple_of(groups) => (groups, by_group(queries, groups, width)),
        (true, _) => {
            let expected = format!("a divisor of num_attention_heads, {queries}");
            return Err(settings.refuse("num_kv_heads", expected));
        }
        (false, true) => (1, Vec::new()),
        (false, false) => (queries, head_by_head(queries, width)),
    };
    let all = Linear::new("query_key_value", hidden, (queries + 2 * keys) * width);
    let all = all.with_bias(bias).take(rows, "");
    let output = Linear::new("dense", hidden, hidden).with_bias(bias);
    let heads = [queries, keys, width];
    let mut attention = Attention::new("self_attention", heads, Projections::Together(all), output);
    if alibi {
        // Falcon adds the bias before scaling the scores.
        let slopes = slopes(queries).into_iter();
        attention.slopes = Some(Slopes {
            slopes: slopes.collect(),
            rounded: true,
        });
    }
    let activation = Activation::read(settings, "activation", "gelu")?;
    let inner = settings.size_if("ffn_hidden_size")?.unwrap_or(4 * hidden);
    let mlp = plain(
        ["dense_h_to_4h", "dense_4h_to_h"],
        [hidden, inner],
        activation,
        bias,
    );
    let epsilon = settings.epsilon_or("layer_norm_epsilon", 1e-5)?;
    let parallel = settings.flag_or("parallel_attn", true)?;
    let norms = settings.size_if("num_ln_in_parallel_attn")?;
    let norms = norms.unwrap_or(if new { 2 } else { 1 });
    let two = parallel && new && norms == 2;
    if new && !parallel {
        return Err(settings.refuse("parallel_attn", "true with new_decoder_architecture"));
    }
    if parallel && norms != 1 && !two {
        return Err(settings.refuse("num_ln_in_parallel_attn", "1, or 2 in the new architecture"));
    }
    let names = match two {
        true => ["ln_attn", "ln_mlp"],
        false => ["input_layernorm", "post_attention_layernorm"],
    };
    let mut layer = layer(names.map(|name| Norm::layer(name, epsilon)), attention, mlp);
    layer.side_by_side = parallel;
    if parallel && !two {
        layer.mlp_norm = None;
    }
    let layers = settings.size("num_hidden_layers")?;
    let decoder = Decoder {
        family: "",
        scope: "transformer",
        hidden,
        vocabulary: settings.size("vocab_size")?,
        embedding: Embedding {
            name: "word_embeddings",
            scale: 1.0,
            positions: None,
            norm: None,
        },
        layers_name: "h",
        layers: vec![layer; layers],
        norm: Norm::layer("ln_f", epsilon),
        head: Head {
            name: "lm_head",
            tied: settings.flag_or("tie_word_embeddings", true)?,
            bias: false,
            scale: 1.0,
            cap: None,
        },
        most_positions: None,
        notes: Vec::new(),
    };
    match alibi {
        // Files have these, but they are not used.
        true => {
            for name in ["rope_parameters", "rope_theta", "rope_scaling"] {
                settings.says(name);
            }
            Ok(decoder)
        }
        false => decoder.turned(settings, Names::default()),
    }
}

/// Row order from stored (per group: queries, key, value) to all queries, then all keys, then all values.
fn by_group(queries: usize, groups: usize, width: usize) -> Vec<usize> {
    let each = queries / groups;
    let of_group = |group: usize, heads: std::ops::Range<usize>| {
        let first = group * (each + 2);
        (first + heads.start) * width..(first + heads.end) * width
    };
    let parts = [0..each, each..each + 1, each + 1..each + 2];
    let rows = parts
        .into_iter()
        .flat_map(|heads| (0..groups).flat_map(move |group| of_group(group, heads.clone())));
    rows.collect()
}
