//! What most families share: Llama's layout with Llama's names, and ways to change it where a family differs.

use crate::{
    CheckpointError, Decoder, Settings,
    decoder::{
        Activation, Attention, Embedding, FeedForward, Head, Layer, Linear, Mixer, Norm,
        Projections,
    },
    rope::{Names, Rotation, Stretched},
};

/// Defaults and setting names that differ among families with Llama's layout.
pub(super) struct Defaults {
    pub(super) epsilon_name: &'static str,
    pub(super) epsilon: f64,
    pub(super) activation_name: &'static str,
    pub(super) activation: &'static str,
    pub(super) tied: bool,
}

/// Llama's defaults.
pub(super) const LLAMA: Defaults = Defaults {
    epsilon_name: "rms_norm_eps",
    epsilon: 1e-6,
    activation_name: "hidden_act",
    activation: "silu",
    tied: false,
};

/// The sizes that all families have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) vocabulary: usize,
    pub(super) layers: usize,
    /// Number of query heads, `kv_heads`, `head_dim`.
    pub(super) heads: [usize; 3],
}

impl Sizes {
    pub(super) fn read(settings: &Settings) -> Result<Self, CheckpointError> {
        // Used where documents are cut into windows.
        settings.size_if("max_position_embeddings")?;
        let hidden = settings.size("hidden_size")?;
        Ok(Self {
            hidden,
            vocabulary: settings.size("vocab_size")?,
            layers: settings.size("num_hidden_layers")?,
            heads: heads(settings, hidden)?,
        })
    }
}

/// Number of query heads, `kv_heads` (by default as many) and `head_dim`.
fn heads(settings: &Settings, hidden: usize) -> Result<[usize; 3], CheckpointError> {
    let queries = settings.size("num_attention_heads")?;
    let keys = settings.size_if("num_key_value_heads")?.unwrap_or(queries);
    let width = match settings.size_if("head_dim")? {
        Some(width) => width,
        None => head_width(settings, "num_attention_heads", hidden, queries)?,
    };
    settings.within_bounds("head_dim", queries.saturating_mul(width))?;
    if !queries.is_multiple_of(keys) {
        let expected = format!("a divisor of num_attention_heads, {queries}");
        return Err(settings.refuse("num_key_value_heads", expected));
    }
    Ok([queries, keys, width])
}

/// `head_dim`: the hidden size divided by the number of heads.
pub(super) fn head_width(
    settings: &Settings,
    name: &str,
    hidden: usize,
    heads: usize,
) -> Result<usize, CheckpointError> {
    match hidden.is_multiple_of(heads) {
        true => Ok(hidden / heads),
        false => Err(settings.refuse(name, format!("a divisor of the hidden size, {hidden}"))),
    }
}

/// Separate projections to queries, keys and values, with Llama's names.
pub(super) fn apart(hidden: usize, [queries, keys, width]: [usize; 3]) -> Projections {
    Projections::Apart {
        queries: Linear::new("q_proj", hidden, queries * width),
        keys: Linear::new("k_proj", hidden, keys * width),
        values: Linear::new("v_proj", hidden, keys * width),
    }
}

/// A gated feed-forward block with Llama's names.
pub(super) fn gated(hidden: usize, inner: usize, activation: Activation) -> FeedForward {
    FeedForward::Gated {
        scope: "mlp",
        gate: Linear::new("gate_proj", hidden, inner),
        up: Linear::new("up_proj", hidden, inner),
        down: Linear::new("down_proj", inner, hidden),
        activation,
    }
}

/// A gated feed-forward block whose gate and up projections are the halves of one tensor.
pub(super) fn gated_in_one(
    name: &str,
    hidden: usize,
    inner: usize,
    activation: Activation,
) -> FeedForward {
    // Two matmuls instead of one and a copy of its halves.
    let half = |part, from: usize| {
        Linear::new(name, hidden, 2 * inner).take((from..from + inner).collect(), part)
    };
    FeedForward::Gated {
        scope: "mlp",
        gate: half(".gate", 0),
        up: half(".up", inner),
        down: Linear::new("down_proj", inner, hidden),
        activation,
    }
}

