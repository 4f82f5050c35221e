//! OPT (Zhang et al. 2022): learned position embeddings whose table begins with two unused rows.

use super::common::{Sizes, apart, layer};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Attention, Embedding, FeedForward, Head, Linear, Norm, Positions},
};

/// Rows of the position table before the first position.
const OFFSET: usize = 2;
/// PyTorch's default: the configuration has no such setting.
const EPSILON: f64 = 1e-5;

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    settings.must("do_layer_norm_before")?;
    settings.must("layer_norm_elementwise_affine")?;
    settings.must_not("_remove_final_layer_norm")?;
    let Sizes {
        hidden,
        vocabulary,
        layers,
        heads,
    } = Sizes::read(settings)?;
    let embedded = settings.size_if("word_embed_proj_dim")?;
    if embedded.is_some_and(|width| width != hidden) {
        return Err(settings.refuse("word_embed_proj_dim", format!("{hidden}, as hidden_size")));
    }
    let bias = settings.flag_or("enable_bias", true)?;
    let inner = settings.size("ffn_dim")?;
    let linear = |name, inputs, outputs| Linear::new(name, inputs, outputs).with_bias(bias);
    let output = Linear::new("out_proj", hidden, hidden);
    let attention = Attention::new("self_attn", heads, apart(hidden, heads), output);
    let mlp = FeedForward::Plain {
        scope: "",
        first: linear("fc1", hidden, inner),
        second: linear("fc2", inner, hidden),
        activation: Activation::read(settings, "activation_function", "relu")?,
    };
    let norms = ["self_attn_layer_norm", "final_layer_norm"];
    let norms = norms.map(|name| Norm::layer(name, EPSILON));
    let decoder = Decoder {
        family: "",
        scope: "model.decoder",
        hidden,
        vocabulary,
        embedding: Embedding {
            name: "embed_tokens",
            scale: 1.0,
            positions: Some(Positions {
                name: "embed_positions",
                rows: settings.size("max_position_embeddings")? + OFFSET,
                first: OFFSET,
            }),
            norm: None,
        },
        layers_name: "layers",
        layers: vec![layer(norms, attention, mlp); layers],
        norm: Norm::layer("final_layer_norm", EPSILON),
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
    Ok(decoder.attention_bias(bias, bias))
}
