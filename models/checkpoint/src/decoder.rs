//! A decoder-only language model described: its norms, attention, rotation, feed-forward layers and multipliers, with the
//! names of its tensors. Descriptions come from [`crate::families`]; graphs and trainers are built from them.
//!
//! ```text
//! ids ─ embedding ─ layers ─ norm ─ head ─► logits
//!
//! layer, one after the other:  x + after(attention(norm(x))), then x + after(mlp(norm(x)))
//! layer, side by side:         x + attention(norm(x)) + mlp(norm(x), its own or the same)
//! ```
//!
//! Names of tensors are relative to the part they are in: `q_proj` in `self_attn` in `layers.0` in `model`.

use crate::Rotation;

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// `model_type`.
    pub family: &'static str,
    /// What all tensors but the head's begin with.
    pub scope: &'static str,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Rows of embedding and head.
    pub vocabulary: usize,
    /// From ids to hidden states.
    pub embedding: Embedding,
    /// What layers are called, before their number.
    pub layers_name: &'static str,
    /// The layers.
    pub layers: Vec<Layer>,
    /// Before the head.
    pub norm: Norm,
    /// From hidden states to logits.
    pub head: Head,
    /// Longest input, where it is shorter than the configuration says: see [`crate::rotation::Stretched`].
    pub most_positions: Option<usize>,
    /// What is not as the configuration says, for people.
    pub notes: Vec<String>,
}

/// From token ids to hidden states.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `name.weight`: `[vocabulary, hidden]`.
    pub name: &'static str,
    /// A factor on its rows.
    pub scale: f64,
    /// Learned positions.
    pub positions: Option<Positions>,
    /// A norm behind it.
    pub norm: Option<Norm>,
}

/// A table of learned positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions {
    /// `name.weight`: `[rows, hidden]`.
    pub name: &'static str,
    /// Its rows.
    pub rows: usize,
    /// The row of the first position.
    pub first: usize,
}

/// From hidden states to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `name.weight`: `[vocabulary, hidden]`; not in the scope of the rest.
    pub name: &'static str,
    /// Whether its weights are the embedding's.
    pub tied: bool,
    /// Whether it has a bias.
    pub bias: bool,
    /// A factor on the logits.
    pub scale: f64,
    /// `cap * tanh(logit / cap)`.
    pub cap: Option<f64>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What mixes tokens.
    pub mixer: Mixer,
    /// Before it.
    pub mixer_norm: Option<Norm>,
    /// Behind it, before it is added.
    pub mixer_after: Option<Norm>,
    /// What follows.
    pub mlp: FeedForward,
    /// Before it. Side by side, without one of its own it takes what the mixer takes.
    pub mlp_norm: Option<Norm>,
    /// Behind it, before it is added.
    pub mlp_after: Option<Norm>,
    /// Whether both read the same hidden states.
    pub side_by_side: bool,
    /// A factor on both before they are added.
    pub residual: f64,
    /// What is added to is what the norms give, not what they take.
    pub residual_of_norm: bool,
}

/// What mixes tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixer {
    /// Softmax attention.
    Attention(Box<Attention>),
    /// A gated delta rule over a state.
    Delta(Box<Delta>),
}