/// A plain feed-forward block.
pub(super) fn plain(
    [first, second]: [&str; 2],
    [hidden, inner]: [usize; 2],
    activation: Activation,
    bias: bool,
) -> FeedForward {
    FeedForward::Plain {
        scope: "mlp",
        first: Linear::new(first, hidden, inner).with_bias(bias),
        second: Linear::new(second, inner, hidden).with_bias(bias),
        activation,
    }
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
pub(super) fn layer(norms: [Norm; 2], attention: Attention, mlp: FeedForward) -> Layer {
    let [mixer_norm, mlp_norm] = norms;
    Layer {
        mixer: Mixer::Attention(Box::new(attention)),
        mixer_norm: Some(mixer_norm),
        mixer_after: None,
        mlp,
        mlp_norm: Some(mlp_norm),
        mlp_after: None,
        side_by_side: false,
        residual: 1.0,
        residual_of_norm: false,
    }
}

impl Decoder {
    /// Llama without its rotation.
    pub(super) fn like_llama(
        settings: &Settings,
        defaults: &Defaults,
    ) -> Result<Self, CheckpointError> {
        let sizes = Sizes::read(settings)?;
        let inner = settings.size("intermediate_size")?;
        let epsilon = settings.epsilon_or(defaults.epsilon_name, defaults.epsilon)?;
        let activation = Activation::read(settings, defaults.activation_name, defaults.activation)?;
        let hidden = sizes.hidden;
        let [queries, _, width] = sizes.heads;
        let output = Linear::new("o_proj", queries * width, hidden);
        let attention =
            Attention::new("self_attn", sizes.heads, apart(hidden, sizes.heads), output);
        let norms = ["input_layernorm", "post_attention_layernorm"];
        let norms = norms.map(|name| Norm::rms(name, epsilon));
        let layer = layer(norms, attention, gated(hidden, inner, activation));
        Ok(Self {
            family: "",
            scope: "model",
            hidden,
            vocabulary: sizes.vocabulary,
            embedding: Embedding {
                name: "embed_tokens",
                scale: 1.0,
                positions: None,
                norm: None,
            },
            layers_name: "layers",
            layers: vec![layer; sizes.layers],
            norm: Norm::rms("norm", epsilon),
            head: Head {
                name: "lm_head",
                tied: settings.flag_or("tie_word_embeddings", defaults.tied)?,
                bias: false,
                scale: 1.0,
                cap: None,
            },
            most_positions: None,
            notes: Vec::new(),
        })
    }

    /// Sets the same rotation in all layers.
    pub(super) fn turned(
        mut self,
        settings: &Settings,
        names: Names,
    ) -> Result<Self, CheckpointError> {
        let width = self
            .attentions()
            .next()
            .map_or(0, |attention| attention.width);
        let stretched = Rotation::read(settings, width, names)?;
        self.most_positions = stretched.most_positions;
        for attention in self.attentions_mut() {
            attention.rotation = Some(stretched.rotation.clone());
        }
        Ok(self)
    }

    /// Sets the rotation of the layers that `which` selects.
    pub(super) fn turn(&mut self, stretched: Stretched, which: impl Fn(usize) -> bool) {
        let most = [self.most_positions, stretched.most_positions];
        self.most_positions = most.into_iter().flatten().min();
        for (_, attention) in self.attentions_mut().enumerate().filter(|(i, _)| which(*i)) {
            attention.rotation = Some(stretched.rotation.clone());
        }
    }

    /// Sets the sliding window of each layer.
    pub(super) fn windowed(mut self, windows: Vec<Option<usize>>) -> Self {
        for (attention, window) in self.attentions_mut().zip(windows) {
            attention.window = window;
        }
        self
    }

    /// Sets attention's biases: `inputs` for queries, keys and values, `output` for the output projection.
    pub(super) fn attention_bias(mut self, inputs: bool, output: bool) -> Self {
        for attention in self.attentions_mut() {
            attention.rows = match attention.rows.clone() {
                Projections::Apart {
                    queries,
                    keys,
                    values,
                } => Projections::Apart {
                    queries: queries.with_bias(inputs),
                    keys: keys.with_bias(inputs),
                    values: values.with_bias(inputs),
                },
                Projections::Together(all) => Projections::Together(all.with_bias(inputs)),
            };
            attention.output = attention.output.clone().with_bias(output);
        }
        self
    }

    /// Sets the biases of the feed-forward blocks.
    pub(super) fn mlp_bias(mut self, bias: bool) -> Self {
        for layer in &mut self.layers {
            match &mut layer.mlp {
                FeedForward::Gated { gate, up, down, .. } => {
                    for linear in [gate, up, down] {
                        *linear = linear.clone().with_bias(bias);
                    }
                }
                FeedForward::Plain { first, second, .. } => {
                    for linear in [first, second] {
                        *linear = linear.clone().with_bias(bias);
                    }
                }
                FeedForward::Mixture(_) => {}
            }
        }
        self
    }

    /// Replaces the feed-forward blocks.
    pub(super) fn with_mlp(mut self, mlp: &FeedForward) -> Self {
        for layer in &mut self.layers {
            layer.mlp = mlp.clone();
        }
        self
    }

    /// Replaces every norm by `change(norm)`.
    pub(super) fn with_norms(mut self, change: impl Fn(Norm) -> Norm) -> Self {
        for layer in &mut self.layers {
            for norm in [
                &mut layer.mixer_norm,
                &mut layer.mixer_after,
                &mut layer.mlp_norm,
                &mut layer.mlp_after,
            ] {
                *norm = norm.take().map(&change);
            }
        }
        self.norm = change(self.norm);
        self
    }

    /// Makes attention and feed-forward block parallel, after one shared norm.
    pub(super) fn side_by_side(mut self) -> Self {
        for layer in &mut self.layers {
            layer.side_by_side = true;
            layer.mlp_norm = None;
        }
        self
    }

    /// Adds norms after attention and feed-forward block; those before them are renamed to `before`, or removed.
    pub(super) fn with_norms_after(mut self, names: [&str; 2], before: Option<[&str; 2]>) -> Self {
        for layer in &mut self.layers {
            let own = |norm: &Option<Norm>, name: &str| {
                norm.clone().map(|norm| Norm {
                    name: name.to_owned(),
                    ..norm
                })
            };
            layer.mixer_after = own(&layer.mixer_norm, names[0]);
            layer.mlp_after = own(&layer.mlp_norm, names[1]);
            layer.mixer_norm = before.and_then(|names| own(&layer.mixer_norm, names[0]));
            layer.mlp_norm = before.and_then(|names| own(&layer.mlp_norm, names[1]));
        }
        self
    }

    /// `intermediate_size` of the first layer's feed-forward block; 0 for a mixture of experts.
    pub(super) fn inner(&self) -> usize {
        match self.layers.first().map(|layer| &layer.mlp) {
            Some(FeedForward::Gated { gate, .. }) => gate.width(),
            Some(FeedForward::Plain { first, .. }) => first.width(),
            _ => 0,
        }
    }
}

/// Whether each layer has sliding attention: from `layer_types` (`full_attention` or `sliding_attention`), else from
/// `rule`.
pub(super) fn sliding(
    settings: &Settings,
    layers: usize,
    rule: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, CheckpointError> {
    let Some(kinds) = settings.texts_if("layer_types")? else {
        return Ok((0..layers).map(rule).collect());
    };
    let expected = format!("full_attention or sliding_attention, for each of {layers} layers");
    let refused = || settings.refuse("layer_types", expected.clone());
    if kinds.len() != layers {
        return Err(refused());
    }
    let is_sliding = |kind: &&str| match *kind {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        _ => Err(refused()),
    };
    kinds.iter().map(is_sliding).collect()
}

/// The sliding window of each layer, by its type: see [`sliding`].
pub(super) fn windows(
    settings: &Settings,
    layers: usize,
    window: Option<usize>,
    rule: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, CheckpointError> {
    let sliding = sliding(settings, layers, |i| window.is_some() && rule(i))?;
    if window.is_none() && sliding.contains(&true) {
        return Err(settings.refuse(
            "sliding_window",
            "a window, because layer_types has sliding layers",
        ));
    }
    let of = |sliding| window.filter(|_| sliding);
    Ok(sliding.into_iter().map(of).collect())
}

impl Activation {
    /// Reads a setting; Transformers' `default` if absent.
    pub(super) fn read(
        settings: &Settings,
        name: &str,
        default: &str,
    ) -> Result<Self, CheckpointError> {
        let said = match settings.says(name) {
            true => settings.text_if(name)?.unwrap_or("null"),
            false => default,
        };
        match said {
            "silu" | "swish" => Ok(Self::Silu),
            "gelu" | "gelu_python" => Ok(Self::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" => {
                Ok(Self::GeluTanh)
            }
            "relu" => Ok(Self::Relu),
            "relu2" => Ok(Self::ReluSquared),
            _ => Err(settings.refuse(
                name,
                "one of silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, relu2",
            )),
        }
    }
}
