//! The description of a decoder-only language model: norms, attention, rotation, feed-forward blocks and multipliers,
//! with tensor names. [`crate::families`] creates descriptions; graphs and trainable models are built from them.
//!
//! ```text
//! ids ─ embedding ─ layers ─ norm ─ head ─► logits
//!
//! sequential layer:  x + after(attention(norm(x))), then x + after(mlp(norm(x)))
//! parallel layer:    x + attention(norm(x)) + mlp(norm(x)), with two norms or one shared norm
//! ```
//!
//! Tensor names are relative to their module: `q_proj` in `self_attn` in `layers.0` in `model`.

use crate::Rotation;

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// The `model_type`.
    pub family: &'static str,
    /// The prefix of all tensor names except the head's.
    pub scope: &'static str,
    /// Size of the hidden states (`hidden_size`).
    pub hidden: usize,
    /// Rows of the embedding and the head (`vocab_size`).
    pub vocabulary: usize,
    /// From ids to hidden states.
    pub embedding: Embedding,
    /// Name of the list of layers, before the layer's number.
    pub layers_name: &'static str,
    /// The layers.
    pub layers: Vec<Layer>,
    /// The norm before the head.
    pub norm: Norm,
    /// From hidden states to logits.
    pub head: Head,
    /// Longest input, if shorter than in the configuration: see [`crate::rope::Stretched`].
    pub most_positions: Option<usize>,
    /// Human-readable notes: where the description differs from the configuration.
    pub notes: Vec<String>,
}

/// From token ids to hidden states.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `name.weight`: `[vocabulary, hidden]`.
    pub name: &'static str,
    /// Factor on its rows.
    pub scale: f64,
    /// Learned position embeddings, added to it.
    pub positions: Option<Positions>,
    /// The norm after it.
    pub norm: Option<Norm>,
}

/// A table of learned position embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions {
    /// `name.weight`: `[rows, hidden]`.
    pub name: &'static str,
    /// Number of rows.
    pub rows: usize,
    /// The row of the first position.
    pub first: usize,
}

/// From hidden states to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `name.weight`: `[vocabulary, hidden]`; [`Decoder::scope`] does not apply.
    pub name: &'static str,
    /// Whether it shares the embedding's weights.
    pub tied: bool,
    /// Whether it has a bias.
    pub bias: bool,
    /// Factor on the logits.
    pub scale: f64,
    /// Soft cap on the logits: `cap * tanh(logit / cap)`.
    pub cap: Option<f64>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Attention or another token mixer.
    pub mixer: Mixer,
    /// The norm on the mixer's input.
    pub mixer_norm: Option<Norm>,
    /// The norm on the mixer's output, before the residual addition.
    pub mixer_after: Option<Norm>,
    /// The feed-forward block.
    pub mlp: FeedForward,
    /// The norm on the block's input. A parallel block without one shares the mixer's input.
    pub mlp_norm: Option<Norm>,
    /// The norm on the block's output, before the residual addition.
    pub mlp_after: Option<Norm>,
    /// Whether mixer and block are parallel: both read the layer's input.
    pub side_by_side: bool,
    /// Factor on both outputs before the residual addition.
    pub residual: f64,
    /// Whether the residual is taken after the norm, not before it.
    pub residual_of_norm: bool,
}

/// The part of a layer that mixes tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixer {
    /// Softmax attention.
    Attention(Box<Attention>),
    /// A gated delta rule over a recurrent state.
    Delta(Box<Delta>),
}

/// A normalisation over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// `name.weight` and `name.bias`.
    pub name: String,
    /// RMSNorm or LayerNorm.
    pub kind: NormKind,
    /// Added to the mean square or the variance.
    pub epsilon: f64,
    /// Whether it has weights.
    pub weight: bool,
    /// Added to the weights: 1 for Gemma.
    pub offset: f64,
    /// Whether it has a bias.
    pub bias: bool,
}

/// See [`Norm::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019).
    Rms,
    /// `(x - mean) / sqrt(variance + eps)`.
    Layer,
}