/// How to normalise over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// `name.weight` and `name.bias`.
    pub name: String,
    /// By the root of the mean square, or to mean 0 and variance 1.
    pub kind: NormKind,
    /// Added to the mean square or the variance.
    pub epsilon: f64,
    /// Whether there are weights.
    pub weight: bool,
    /// Added to the weights: 1 for Gemma.
    pub offset: f64,
    /// Whether there is a bias.
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
    /// By the root of the mean square, with weights.
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

    /// To mean 0 and variance 1, with weights and bias.
    pub fn layer(name: impl Into<String>, epsilon: f64) -> Self {
        Self {
            kind: NormKind::Layer,
            bias: true,
            ..Self::rms(name, epsilon)
        }
    }

    /// With something added to the weights.
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
    /// The tensor of its weights.
    pub weights: String,
    /// The tensor of its bias.
    pub bias: Option<String>,
    /// Width of what comes in.
    pub inputs: usize,
    /// Width of what is stored, of which `rows` may take a part.
    pub outputs: usize,
    /// Stored as `[inputs, outputs]`, as GPT-2 does; else `[outputs, inputs]`.
    pub inputs_first: bool,
    /// The outputs to take, in this order; all where there is nothing.
    pub rows: Vec<usize>,
    /// What tells parts of one tensor apart.
    pub part: String,
    /// Which of how many, where the tensors of all experts are stored as one with another axis before.
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

    /// With `name.bias`, if so.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.bias = bias.then(|| match self.weights.strip_suffix(".weight") {
            Some(name) => format!("{name}.bias"),
            None => format!("{}_bias", self.weights),
        });
        self
    }

    /// A part of the outputs, in an order.
    pub fn take(mut self, rows: Vec<usize>, part: &str) -> Self {
        self.rows = rows;
        part.clone_into(&mut self.part);
        self
    }

    /// Outputs of the layer.
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

    /// Another order of the outputs: `order` says which of today's comes where.
    fn reorder(&mut self, order: impl Iterator<Item = usize>) {
        self.rows = order.map(|i| self.row(i)).collect();
    }
}

/// Causal softmax attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// The part of the model it is.
    pub scope: &'static str,
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys and values; divides the others.
    pub keys: usize,
    /// Numbers per head.
    pub width: usize,
    /// Queries, keys and values.
    pub rows: Projections,
    /// From heads back to hidden states.
    pub output: Linear,
    /// Norms of queries and keys.
    pub norms: Option<HeadNorms>,
    /// Turns queries and keys.
    pub rotation: Option<Rotation>,
    /// Queries, keys and values are cut to plus and minus this.
    pub clip: Option<f64>,
    /// A factor on queries that grows with the position.
    pub position_scale: Option<PositionScale>,
    /// On the products of queries and keys.
    pub scale: f64,
    /// `cap * tanh(score / cap)`.
    pub cap: Option<f64>,
    /// A token sees this many, itself among them.
    pub window: Option<usize>,
    /// Added to scores before their scale.
    pub slopes: Option<Slopes>,
    /// A tensor `[queries]` of scores that take part in the softmax and have no value.
    pub sinks: Option<String>,
    /// A gate on the heads before the output: `heads * sigmoid(gate)`.
    pub gate: Option<Linear>,
}

/// Where queries, keys and values come from.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per layer, and most are the large one"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Projections {
    /// A layer each.
    Apart {
        /// `[hidden]` to `[queries * width]`.
        queries: Linear,
        /// `[hidden]` to `[keys * width]`.
        keys: Linear,
        /// `[hidden]` to `[keys * width]`.
        values: Linear,
    },
    /// One layer; its outputs are all queries, then all keys, then all values.
    Together(Linear),
}

/// Norms of queries and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNorms {
    /// Of queries.
    pub queries: Norm,
    /// Of keys.
    pub keys: Norm,
    /// What they are over, and how their weights lie.
    pub over: NormOver,
    /// Whether they stand behind the rotation.
    pub after_rotation: bool,
    /// The order in which a head's numbers are, where the rotation asks for another than the stored one.
    pub order: Vec<usize>,
}

/// See [`HeadNorms::over`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOver {
    /// Over each head, all with the same weights `[width]`.
    Head,
    /// Over each head, with weights `[heads, width]`.
    HeadWithOwnWeights,
    /// Over each head, with weights `[width]` in a tensor each: `name.0.weight`, `name.1.weight` ...
    HeadWithOwnTensor,
    /// Over all heads together, with weights `[heads * width]`.
    AllHeads,
}

/// `1 + beta * ln(1 + floor(position / original))`, on queries (Llama 4, Ministral 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionScale {
    /// How strong.
    pub beta: f64,
    /// Positions of the first training.
    pub original: usize,
}

/// Attention with linear biases (Press et al. 2022): a slope per head, times the key's position.
#[derive(Debug, Clone, PartialEq)]
pub struct Slopes {
    /// Per head of queries.
    pub slopes: Vec<f64>,
    /// Whether slope, position and their product are rounded to bfloat16, as Falcon does.
    pub rounded: bool,
}

