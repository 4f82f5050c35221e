//! BLOOM (BigScience 2022): ALiBi instead of position embeddings, a norm after the embedding.

use super::{
    common::{head_width, layer, plain},
    gpt_bigcode::head_by_head,
};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Attention, Embedding, Head, Linear, Norm, Projections, Slopes},
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // Used where documents are cut into windows.
    settings.size_if("seq_length")?;
    let hidden = match settings.size_if("n_embed")? {
        Some(hidden) => hidden,
        None => settings.size("hidden_size")?,
    };
    let (layers, layers_other) = (
        settings.size_if("n_layer")?,
        settings.size_if("num_hidden_layers")?,
    );
    let (heads, heads_other) = (
        settings.size_if("n_head")?,
        settings.size_if("num_attention_heads")?,
    );
    let layers = one_of(
        settings,
        ["n_layer", "num_hidden_layers"],
        [layers, layers_other],
    )?;
    let heads = one_of(
        settings,
        ["n_head", "num_attention_heads"],
        [heads, heads_other],
    )?;
    if settings
        .size_if("n_inner")?
        .is_some_and(|inner| inner != 4 * hidden)
    {
        return Err(settings.refuse(
            "n_inner",
            format!("{}, four times the hidden size", 4 * hidden),
        ));
    }
    let width = head_width(settings, "n_head", hidden, heads)?;
    let epsilon = settings.epsilon_or("layer_norm_epsilon", 1e-5)?;
    let all = Linear::new("query_key_value", hidden, 3 * hidden).with_bias(true);
    let rows = Projections::Together(all.take(head_by_head(heads, width), ""));
    let output = Linear::new("dense", hidden, hidden).with_bias(true);
    let mut attention = Attention::new("self_attention", [heads, heads, width], rows, output);
    // BLOOM adds the bias after scaling the scores, so it is divided by the scale here.
    let scale = attention.scale;
    let slopes = slopes(heads).into_iter().map(|slope| slope / scale);
    attention.slopes = Some(Slopes {
        slopes: slopes.collect(),
        rounded: false,
    });
    let mlp = plain(
        ["dense_h_to_4h", "dense_4h_to_h"],
        [hidden, 4 * hidden],
        Activation::GeluTanh,
        true,
    );
    let norms = ["input_layernorm", "post_attention_layernorm"];
    let norms = norms.map(|name| Norm::layer(name, epsilon));
    let mut layer = layer(norms, attention, mlp);
    layer.residual_of_norm = settings.flag_or("apply_residual_connection_post_layernorm", false)?;
    Ok(Decoder {
        family: "",
        scope: "transformer",
        hidden,
        vocabulary: settings.size("vocab_size")?,
        embedding: Embedding {
            name: "word_embeddings",
            scale: 1.0,
            positions: None,
            norm: Some(Norm::layer("word_embeddings_layernorm", epsilon)),
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
    })
}

/// A setting with two names, which must agree if both exist.
fn one_of(
    settings: &Settings,
    names: [&str; 2],
    said: [Option<usize>; 2],
) -> Result<usize, CheckpointError> {
    match said {
        [Some(one), Some(other)] if one != other => {
            Err(settings.refuse(names[1], format!("{one}, as {}", names[0])))
        }
        [Some(one), _] | [None, Some(one)] => Ok(one),
        [None, None] => settings.size(names[0]),
    }
}

/// ALiBi slopes (Press et al. 2022): powers of a base, and for heads beyond a power of two every other power of the
/// next base.
pub(super) fn slopes(heads: usize) -> Vec<f64> {
    let whole = 1usize << heads.ilog2();
    let base = |of: usize| 2f64.powf(-(2f64.powf(-((of as f64).log2() - 3.0))));
    let first = (1..=whole).map(|i| base(whole).powi(i as i32));
    let rest = (0..heads - whole).map(|i| base(2 * whole).powi(2 * i as i32 + 1));
    first.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `build_alibi_tensor(torch.ones(1, 2), 6, torch.float64)[:, 0, 1]` of Transformers 5.16.1.
    #[test]
    fn slopes_are_those_of_transformers() {
        let expected = [0.25, 0.0625, 0.015_625, 0.003_906_25, 0.5, 0.125];
        assert_eq!(slopes(6), expected);
        assert_eq!(slopes(8)[0], 0.5);
    }
}
