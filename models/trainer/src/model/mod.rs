//! The architecture of a model: its named parameters, and which of them each part uses. One description for all
//! families, read by both networks (`fused` and `plain`), so that a family is added only here.

mod build;

use crate::Config;

/// A parameter's index in [`Architecture::parameters`].
pub type ParameterId = usize;

/// The kind of a parameter, which decides its initialisation and whether weight decay applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Embedding of tokens or positions.
    Embedding,
    /// Weights of a linear layer.
    Matrix,
    /// Weights of a linear layer whose output is added to the residual stream; GPT-2 initialises them smaller.
    Residual,
    /// Scale of a norm: initialised to 1, without weight decay.
    Scale,
    /// Bias: initialised to 0, without weight decay.
    Bias,
}

/// A named tensor of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape in the checkpoint.
    pub shape: Vec<usize>,
    /// Its kind.
    pub kind: Kind,
}

impl Parameter {
    /// Number of elements.
    pub fn numbers(&self) -> usize {
        let axes = self.shape.iter().copied();
        axes.fold(1, usize::saturating_mul)
    }

    /// Whether weight decay applies: not to norms and biases.
    pub fn decays(&self) -> bool {
        !matches!(self.kind, Kind::Scale | Kind::Bias)
    }
}

/// A norm: RMS norm without a bias, LayerNorm with one.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    /// `[hidden_size]`, or `[head_dim]` for a norm of queries or keys.
    pub scale: ParameterId,
    /// As `scale`.
    pub bias: Option<ParameterId>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// A part of a parameter: GPT-2 stores queries, keys and values in one tensor.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The parameter.
    pub parameter: ParameterId,
    /// Index of its first element.
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
    /// Elements from one stored row to the next.
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
    /// `down(gelu(up(x)))`, with the tanh approximation of GELU.
    Gelu {
        /// `[hidden] -> [intermediate]`.
        up: Linear,
        /// `[intermediate] -> [hidden]`.
        down: Linear,
    },
}

/// A decoder block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// The norm before attention.
    pub attention_norm: Norm,
    /// `[hidden] -> [heads * head_dim]`.
    pub query: Linear,
    /// `[hidden] -> [kv_heads * head_dim]`.
    pub key: Linear,
    /// `[hidden] -> [kv_heads * head_dim]`.
    pub value: Linear,
    /// RMS norms of each head's queries and keys (Qwen3).
    pub head_norms: Option<(Norm, Norm)>,
    /// `[heads * head_dim] -> [hidden]`.
    pub output: Linear,
    /// The norm before the feed-forward layer.
    pub mlp_norm: Norm,
    /// The feed-forward layer.
    pub mlp: Mlp,
}

/// The whole model.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// The configuration.
    pub config: Config,
    /// All parameters, in the order of the forward pass.
    pub parameters: Vec<Parameter>,
    /// `[vocab_size, hidden_size]`.
    pub embedding: ParameterId,
    /// `[positions, hidden_size]`, if positions are learned.
    pub positions: Option<ParameterId>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// The norm before the head.
    pub norm: Norm,
    /// `[vocab_size, hidden_size]`; the embedding if both are tied.
    pub head: ParameterId,
}

impl Architecture {
    /// Number of elements of all parameters.
    pub fn numbers(&self) -> usize {
        let numbers = self.parameters.iter().map(Parameter::numbers);
        numbers.fold(0, usize::saturating_add)
    }
}
