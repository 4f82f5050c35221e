//! What a model is made of: its parameters by name, and where each part finds its own. One description for all families,
//! read by both networks (`fused` and `plain`), so that a family is added here alone.

mod build;

use crate::Config;

/// A parameter's place in the list.
pub type ParameterId = usize;

/// What a parameter is, which decides how it starts and whether it decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of tokens or positions.
    Embedding,
    /// Weights of a linear layer.
    Matrix,
    /// Weights of a linear layer whose output is added to the residual stream; GPT-2 starts it smaller.
    Residual,
    /// Scale of a norm: starts at 1, does not decay.
    Scale,
    /// Starts at 0, does not decay.
    Bias,
}

/// A named tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape in the checkpoint.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: Kind,
}

impl Parameter {
    /// Its numbers.
    pub fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether weight decay applies: not to norms and biases.
    pub fn decays(&self) -> bool {
        !matches!(self.kind, Kind::Scale | Kind::Bias)
    }
}

/// A norm: RMS without a bias, LayerNorm with one.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    /// `[hidden]`.
    pub scale: ParameterId,
    /// `[hidden]`.
    pub bias: Option<ParameterId>,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// A part of a parameter: GPT-2 keeps queries, keys and values in one.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The parameter.
    pub parameter: ParameterId,
    /// Its first number.
    pub offset: usize,
}

/// `y = x W (+ b)`.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// The weights.
    pub weights: Part,
    /// `[outputs]`.
    pub bias: Option<Part>,
    /// Width of x.
    pub inputs: usize,
    /// Width of y.
    pub outputs: usize,
    /// Whether the weights are stored `[inputs, outputs]`, as GPT-2's are, instead of `[outputs, inputs]`.
    pub inputs_first: bool,
    /// Numbers from one stored row to the next.
    pub stride: usize,
}

/// A feed-forward layer.
#[derive(Debug, Clone, Copy)]
pub enum Mlp {
    /// `down(silu(gate(x)) * up(x))`.
    Gated {
        /// `[hidden] -> [intermediate]`.
        gate: Linear,
        /// `[hidden] -> [intermediate]`.
        up: Linear,
        /// `[intermediate] -> [hidden]`.
        down: Linear,
    },
    /// `down(gelu(up(x)))`, the GELU by tanh.
    Gelu {
        /// `[hidden] -> [intermediate]`.
        up: Linear,
        /// `[intermediate] -> [hidden]`.
        down: Linear,
    },
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Before attention.
    pub attention_norm: Norm,
    /// `[hidden] -> [heads * head_width]`.
    pub query: Linear,
    /// `[hidden] -> [key_value_heads * head_width]`.
    pub key: Linear,
    /// `[hidden] -> [key_value_heads * head_width]`.
    pub value: Linear,
    /// RMS norms of each head's queries and keys (Qwen3).
    pub head_norms: Option<(Norm, Norm)>,
    /// `[heads * head_width] -> [hidden]`.
    pub output: Linear,
    /// Before the feed-forward layer.
    pub mlp_norm: Norm,
    /// The feed-forward layer.
    pub mlp: Mlp,
}

/// The whole model.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Sizes.
    pub config: Config,
    /// In the order of the forward pass.
    pub parameters: Vec<Parameter>,
    /// `[vocabulary, hidden]`.
    pub embedding: ParameterId,
    /// `[positions, hidden]`, where positions are learned.
    pub positions: Option<ParameterId>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Before the head.
    pub norm: Norm,
    /// `[vocabulary, hidden]`: the embedding where both are tied.
    pub head: ParameterId,
}

impl Architecture {
    /// Numbers in all parameters.
    pub fn numbers(&self) -> usize {
        self.parameters.iter().map(Parameter::numbers).sum()
    }
}
