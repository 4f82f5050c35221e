//! GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023): a partial rotation; parallel or sequential attention
//! and feed-forward blocks; queries, keys and values interleaved by head in one matrix.

use super::{
    common::{Sizes, layer, plain},
    gpt_bigcode::head_by_head,
};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{Activation, Attention, Embedding, Head, Linear, Norm, Projections},
    rope::Names,
};

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    let Sizes {
        hidden,
        vocabulary,
        layers,
        heads: [queries, keys, width],
    } = Sizes::read(settings)?;
    if queries != keys || queries * width != hidden {
        return Err(settings.refuse(
            "num_key_value_heads",
            "nothing: every head has its own keys and values",
        ));
    }
    let epsilon = settings.epsilon_or("layer_norm_eps", 1e-5)?;
    let bias = settings.flag_or("attention_bias", true)?;
    let all = Linear::new("query_key_value", hidden, 3 * hidden)
        .with_bias(bias)
        .take(head_by_head(queries, width), "");
    let output = Linear::new("dense", hidden, hidden).with_bias(bias);
    let heads = [queries, keys, width];
    let attention = Attention::new("attention", heads, Projections::Together(all), output);
    let activation = Activation::read(settings, "hidden_act", "gelu")?;
    let inner = settings.size("intermediate_size")?;
    let mlp = plain(
        ["dense_h_to_4h", "dense_4h_to_h"],
        [hidden, inner],
        activation,
        true,
    );
    let norms = ["input_layernorm", "post_attention_layernorm"];
    let norms = norms.map(|name| Norm::layer(name, epsilon));
    let mut layer = layer(norms, attention, mlp);
    layer.side_by_side = settings.flag_or("use_parallel_residual", true)?;
    let decoder = Decoder {
        family: "",
        scope: "gpt_neox",
        hidden,
        vocabulary,
        embedding: Embedding {
            name: "embed_in",
            scale: 1.0,
            positions: None,
            norm: None,
        },
        layers_name: "layers",
        layers: vec![layer; layers],
        norm: Norm::layer("final_layer_norm", epsilon),
        head: Head {
            name: "embed_out",
            tied: settings.flag_or("tie_word_embeddings", false)?,
            bias: false,
            scale: 1.0,
            cap: None,
        },
        most_positions: None,
        notes: Vec::new(),
    };
    let names = Names {
        theta: 10_000.0,
        theta_name: "rotary_emb_base",
        share: Some(0.25),
        share_name: "rotary_pct",
    };
    // Transformers 4 writes these settings under both names, and reads the first.
    for (name, other, default) in [
        ("rope_theta", names.theta_name, names.theta),
        ("partial_rotary_factor", names.share_name, 0.25),
    ] {
        let expected = settings.number_or(other, default)?;
        if settings.number_if(name)?.is_some_and(|got| got != expected) {
            return Err(settings.refuse(name, format!("{expected}, as in {other}")));
        }
    }
    decoder.turned(settings, names)
}