/// The gated delta rule (Yang et al. 2024), as Qwen 3.5 has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// The part of the model it is.
    pub scope: &'static str,
    /// Heads of queries and keys.
    pub keys: usize,
    /// Heads of values; a multiple of the others.
    pub values: usize,
    /// Numbers per head of queries and keys.
    pub key_width: usize,
    /// Numbers per head of values.
    pub value_width: usize,
    /// Tokens that the convolution sees.
    pub kernel: usize,
    /// Behind the rule, before its gate.
    pub epsilon: f64,
}

/// Behind attention.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForward {
    /// `down(f(gate x) * up x)`.
    Gated {
        /// The part of the model it is.
        scope: &'static str,
        /// `[hidden]` to `[inner]`.
        gate: Linear,
        /// `[hidden]` to `[inner]`.
        up: Linear,
        /// `[inner]` to `[hidden]`.
        down: Linear,
        /// f.
        activation: Activation,
    },
    /// `second(f(first x))`.
    Plain {
        /// The part of the model it is; nothing where it is none.
        scope: &'static str,
        /// `[hidden]` to `[inner]`.
        first: Linear,
        /// `[inner]` to `[hidden]`.
        second: Linear,
        /// f.
        activation: Activation,
    },
    /// A few of many gated layers.
    Mixture(Box<Mixture>),
}

/// Experts, of which a router chooses some for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// The part of the model it is.
    pub scope: &'static str,
    /// `[hidden]` to `[experts]`.
    pub router: Linear,
    /// How its outputs become shares.
    pub routing: Routing,
    /// How many experts a token goes through.
    pub top: usize,
    /// The experts.
    pub experts: Vec<Expert>,
    /// What is between their layers.
    pub glu: Glu,
}

/// An expert's layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Expert {
    /// `[hidden]` to `[inner]`.
    pub gate: Linear,
    /// `[hidden]` to `[inner]`.
    pub up: Linear,
    /// `[inner]` to `[hidden]`.
    pub down: Linear,
}

/// From the router's outputs to the shares of the chosen experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Softmax over all, then the highest; they are divided by their sum, if so.
    SoftmaxFirst {
        /// Whether the shares of the chosen ones sum to one.
        normalised: bool,
    },
    /// The highest, then softmax over them.
    TopFirst,
}

/// What is between an expert's layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Glu {
    /// `f(gate) * up`.
    Gated(Activation),
    /// GPT-OSS: `(up + 1) * gate * sigmoid(alpha * gate)`, the gate at most `limit`, up within plus and minus `limit`.
    Clamped {
        /// See above.
        alpha: f64,
        /// See above.
        limit: f64,
    },
}

/// The function between layers, by Transformers' names.
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
    /// Huang and Schlag 2024, with learned `act_fn.alpha_p` and `act_fn.alpha_n` and stored `act_fn.beta` and `act_fn.eps`.
    Xielu,
}

impl Attention {
    /// `queries` heads of queries and `keys` heads of keys and values, scores scaled by one over the root of the width.
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

    /// With norms of queries and keys before the rotation.
    pub(crate) fn normalised(&mut self, queries: Norm, keys: Norm, over: NormOver) {
        self.norms = Some(HeadNorms {
            queries,
            keys,
            over,
            after_rotation: false,
            order: Vec::new(),
        });
    }

    /// For a rotation of neighbours `(2 i, 2 i + 1)` instead of halves `(i, i + width / 2)`: queries and keys come in an
    /// order in which both are the same.
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
    /// The attentions, layer by layer; layers without one are left out.
    pub fn attentions(&self) -> impl Iterator<Item = &Attention> {
        self.layers.iter().filter_map(|layer| match &layer.mixer {
            Mixer::Attention(attention) => Some(attention.as_ref()),
            Mixer::Delta(_) => None,
        })
    }

    /// The same, to be changed.
    pub(crate) fn attentions_mut(&mut self) -> impl Iterator<Item = &mut Attention> {
        let layers = self.layers.iter_mut();
        layers.filter_map(|layer| match &mut layer.mixer {
            Mixer::Attention(attention) => Some(attention.as_mut()),
            Mixer::Delta(_) => None,
        })
    }
}
