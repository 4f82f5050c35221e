//! Mixtures of experts: a router chooses some experts for each token, and each expert computes only its tokens.
//!
//! ```text
//! token indices sorted by expert ─ Split ┬ Gather ─ expert 0 ┬ Concat ─ original order ─ weighted sum
//!                                        └ Gather ─ expert 1 ┘
//! ```
//!
//! ONNX Runtime's own operator (MoE) would be a single node, but its weights would be out of reach for int8 matmuls.

use rho_checkpoint::decoder::{Expert, Glu, Mixture, Routing};

use super::norms::width;
use crate::{
    DataType, Dimension, ExportError,
    build::{int, text},
    export::graph::{Graph, Kind, Value, fixed},
};

/// An axis of tokens, or of tokens sent to an expert, whose size is known only at run time.
fn rows(name: &str) -> Dimension {
    Dimension::Named(name.to_owned())
}

impl Graph<'_> {
    /// `[batch, length, hidden]` to the same shape.
    pub(crate) fn mixture(&mut self, mixture: &Mixture, x: &Value) -> Result<Value, ExportError> {
        let hidden = width(x);
        let flat = vec![rows("tokens"), fixed(hidden)];
        let tokens = self.reshape(x, &[-1, hidden as i64], (x.dtype, flat));
        // Never in 8 bits: the router is small, and another choice of experts changes the loss a lot.
        let logits = self.product_apart(&tokens, &mixture.router)?;
        let mixed = self.routed(mixture, &tokens, &logits)?;
        let shape = self.once("shape of ids", |graph| {
            let ids = graph.input_ids();
            Ok(graph.node("Shape", &[&ids], vec![], (DataType::I64, vec![fixed(2)])))
        })?;
        let last = self.integers(&[hidden as i64], &[1]);
        let kind = (DataType::I64, vec![fixed(3)]);
        let shape = self.node("Concat", &[&shape, &last], vec![int("axis", 0)], kind);
        Ok(self.node("Reshape", &[&mixed, &shape], vec![], x.kind()))
    }

    fn routed(
        &mut self,
        mixture: &Mixture,
        tokens: &Value,
        logits: &Value,
    ) -> Result<Value, ExportError> {
        let (count, top, hidden) = (mixture.experts.len(), mixture.top, width(tokens));
        let [shares, chosen] = self.shares(mixture, logits);
        let sent = rows("sent");
        let line: Kind = (DataType::I64, vec![sent.clone()]);
        let one: Kind = (DataType::I64, vec![fixed(1)]);
        let axis = || vec![int("axis", 0)];
        let ids = self.reshape(&chosen, &[-1], line.clone());
        let all = self.node("Shape", &[&ids], vec![], one.clone());
        let none = self.integers(&[0], &[1]);
        let size = self.node("Squeeze", &[&all, &none], vec![], (DataType::I64, vec![]));
        let (start, step) = (self.integers(&[0], &[]), self.integers(&[1], &[]));
        let numbers = self.node("Range", &[&start, &size, &step], vec![], line.clone());
        // Sorts by expert, and by token within an expert: all keys differ.
        let keys = self.node("Mul", &[&ids, &size], vec![], line.clone());
        let keys = self.node("Add", &[&keys, &numbers], vec![], line.clone());
        let ascending = vec![int("axis", 0), int("largest", 0), int("sorted", 1)];
        let outputs = vec![Some(line.clone()); 2];
        let mut sorted = self.nodes("", "TopK", &[&keys, &all], ascending, outputs);
        let places = sorted.swap_remove(1);
        let inputs = [&places, &places, &numbers];
        let back = self.node("ScatterElements", &inputs, axis(), line.clone());
        let each = self.integers(&[top as i64], &[]);
        let from = self.node("Div", &[&places, &each], vec![], line);
        let from = self.of_unknown_rank(&from)?;
        let counts = self.counts(&ids, &all, count);
        let kind: Kind = (tokens.dtype, vec![sent, fixed(hidden)]);
        let made = self.without_shapes(|graph| {
            let parts: Vec<Option<Kind>> = (0..count)
                .map(|i| Some((DataType::I64, vec![rows(&format!("sent_{i}"))])))
                .collect();
            let parts = graph.nodes("", "Split", &[&from, &counts], axis(), parts);
            let mut made = Vec::with_capacity(count);
            for (expert, part) in mixture.experts.iter().zip(&parts) {
                let dims = vec![part.dims[0].clone(), fixed(hidden)];
                let x = graph.node("Gather", &[tokens, part], axis(), (tokens.dtype, dims));
                made.push(graph.expert(expert, mixture.glu, &x)?);
            }
            let made: Vec<&Value> = made.iter().collect();
            Ok(graph.node("Concat", &made, axis(), kind.clone()))
        })?;
        let made = self.node("Gather", &[&made, &back], axis(), kind);
        let dims = vec![rows("tokens"), fixed(top), fixed(hidden)];
        let shape = [-1, top as i64, hidden as i64];
        let made = self.reshape(&made, &shape, (tokens.dtype, dims.clone()));
        let by_token = vec![rows("tokens"), fixed(top), fixed(1)];
        let shares = self.cast(&shares, tokens.dtype);
        let shares = self.reshape(&shares, &[-1, top as i64, 1], (tokens.dtype, by_token));
        let weighed = self.node("Mul", &[&made, &shares], vec![], (tokens.dtype, dims));
        let axes = self.integers(&[1], &[1]);
        let attributes = vec![int("keepdims", 0)];
        Ok(self.node("ReduceSum", &[&weighed, &axes], attributes, tokens.kind()))
    }

    /// Weights (in f32) and indices of the chosen experts, `[tokens, top]` each.
    fn shares(&mut self, mixture: &Mixture, logits: &Value) -> [Value; 2] {
        let logits = self.cast(logits, DataType::F32);
        let last = || vec![int("axis", -1)];
        let dims = vec![rows("tokens"), fixed(mixture.top)];
        let kind = (DataType::F32, dims.clone());
        let ranked = match mixture.routing {
            Routing::SoftmaxFirst { .. } => self.node("Softmax", &[&logits], last(), logits.kind()),
            Routing::TopFirst => logits,
        };
        let top = self.integers(&[mixture.top as i64], &[1]);
        let attributes = vec![int("axis", -1), int("largest", 1), int("sorted", 1)];
        let outputs = vec![Some(kind.clone()), Some((DataType::I64, dims))];
        let mut chosen = self.nodes("", "TopK", &[&ranked, &top], attributes, outputs);
        let (numbers, values) = (chosen.swap_remove(1), chosen.swap_remove(0));
        let shares = match mixture.routing {
            Routing::SoftmaxFirst { normalised: false } => values,
            Routing::SoftmaxFirst { normalised: true } => {
                let axes = self.integers(&[-1], &[1]);
                let kept = vec![int("keepdims", 1)];
                let one = (DataType::F32, vec![rows("tokens"), fixed(1)]);
                let sum = self.node("ReduceSum", &[&values, &axes], kept, one);
                self.node("Div", &[&values, &sum], vec![], kind)
            }
            Routing::TopFirst => self.node("Softmax", &[&values], last(), kind),
        };
        [shares, numbers]
    }

    /// Number of tokens per expert: i64 `[experts]`.
    fn counts(&mut self, ids: &Value, size: &Value, experts: usize) -> Value {
        let kind: Kind = (DataType::I64, vec![fixed(experts)]);
        let zeros = self.integers(&vec![0; experts], &[experts]);
        let one = self.integers(&[1], &[1]);
        let ones = self.node("Expand", &[&one, size], vec![], ids.kind());
        let attributes = vec![int("axis", 0), text("reduction", "add")];
        self.node("ScatterElements", &[&zeros, ids, &ones], attributes, kind)
    }

    /// The same values with an unknown number of axes. ONNX Runtime's memory planning takes time quadratic in the
    /// number of nodes with known axes, and there are six per expert.
    fn of_unknown_rank(&mut self, x: &Value) -> Result<Value, ExportError> {
        let kind = (DataType::I64, vec![fixed(1)]);
        let shape = self.node("Shape", &[x], vec![], kind);
        let zero = self.integers(&[0], &[1]);
        let all = (DataType::Bool, vec![fixed(1)]);
        let all = self.node("GreaterOrEqual", &[&shape, &zero], vec![], all);
        let kind = (DataType::I64, vec![rows("axes")]);
        let shape = self.node("Compress", &[&shape, &all], vec![int("axis", 0)], kind);
        let attributes = vec![int("allowzero", 1)];
        self.without_shapes(|graph| Ok(graph.node("Reshape", &[x, &shape], attributes, x.kind())))
    }

    fn expert(&mut self, expert: &Expert, glu: Glu, x: &Value) -> Result<Value, ExportError> {
        let Expert { gate, up, down } = expert;
        let (gate, up) = (self.linear(x, gate)?, self.linear(x, up)?);
        let inner = self.glu(glu, gate, up)?;
        self.linear(&inner, down)
    }

    /// The gated activation of an expert.
    fn glu(&mut self, glu: Glu, gate: Value, up: Value) -> Result<Value, ExportError> {
        let kind = gate.kind();
        match glu {
            Glu::Gated(activation) => {
                let gate = self.activate(&gate, activation)?;
                Ok(self.node("Mul", &[&gate, &up], vec![], kind))
            }
            Glu::Clamped { alpha, limit } => {
                let [least, most, alpha, one] =
                    [-limit, limit, alpha, 1.0].map(|n| self.numbers(gate.dtype, &[n], &[]));
                let gate = self.node("Min", &[&gate, &most], vec![], kind.clone());
                let up = self.node("Clip", &[&up, &least, &most], vec![], kind.clone());
                let inner = self.node("Mul", &[&gate, &alpha], vec![], kind.clone());
                let share = self.node("Sigmoid", &[&inner], vec![], kind.clone());
                let gate = self.node("Mul", &[&gate, &share], vec![], kind.clone());
                let up = self.node("Add", &[&up, &one], vec![], kind.clone());
                Ok(self.node("Mul", &[&up, &gate], vec![], kind))
            }
        }
    }
}