impl Norm {
    /// An RMSNorm with weights.
    pub fn rms(name: impl Into<String>, epsilon: f64) -> Self {
        Self {
            name: name.into(),
            kind: NormKind::Rms,
            epsilon,
            weight: true,
            offset: 0.0,
            bias: false,
        }
    }

    /// A LayerNorm with weights and bias.
    pub fn layer(name: impl Into<String>, epsilon: f64) -> Self {
        Self {
            kind: NormKind::Layer,
            bias: true,
            ..Self::rms(name, epsilon)
        }
    }

    /// With `offset` added to the weights.
    pub fn offset(self, offset: f64) -> Self {
        Self { offset, ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> Self {
        Self {
            bias: false,
            ..self
        }
    }

    /// With neither weights nor bias.
    pub fn bare(self) -> Self {
        Self {
            weight: false,
            bias: false,
            ..self
        }
    }
}

/// A linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Name of the weight tensor.
    pub weights: String,
    /// Name of the bias tensor.
    pub bias: Option<String>,
    /// Number of input features.
    pub inputs: usize,
    /// Number of stored output features, of which `rows` may select some.
    pub outputs: usize,
    /// Whether the weights are stored as `[inputs, outputs]`, as in GPT-2, instead of `[outputs, inputs]`.
    pub inputs_first: bool,
    /// The stored outputs to use, in this order; all if empty.
    pub rows: Vec<usize>,
    /// Suffix that distinguishes parts of one tensor.
    pub part: String,
    /// Index and number of experts, if one tensor holds all experts along its first axis.
    pub expert: Option<(usize, usize)>,
}

impl Linear {
    /// `name.weight`, without a bias.
    pub fn new(name: &str, inputs: usize, outputs: usize) -> Self {
        Self {
            weights: format!("{name}.weight"),
            bias: None,
            inputs,
            outputs,
            inputs_first: false,
            rows: Vec::new(),
            part: String::new(),
            expert: None,
        }
    }

    /// With `name.bias` if `bias`.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.bias = bias.then(|| match self.weights.strip_suffix(".weight") {
            Some(name) => format!("{name}.bias"),
            None => format!("{}_bias", self.weights),
        });
        self
    }

    /// Only the outputs `rows`, in this order; `part` is the suffix for them.
    pub fn take(mut self, rows: Vec<usize>, part: &str) -> Self {
        self.rows = rows;
        part.clone_into(&mut self.part);
        self
    }

    /// Number of outputs of the layer.
    pub fn width(&self) -> usize {
        match self.rows.len() {
            0 => self.outputs,
            rows => rows,
        }
    }

    /// The stored row behind output `i`.
    fn row(&self, i: usize) -> usize {
        self.rows.get(i).copied().unwrap_or(i)
    }

    /// Reorders the outputs: new output `i` is the old output `order[i]`.
    fn reorder(&mut self, order: impl Iterator<Item = usize>) {
        self.rows = order.map(|i| self.row(i)).collect();
    }
}

/// Causal softmax attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Name of the module.
    pub scope: &'static str,
    /// Number of query heads.
    pub queries: usize,
    /// Number of key and value heads (`kv_heads`); divides `queries`.
    pub keys: usize,
    /// `head_dim`.
    pub width: usize,
    /// Projections to queries, keys and values.
    pub rows: Projections,
    /// Projection from the heads back to hidden states.
    pub output: Linear,
    /// Norms on queries and keys.
    pub norms: Option<HeadNorms>,
    /// Rotary position embedding on queries and keys.
    pub rotation: Option<Rotation>,
    /// Queries, keys and values are clamped to `-clip..=clip`.
    pub clip: Option<f64>,
    /// Factor on queries that grows with the position.
    pub position_scale: Option<PositionScale>,
    /// Factor on the scores, query times key.
    pub scale: f64,
    /// Soft cap on the scores: `cap * tanh(score / cap)`.
    pub cap: Option<f64>,
    /// Sliding window: a token sees this many tokens, including itself.
    pub window: Option<usize>,
    /// ALiBi slopes, added to the scores before `scale`.
    pub slopes: Option<Slopes>,
    /// Name of a tensor `[queries]` of attention sinks: scores that enter the softmax but have no value.
    pub sinks: Option<String>,
    /// Gate on the heads before the output projection: `heads * sigmoid(gate)`.
    pub gate: Option<Linear>,
}

