//! Experts, of which a router chooses some for each token: a routed product, so that the others cost nothing.
//!
//! ```text
//! MoE (ONNX Runtime):  router's logits and all experts' weights in one operator; f32 on the CPU, f16 and bf16 on CUDA
//! standard operators:  tokens sorted by expert ─ Split ─ each expert's products ─ Concat ─ back in order ─ weighed sum
//! ```
//!
//! The second has a product with constant weights for each expert, which is what other runtimes and 8 bits want.

use rho_checkpoint::decoder::{Activation, Expert, Glu, Mixture, Routing};

use crate::{
    DataType, ExportError,
    build::{float, int, text},
    export::{
        constants::{Constant, Content},
        graph::{Graph, Kind, Value, fixed},
    },
    Dimension,
};
use super::norms::width;

/// Rows of all tokens, and of all that were sent to an expert: known only while running.
fn rows(name: &str) -> Dimension {
    Dimension::Named(name.to_owned())
}

impl Graph<'_> {
    /// `[batch, length, hidden]` to the same.
    pub(crate) fn mixture(&mut self, mixture: &Mixture, x: &Value) -> Result<Value, ExportError> {
        let hidden = width(x);
        let flat = vec![rows("tokens"), fixed(hidden)];
        let tokens = self.reshape(x, &[-1, hidden as i64], (x.dtype, flat));
        // The router is small, and a choice that flips moves a loss far: never in 8 bits.
        let int8 = std::mem::replace(&mut self.style.int8, false);
        let logits = self.linear(&tokens, &mixture.router);
        self.style.int8 = int8;
        let logits = logits?;
        // The operator has this function alone, and no 8 bits with a scale per row.
        let fused = match mixture.glu {
            Glu::Gated(activation) => activation == Activation::Silu,
            Glu::Clamped { .. } => true,
        };
        let mixed = match self.style.portable || self.style.int8 || !fused {
            true => self.by_standard_operators(mixture, &tokens, &logits)?,
            false => self.by_one_operator(mixture, &tokens, &logits)?,
        };
        let shape = self.once("shape of ids", |graph| {
            let ids = graph.input_ids();
            Ok(graph.node("Shape", &[&ids], vec![], (DataType::I64, vec![fixed(2)])))
        })?;
        let last = self.integers(&[hidden as i64], &[1]);
        let kind = (DataType::I64, vec![fixed(3)]);
        let shape = self.node("Concat", &[&shape, &last], vec![int("axis", 0)], kind);
        Ok(self.node("Reshape", &[&mixed, &shape], vec![], x.kind()))
    }

    fn by_one_operator(
        &mut self,
        mixture: &Mixture,
        tokens: &Value,
        logits: &Value,
    ) -> Result<Value, ExportError> {
        let hidden = width(tokens);
        let inner = mixture.experts.first().map_or(0, |expert| expert.gate.width());
        let [mut first, mut first_biases, mut second, mut second_biases] =
            [const { Vec::new() }; 4];
        for Expert { gate, up, down } in &mixture.experts {
            for linear in [gate, up] {
                first.push(self.rows_constant(linear)?);
                first_biases.extend(self.bias_constant(linear)?);
            }
            second.push(self.rows_constant(down)?);
            second_biases.extend(self.bias_constant(down)?);
        }
        let count = mixture.experts.len();
        // Gate and up in turn, as the operator wants them.
        let first_weights = self.stack("experts.gate_up", first, 2, &[count, 2 * inner, hidden]);
        let second_weights = self.stack("experts.down", second, 1, &[count, hidden, inner]);
        let mut biases = [Value::none(), Value::none()];
        if !first_biases.is_empty() {
            biases[0] = self.stack("experts.gate_up.bias", first_biases, 2, &[count, 2 * inner]);
        }
        if !second_biases.is_empty() {
            biases[1] = self.stack("experts.down.bias", second_biases, 1, &[count, hidden]);
        }
        let normalised = match mixture.routing {
            Routing::SoftmaxFirst { normalised } => normalised,
            Routing::TopFirst => true,
        };
        let mut attributes = vec![
            int("k", mixture.top as i64),
            text("activation_type", "swiglu"),
            int("swiglu_fusion", 1),
            int("normalize_routing_weights", i64::from(normalised)),
        ];
        match mixture.glu {
            Glu::Clamped { alpha, limit } => attributes.extend([
                float("activation_alpha", alpha as f32),
                float("activation_beta", 1.0),
                float("swiglu_limit", limit as f32),
            ]),
            Glu::Gated(_) => attributes.extend([
                float("activation_alpha", 1.0),
                float("activation_beta", 0.0),
            ]),
        }
        let inputs = [
            tokens,
            logits,
            &first_weights,
            &biases[0],
            &second_weights,
            &biases[1],
        ];
        Ok(self.microsoft("MoE", &inputs, attributes, tokens.kind()))
    }

    /// Constants one after the other in a new one; `turn` of them at a time row by row in turn.
    fn stack(&mut self, name: &str, parts: Vec<Constant>, turn: usize, dims: &[usize]) -> Value {
        let constant = Constant {
            name: self.path(name),
            dtype: self.style.dtype,
            dims: dims.to_vec(),
            content: Content::Stacked { parts, turn },
        };
        self.constant(constant)
    }

    fn by_standard_operators(
        &mut self,
        mixture: &Mixture,
        tokens: &Value,
        logits: &Value,
    ) -> Result<Value, ExportError> {
        let (count, top) = (mixture.experts.len(), mixture.top);
        let [shares, chosen] = self.shares(mixture, logits);
        let sent = rows("sent");
        let line = |dtype: DataType| -> Kind { (dtype, vec![sent.clone()]) };
        let ids = self.reshape(&chosen, &[-1], line(DataType::I64));
        // Sorted by expert, tokens in their order: ties of TopK go to the lower index.
        let all = self.node("Shape", &[&ids], vec![], (DataType::I64, vec![fixed(1)]));
        let up = vec![int("axis", 0), int("largest", 0), int("sorted", 1)];
        let outputs = vec![Some(line(DataType::I64)); 2];
        let mut sorted = self.nodes("", "TopK", &[&ids, &all], up.clone(), outputs.clone());
        let places = sorted.swap_remove(1);
        let mut sorted = self.nodes("", "TopK", &[&places, &all], up, outputs);
        let back = sorted.swap_remove(1);
        let each = self.integers(&[top as i64], &[]);
        let from = self.node("Div", &[&places, &each], vec![], line(DataType::I64));
        let kind = (tokens.dtype, vec![sent.clone(), fixed(width(tokens))]);
        let axis = || vec![int("axis", 0)];
        let x = self.node("Gather", &[tokens, &from], axis(), kind.clone());
        let x = self.of_unknown_rank(&x)?;
        let counts = self.counts(&ids, count);
        let parts: Vec<Option<Kind>> = (0..count)
            .map(|i| Some((x.dtype, vec![rows(&format!("sent_{i}")), fixed(width(tokens))])))
            .collect();
        let all = self.without_shapes(|graph| {
            let parts = graph.nodes("", "Split", &[&x, &counts], axis(), parts);
            let mut made = Vec::with_capacity(count);
            for (expert, part) in mixture.experts.iter().zip(&parts) {
                made.push(graph.expert(expert, mixture.glu, part)?);
            }
            let made: Vec<&Value> = made.iter().collect();
            Ok(graph.node("Concat", &made, axis(), kind.clone()))
        })?;
        let all = self.node("Gather", &[&all, &back], axis(), kind);
        let shape = [-1, top as i64, width(tokens) as i64];
        let dims = vec![rows("tokens"), fixed(top), fixed(width(tokens))];
        let all = self.reshape(&all, &shape, (tokens.dtype, dims.clone()));
        let shape = [-1, top as i64, 1];
        let by_token = vec![rows("tokens"), fixed(top), fixed(1)];
        let shares = self.cast(&shares, tokens.dtype);
        let shares = self.reshape(&shares, &shape, (tokens.dtype, by_token));
        let weighed = self.node("Mul", &[&all, &shares], vec![], (tokens.dtype, dims));
        let axes = self.integers(&[1], &[1]);
        let attributes = vec![int("keepdims", 0)];
        Ok(self.node("ReduceSum", &[&weighed, &axes], attributes, tokens.kind()))
    }

    /// Shares and numbers of the chosen experts, `[tokens, top]`; in f32.
    fn shares(&mut self, mixture: &Mixture, logits: &Value) -> [Value; 2] {
        let logits = self.cast(logits, DataType::F32);
        let last = || vec![int("axis", -1)];
        let dims = vec![rows("tokens"), fixed(mixture.top)];
        let kind = (DataType::F32, dims.clone());
        let ranked = match mixture.routing {
            Routing::SoftmaxFirst { .. } => {
                self.node("Softmax", &[&logits], last(), logits.kind())
            }
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

    /// How many tokens each expert gets: i64 `[experts]`.
    fn counts(&mut self, ids: &Value, experts: usize) -> Value {
        let numbers: Vec<i64> = (0..experts as i64).collect();
        let numbers = self.integers(&numbers, &[1, experts]);
        let axis = self.integers(&[1], &[1]);
        let column = (DataType::I64, vec![rows("sent"), fixed(1)]);
        let ids = self.node("Unsqueeze", &[ids, &axis], vec![], column);
        let dims = vec![rows("sent"), fixed(experts)];
        let same = (DataType::Bool, dims);
        let same = self.node("Equal", &[&ids, &numbers], vec![], same);
        let ones = self.cast(&same, DataType::I64);
        let axes = self.integers(&[0], &[1]);
        let attributes = vec![int("keepdims", 0)];
        let kind = (DataType::I64, vec![fixed(experts)]);
        self.node("ReduceSum", &[&ones, &axes], attributes, kind)
    }

    /// The same rows, of which the graph does not know how many axes they have: ONNX Runtime plans memory in time
    /// quadratic in the nodes whose axes it knows, and there are five for every expert.
    fn of_unknown_rank(&mut self, x: &Value) -> Result<Value, ExportError> {
        let kind = (DataType::I64, vec![fixed(2)]);
        let shape = self.node("Shape", &[x], vec![], kind);
        let zero = self.integers(&[0], &[1]);
        let all = (DataType::Bool, vec![fixed(2)]);
        let all = self.node("GreaterOrEqual", &[&shape, &zero], vec![], all);
        let kind = (DataType::I64, vec![rows("axes")]);
        let shape = self.node("Compress", &[&shape, &all], vec![int("axis", 0)], kind);
        let attributes = vec![int("allowzero", 1)];
        self.without_shapes(|graph| {
            Ok(graph.node("Reshape", &[x, &shape], attributes, x.kind()))
        })
    }

    fn expert(
        &mut self,
        expert: &Expert,
        glu: Glu,
        x: &Value,
    ) -> Result<Value, ExportError> {
        let Expert { gate, up, down } = expert;
        let (gate, up) = (self.linear(x, gate)?, self.linear(x, up)?);
        let inner = self.glu(glu, gate, up)?;
        self.linear(&inner, down)
    }

    /// What is between an expert's layers.
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
