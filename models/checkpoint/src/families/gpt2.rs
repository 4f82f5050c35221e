//! GPT-2 (Radford et al. 2019): learned position embeddings; weights stored as `[inputs, outputs]`; queries, keys and
//! values in one matrix.

use super::common::{head_width, layer};
use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{
        Activation, Attention, Embedding, FeedForward, Head, Linear, Norm, Positions, Projections,
    },
};

/// A linear layer stored as `[inputs, outputs]`: GPT-2's `Conv1D`.
fn convolution(name: &str, inputs: usize, outputs: usize) -> Linear {
    Linear {
        inputs_first: true,
        ..Linear::new(name, inputs, outputs).with_bias(true)
    }
}

pub(super) fn describe(settings: &Settings) -> Result<Decoder, CheckpointError> {
    // This only changes the dtype of the computation.
    settings.says("reorder_and_upcast_attn");
    settings.says("n_ctx");
    let sizes = Sizes::read(settings)?;
    let hidden = sizes.hidden;
    let by_layer = settings.flag_or("scale_attn_by_inverse_layer_idx", false)?;
    let scaled = settings.flag_or("scale_attn_weights", true)?;
    let mlp = FeedForward::Plain {
        scope: "mlp",
        first: convolution("c_fc", hidden, sizes.inner),
        second: convolution("c_proj", sizes.inner, hidden),
        activation: Activation::read(settings, "activation_function", "gelu_new")?,
    };
    let layers = (0..sizes.layers).map(|i| {
        let rows = Projections::Together(convolution("c_attn", hidden, 3 * hidden));
        let output = convolution("c_proj", hidden, hidden);
        let mut attention = Attention::new("attn", sizes.heads, rows, output);
        if !scaled {
            attention.scale = 1.0;
        }
        if by_layer {
            attention.scale /= (i + 1) as f64;
        }
        let norms = ["ln_1", "ln_2"].map(|name| Norm::layer(name, sizes.epsilon));
        layer(norms, attention, mlp.clone())
    });
    sizes.decoder(settings, layers.collect())
}

/// Sizes, with GPT-2's setting names.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) layers: usize,
    pub(super) positions: usize,
    pub(super) vocabulary: usize,
    pub(super) heads: [usize; 3],
    pub(super) epsilon: f64,
}

impl Sizes {
    pub(super) fn read(settings: &Settings) -> Result<Self, CheckpointError> {
        let hidden = settings.size("n_embd")?;
        let heads = settings.size("n_head")?;
        let width = head_width(settings, "n_head", hidden, heads)?;
        Ok(Self {
            hidden,
            inner: settings.size_if("n_inner")?.unwrap_or(4 * hidden),
            layers: settings.size("n_layer")?,
            positions: settings.size("n_positions")?,
            vocabulary: settings.size("vocab_size")?,
            heads: [heads, heads, width],
            epsilon: settings.epsilon_or("layer_norm_epsilon", 1e-5)?,
        })
    }

    /// The whole model around `layers`, with learned position embeddings.
    pub(super) fn decoder(
        &self,
        settings: &Settings,
        layers: Vec<crate::decoder::Layer>,
    ) -> Result<Decoder, CheckpointError> {
        Ok(Decoder {
            family: "",
            scope: "transformer",
            hidden: self.hidden,
            vocabulary: self.vocabulary,
            embedding: Embedding {
                name: "wte",
                scale: 1.0,
                positions: Some(Positions {
                    name: "wpe",
                    rows: self.positions,
                    first: 0,
                }),
                norm: None,
            },
            layers_name: "h",
            layers,
            norm: Norm::layer("ln_f", self.epsilon),
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
}