/// The projections to queries, keys and values.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per layer, and most are the large variant"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Projections {
    /// One linear layer each.
    Apart {
        /// `[hidden]` to `[queries * width]`.
        queries: Linear,
        /// `[hidden]` to `[keys * width]`.
        keys: Linear,
        /// `[hidden]` to `[keys * width]`.
        values: Linear,
    },
    /// One linear layer; its outputs are all queries, then all keys, then all values.
    Together(Linear),
}

/// Norms on queries and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNorms {
    /// The norm on queries.
    pub queries: Norm,
    /// The norm on keys.
    pub keys: Norm,
    /// The axes they normalise over, and the layout of their weights.
    pub over: NormOver,
    /// Whether they follow the rotation.
    pub after_rotation: bool,
    /// The order of a head's dimensions, if it differs from the stored one because of the rotation.
    pub order: Vec<usize>,
}

/// See [`HeadNorms::over`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOver {
    /// Over each head; all heads share weights `[width]`.
    Head,
    /// Over each head, with weights `[heads, width]`.
    HeadWithOwnWeights,
    /// Over each head, with one tensor `[width]` per head: `name.0.weight`, `name.1.weight` ...
    HeadWithOwnTensor,
    /// Over all heads together, with weights `[heads * width]`.
    AllHeads,
}

/// Factor `1 + beta * ln(1 + floor(position / original))` on queries (Llama 4, Ministral 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionScale {
    /// Strength.
    pub beta: f64,
    /// Context length before it was extended.
    pub original: usize,
}

/// Attention with linear biases (Press et al. 2022): one slope per head, times the key's position.
#[derive(Debug, Clone, PartialEq)]
pub struct Slopes {
    /// One per query head.
    pub slopes: Vec<f64>,
    /// Whether slope, position and their product are rounded to bfloat16, as in Falcon.
    pub rounded: bool,
}

/// The gated delta rule (Yang et al. 2024), as in Qwen 3.5.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// Name of the module.
    pub scope: &'static str,
    /// Number of query and key heads.
    pub keys: usize,
    /// Number of value heads; a multiple of `keys`.
    pub values: usize,
    /// Head dimension of queries and keys.
    pub key_width: usize,
    /// Head dimension of values.
    pub value_width: usize,
    /// Kernel size of the convolution, in tokens.
    pub kernel: usize,
    /// Epsilon of the norm after the rule, before the gate.
    pub epsilon: f64,
}

/// The feed-forward block of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForward {
    /// `down(f(gate x) * up x)`.
    Gated {
        /// Name of the module.
        scope: &'static str,
        /// `[hidden]` to `[inner]`.
        gate: Linear,
        /// `[hidden]` to `[inner]`.
        up: Linear,
        /// `[inner]` to `[hidden]`.
        down: Linear,
        /// The function `f`.
        activation: Activation,
    },
    /// `second(f(first x))`.
    Plain {
        /// Name of the module; empty if the linear layers belong to the layer itself.
        scope: &'static str,
        /// `[hidden]` to `[inner]`.
        first: Linear,
        /// `[inner]` to `[hidden]`.
        second: Linear,
        /// The function `f`.
        activation: Activation,
    },
    /// A mixture of experts.
    Mixture(Box<Mixture>),
}

/// A mixture of experts: a router chooses some of them for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Name of the module.
    pub scope: &'static str,
    /// `[hidden]` to `[experts]`.
    pub router: Linear,
    /// From the router's logits to the experts' weights.
    pub routing: Routing,
    /// Experts per token.
    pub top: usize,
    /// The experts.
    pub experts: Vec<Expert>,
    /// The gated activation of the experts.
    pub glu: Glu,
}

/// An expert's linear layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Expert {
    /// `[hidden]` to `[inner]`.
    pub gate: Linear,
    /// `[hidden]` to `[inner]`.
    pub up: Linear,
    /// `[inner]` to `[hidden]`.
    pub down: Linear,
}

