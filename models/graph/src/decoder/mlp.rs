//! Feed-forward blocks: gated (`down(f(gate x) * up x)`) and plain (`second(f(first x))`), and their activations.

use rho_checkpoint::decoder::{Activation, Linear};

use super::norms::Branch;
use crate::{
    ExportError,
    build::float,
    export::{
        constants::Change,
        graph::{Graph, Value},
    },
};

impl Graph<'_> {
    /// Applies the activation elementwise.
    pub(crate) fn activate(
        &mut self,
        x: &Value,
        activation: Activation,
    ) -> Result<Value, ExportError> {
        let kind = x.kind();
        let portable = self.style.portable;
        Ok(match activation {
            Activation::Xielu => return self.xielu(x),
            Activation::ReluSquared => {
                let kept = self.node("Relu", &[x], vec![], kind.clone());
                self.node("Mul", &[&kept, &kept], vec![], kind)
            }
            Activation::Relu => self.node("Relu", &[x], vec![], kind),
            // x * sigmoid(alpha x): with alpha 1 it is SiLU.
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
        })
    }

    /// xIELU: `alpha_p x^2 + beta x` above zero, `alpha_n (exp(min(x, eps)) - 1 - x) + beta x` below. Both alphas are
    /// stored before their softplus, and beta is added to the second.
    fn xielu(&mut self, x: &Value) -> Result<Value, ExportError> {
        let mut learned = |name: &str, dims: &[usize]| -> Result<Value, ExportError> {
            self.tensor_as(
                &format!("act_fn.{name}"),
                dims,
                Change::default(),
                crate::DataType::F32,
                "",
            )
        };
        let [positive, negative] = [learned("alpha_p", &[1])?, learned("alpha_n", &[1])?];
        let [beta, least] = [learned("beta", &[])?, learned("eps", &[])?];
        let one = |graph: &mut Self, operator: &str, inputs: &[&Value]| {
            let kind = inputs[0].kind();
            graph.node(operator, inputs, vec![], kind)
        };
        let positive = one(self, "Softplus", &[&positive]);
        let negative = one(self, "Softplus", &[&negative]);
        let negative = one(self, "Add", &[&negative, &beta]);
        let dtype = x.dtype;
        let [positive, negative, beta, least] =
            [positive, negative, beta, least].map(|value| self.cast(&value, dtype));
        let linear = one(self, "Mul", &[x, &beta]);
        let square = one(self, "Mul", &[x, x]);
        let above = one(self, "Mul", &[&square, &positive]);
        let low = one(self, "Min", &[x, &least]);
        let power = one(self, "Exp", &[&low]);
        let unit = self.numbers(dtype, &[1.0], &[]);
        let below = one(self, "Sub", &[&power, &unit]);
        let below = one(self, "Sub", &[&below, x]);
        let below = one(self, "Mul", &[&below, &negative]);
        let zero = self.numbers(dtype, &[0.0], &[]);
        let kind = (crate::DataType::Bool, x.dims.clone());
        let is_above = self.node("Greater", &[x, &zero], vec![], kind);
        let kind = x.kind();
        let bent = self.node("Where", &[&is_above, &above, &below], vec![], kind);
        Ok(one(self, "Add", &[&bent, &linear]))
    }

    /// `x / 2 (1 + bent)`.
    fn gate_with(&mut self, x: &Value, bent: &Value) -> Value {
        let [one, half] = [1.0, 0.5].map(|n| self.numbers(x.dtype, &[n], &[]));
        let gate = self.node("Add", &[bent, &one], vec![], x.kind());
        let gated = self.node("Mul", &[x, &gate], vec![], x.kind());
        self.node("Mul", &[&gated, &half], vec![], x.kind())
    }

    /// `down(f(gate x) * up x)`; the stream adds the bias of `down`.
    pub(crate) fn gated(
        &mut self,
        x: &Value,
        activation: Activation,
        [gate, up, down]: [&Linear; 3],
    ) -> Result<Branch, ExportError> {
        let gate = self.linear(x, gate)?;
        let up = self.linear(x, up)?;
        let gate = self.activate(&gate, activation)?;
        let gated = self.node("Mul", &[&gate, &up], vec![], up.kind());
        self.branch(&gated, down)
    }

    /// `second(f(first x))`; the stream adds the bias of `second`.
    pub(crate) fn plain(
        &mut self,
        x: &Value,
        activation: Activation,
        [first, second]: [&Linear; 2],
    ) -> Result<Branch, ExportError> {
        let fused = !self.style.portable;
        let bias = match fused {
            true => self.bias(first)?,
            false => None,
        };
        let inner = match (activation, bias) {
            // These operators add the bias as well.
            (Activation::GeluTanh, Some(bias)) => {
                let product = self.product(x, first)?;
                let kind = product.kind();
                self.microsoft("FastGelu", &[&product, &bias], vec![], kind)
            }
            (Activation::Gelu, Some(bias)) => {
                let product = self.product(x, first)?;
                let kind = product.kind();
                self.microsoft("BiasGelu", &[&product, &bias], vec![], kind)
            }
            _ => {
                let inner = self.linear(x, first)?;
                self.activate(&inner, activation)?
            }
        };
        self.branch(&inner, second)
    }

    /// A linear layer back into the stream, which adds its bias.
    pub(crate) fn branch(&mut self, x: &Value, linear: &Linear) -> Result<Branch, ExportError> {
        Ok(Branch {
            value: self.product(x, linear)?,
            bias: self.bias(linear)?,
        })
    }
}
