//! Feed-forward blocks: gated (`down(f(gate x) * up x)`) and plain (`second(f(first x))`), and their functions.

use super::{linear::Linear, norms::Branch};
use crate::{
    ExportError, Settings,
    build::float,
    export::graph::{Graph, Value},
};

/// The function between the layers, by Transformers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / 2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Reads a setting, for which Transformers has a default where it is not said.
    pub(crate) fn read(
        settings: &Settings,
        name: &str,
        default: &str,
    ) -> Result<Self, ExportError> {
        match settings.text_if(name)?.unwrap_or(default) {
            "silu" | "swish" => Ok(Self::Silu),
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            _ => Err(settings.refuse(
                name,
                "one of silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu",
            )),
        }
    }
}

impl Graph<'_> {
    /// The function over every number.
    pub(crate) fn activate(&mut self, x: &Value, activation: Activation) -> Value {
        let kind = x.kind();
        let portable = self.style.portable;
        match activation {
            Activation::Relu => self.node("Relu", &[x], vec![], kind),
            // x * sigmoid(1 x): with this factor it is the sigmoid linear unit.
            Activation::Silu if !portable => {
                self.microsoft("QuickGelu", &[x], vec![float("alpha", 1.0)], kind)
            }
            Activation::Gelu if !portable => self.microsoft("Gelu", &[x], vec![], kind),
            Activation::GeluTanh if !portable => self.microsoft("FastGelu", &[x], vec![], kind),
            Activation::Silu => {
                let gate = self.node("Sigmoid", &[x], vec![], kind.clone());
                self.node("Mul", &[x, &gate], vec![], kind)
            }
            Activation::Gelu => {
                let root = self.numbers(x.dtype, &[std::f64::consts::SQRT_2], &[]);
                let part = self.node("Div", &[x, &root], vec![], kind.clone());
                let bent = self.node("Erf", &[&part], vec![], kind);
                self.gate_with(x, &bent)
            }
            Activation::GeluTanh => {
                let factor = (2.0 / std::f64::consts::PI).sqrt();
                let [cubic, factor] = [0.044_715, factor].map(|n| self.numbers(x.dtype, &[n], &[]));
                let mut product =
                    |a: &Value, b: &Value| self.node("Mul", &[a, b], vec![], kind.clone());
                let square = product(x, x);
                let cube = product(&square, x);
                let cube = product(&cube, &cubic);
                let sum = self.node("Add", &[x, &cube], vec![], kind.clone());
                let inner = self.node("Mul", &[&sum, &factor], vec![], kind.clone());
                let bent = self.node("Tanh", &[&inner], vec![], kind);
                self.gate_with(x, &bent)
            }
        }
    }

    /// `x / 2 (1 + bent)`.
    fn gate_with(&mut self, x: &Value, bent: &Value) -> Value {
        let [one, half] = [1.0, 0.5].map(|n| self.numbers(x.dtype, &[n], &[]));
        let gate = self.node("Add", &[bent, &one], vec![], x.kind());
        let gated = self.node("Mul", &[x, &gate], vec![], x.kind());
        self.node("Mul", &[&gated, &half], vec![], x.kind())
    }

    /// `down(f(gate x) * up x)`; the bias of `down` is left to the stream.
    pub(crate) fn gated(
        &mut self,
        x: &Value,
        activation: Activation,
        [gate, up, down]: [Linear<'_>; 3],
    ) -> Result<Branch, ExportError> {
        let gate = self.linear(x, &gate)?;
        let up = self.linear(x, &up)?;
        let gate = self.activate(&gate, activation);
        let gated = self.node("Mul", &[&gate, &up], vec![], up.kind());
        self.branch(&gated, &down)
    }

    /// `second(f(first x))`; the bias of `second` is left to the stream.
    pub(crate) fn plain(
        &mut self,
        x: &Value,
        activation: Activation,
        [first, second]: [Linear<'_>; 2],
    ) -> Result<Branch, ExportError> {
        let fused = !self.style.portable;
        let bias = match fused {
            true => self.bias(&first)?,
            false => None,
        };
        let inner = match (activation, bias) {
            // With the bias in the same operator.
            (Activation::GeluTanh, Some(bias)) => {
                let product = self.product(x, &first)?;
                let kind = product.kind();
                self.microsoft("FastGelu", &[&product, &bias], vec![], kind)
            }
            (Activation::Gelu, Some(bias)) => {
                let product = self.product(x, &first)?;
                let kind = product.kind();
                self.microsoft("BiasGelu", &[&product, &bias], vec![], kind)
            }
            _ => {
                let inner = self.linear(x, &first)?;
                self.activate(&inner, activation)
            }
        };
        self.branch(&inner, &second)
    }

    /// A layer that leads back into the stream, which adds its bias.
    pub(crate) fn branch(&mut self, x: &Value, linear: &Linear<'_>) -> Result<Branch, ExportError> {
        Ok(Branch {
            value: self.product(x, linear)?,
            bias: self.bias(linear)?,
        })
    }
}