/// From the router's logits to the weights of the chosen experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Softmax over all experts, then top-k.
    SoftmaxFirst {
        /// Whether the weights of the chosen experts are divided by their sum.
        normalised: bool,
    },
    /// Top-k, then softmax over the chosen experts.
    TopFirst,
}

/// The gated activation of an expert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Glu {
    /// `f(gate) * up`.
    Gated(Activation),
    /// GPT-OSS: `(up + 1) * gate * sigmoid(alpha * gate)`, with `gate` clamped to at most `limit` and `up` to
    /// `-limit..=limit`.
    Clamped {
        /// Factor in the sigmoid.
        alpha: f64,
        /// Bound of the clamp.
        limit: f64,
    },
}

/// Activation functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / 2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2`.
    ReluSquared,
    /// xIELU (Huang and Schlag 2024), with learned `act_fn.alpha_p` and `act_fn.alpha_n` and stored `act_fn.beta` and
    /// `act_fn.eps`.
    Xielu,
}

impl Attention {
    /// `queries` query heads and `keys` key and value heads of size `width`, with scores scaled by `1 / sqrt(width)`.
    pub(crate) fn new(
        scope: &'static str,
        [queries, keys, width]: [usize; 3],
        rows: Projections,
        output: Linear,
    ) -> Self {
        Self {
            scope,
            queries,
            keys,
            width,
            rows,
            output,
            norms: None,
            rotation: None,
            clip: None,
            position_scale: None,
            scale: 1.0 / (width as f64).sqrt(),
            cap: None,
            window: None,
            slopes: None,
            sinks: None,
            gate: None,
        }
    }

    /// Adds norms on queries and keys before the rotation.
    pub(crate) fn normalised(&mut self, queries: Norm, keys: Norm, over: NormOver) {
        self.norms = Some(HeadNorms {
            queries,
            keys,
            over,
            after_rotation: false,
            order: Vec::new(),
        });
    }

    /// For families whose rotation pairs neighbours `(2 i, 2 i + 1)` instead of halves `(i, i + width / 2)`: reorders
    /// queries and keys so that rotating halves gives the same scores.
    pub(crate) fn neighbours_to_halves(&mut self) {
        let turned = self.rotation.as_ref().map_or(0, |rotation| rotation.width);
        let evens = (0..turned).step_by(2);
        let order: Vec<usize> = evens
            .chain((1..turned).step_by(2))
            .chain(turned..self.width)
            .collect();
        let by_head = |heads: usize, first: usize| {
            let (order, width) = (order.clone(), self.width);
            (0..heads).flat_map(move |head| {
                let first = first + head * width;
                order.clone().into_iter().map(move |i| first + i)
            })
        };
        let (of_queries, of_keys) = (self.queries, self.keys);
        match &mut self.rows {
            Projections::Apart { queries, keys, .. } => {
                queries.reorder(by_head(of_queries, 0));
                keys.reorder(by_head(of_keys, 0));
            }
            Projections::Together(all) => {
                let keys_at = of_queries * self.width;
                let values_at = keys_at + of_keys * self.width;
                let values = values_at..values_at + of_keys * self.width;
                let order = by_head(of_queries, 0)
                    .chain(by_head(of_keys, keys_at))
                    .chain(values);
                all.reorder(order);
            }
        }
        if let Some(norms) = &mut self.norms {
            norms.order = order;
        }
    }
}

impl Decoder {
    /// The attention of each layer that has one, in order.
    pub fn attentions(&self) -> impl Iterator<Item = &Attention> {
        self.layers.iter().filter_map(|layer| match &layer.mixer {
            Mixer::Attention(attention) => Some(attention.as_ref()),
            Mixer::Delta(_) => None,
        })
    }

    /// As [`Decoder::attentions`], mutable.
    pub(crate) fn attentions_mut(&mut self) -> impl Iterator<Item = &mut Attention> {
        let layers = self.layers.iter_mut();
        layers.filter_map(|layer| match &mut layer.mixer {
            Mixer::Attention(attention) => Some(attention.as_mut()),
            Mixer::Delta(_) => None,
        })
    }
}
