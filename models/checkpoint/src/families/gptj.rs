//! GPT-J (Wang and Komatsuzaki 2021): parallel attention and feed-forward blocks after one norm, a partial rotation of
//! neighbours, a bias on the head.

use super::{
    common::{layer, plain},
    gpt2::Sizes,
};
use crate::{
    CheckpointError, Decoder, Rotation, Settings,
    decoder::{Activation, Attention, Linear, Norm, Projections},
};

/// The base of the rotation, which no setting changes.
const THETA: f64 = 10_000.0;

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    settings.must("scale_attn_weights")?;
    settings.must("rotary")?;
    settings.must_not("scale_attn_by_inverse_layer_idx")?;
    let sizes = Sizes::read(settings)?;
    let hidden = sizes.hidden;
    let [_, _, width] = sizes.heads;
    let turned = settings.size_or("rotary_dim", 64)?;
    if turned > width || !turned.is_multiple_of(2) {
        let expected = format!("an even number of the {width} dimensions of a head");
        return Err(settings.refuse("rotary_dim", expected));
    }
    let rows = Projections::Apart {
        queries: Linear::new("q_proj", hidden, hidden),
        keys: Linear::new("k_proj", hidden, hidden),
        values: Linear::new("v_proj", hidden, hidden),
    };
    let output = Linear::new("out_proj", hidden, hidden);
    let mut attention = Attention::new("attn", sizes.heads, rows, output);
    attention.rotation = Some(Rotation {
        width: turned,
        frequencies: crate::rope::plain(THETA, turned),
        factor: 1.0,
        theta: THETA,
    });
    attention.neighbours_to_halves();
    let activation = Activation::read(settings, "activation_function", "gelu_new")?;
    let mlp = plain(["fc_in", "fc_out"], [hidden, sizes.inner], activation, true);
    let norms = ["ln_1", "ln_2"].map(|name| Norm::layer(name, sizes.epsilon));
    let mut layer = layer(norms, attention, mlp);
    layer.side_by_side = true;
    layer.mlp_norm = None;
    let mut decoder = sizes.decoder(settings, vec![layer; sizes.layers])?;
    decoder.embedding.positions = None;
    decoder.head.tied = settings.flag_or("tie_word_embeddings", false)?;
    decoder.head.bias = true;
    Ok(decoder)
}
