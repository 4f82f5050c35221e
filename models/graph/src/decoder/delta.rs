//! The gated delta rule (Yang et al. 2024) as in Qwen 3.5, with ONNX Runtime's own operators: a short causal
//! convolution, then a recurrent state that every token decays, corrects and reads.
//!
//! ```text
//! x ─ in_proj_qkv ─ CausalConvWithState, SiLU ─ Split ─ q, k (normalised), v ┐
//! x ─ in_proj_a ─ + dt_bias ─ Softplus ─ * -exp(A_log) ─ decay ──────────────┼ LinearAttention ─► heads
//! x ─ in_proj_b ─ Sigmoid ─ beta ────────────────────────────────────────────┘
//! heads ─ norm ─ * SiLU(in_proj_z x) ─ out_proj
//! ```

use rho_checkpoint::decoder::{Activation, Delta, Linear, Norm};

use super::norms::{Branch, width};
use crate::{
    ExportError,
    build::{float, int, text},
    export::{
        constants::Change,
        graph::{Graph, MICROSOFT, Value, batch, fixed, length},
    },
};

/// Epsilon of the L2 normalisation of queries and keys.
const LENGTH_EPSILON: f64 = 1e-6;

impl Graph<'_> {
    /// From hidden states to a branch of the residual stream.
    pub(crate) fn delta(&mut self, delta: &Delta, x: &Value) -> Result<Branch, ExportError> {
        if self.style.portable {
            return Err(ExportError::NotPortable {
                part: "a gated delta rule",
            });
        }
        self.within(delta.scope, |graph| graph.delta_inside(delta, x))
    }

    fn delta_inside(&mut self, delta: &Delta, x: &Value) -> Result<Branch, ExportError> {
        let hidden = width(x);
        let Delta {
            keys,
            values,
            key_width,
            value_width,
            ..
        } = *delta;
        let (key_rows, value_rows) = (keys * key_width, values * value_width);
        let all = 2 * key_rows + value_rows;
        let project = |graph: &mut Self, name: &str, outputs| {
            graph.linear(x, &Linear::new(name, hidden, outputs))
        };
        let mixed = project(self, "in_proj_qkv", all)?;
        let gate = project(self, "in_proj_z", value_rows)?;
        let beta = project(self, "in_proj_b", values)?;
        let kind = beta.kind();
        let beta = self.node("Sigmoid", &[&beta], vec![], kind.clone());
        let decay = project(self, "in_proj_a", values)?;
        let shift = self.tensor("dt_bias", &[values], Change::default())?;
        let decay = self.node("Add", &[&decay, &shift], vec![], kind.clone());
        let decay = self.node("Softplus", &[&decay], vec![], kind.clone());
        let rate = self.tensor("A_log", &[values], Change::default())?;
        let rate = self.node("Exp", &[&rate], vec![], rate.kind());
        let rate = self.node("Neg", &[&rate], vec![], rate.kind());
        let decay = self.node("Mul", &[&decay, &rate], vec![], kind);
        let filter = self.tensor("conv1d.weight", &[all, 1, delta.kernel], Change::default())?;
        let attributes = vec![
            int("channels_last", 1),
            int("ndim", 1),
            text("activation", "silu"),
        ];
        // The operator requires this output, though it is unused.
        let state = (
            self.style.dtype,
            vec![batch(), fixed(all), fixed(delta.kernel - 1)],
        );
        let outputs = vec![Some(mixed.kind()), Some(state)];
        let inputs = [&mixed, &filter];
        let mut made = self.nodes(
            MICROSOFT,
            "CausalConvWithState",
            &inputs,
            attributes,
            outputs,
        );
        let mixed = made.swap_remove(0);
        let sizes = [key_rows, key_rows, value_rows];
        let parts = sizes.map(|size| Some(mixed.kind_with_width(size)));
        let sizes = self.integers(&sizes.map(|size| size as i64), &[3]);
        let axis = vec![int("axis", -1)];
        let parts = self.nodes("", "Split", &[&mixed, &sizes], axis, parts.to_vec());
        let [query_rows, key_rows, values_in] = &parts[..] else {
            return Ok(mixed.into());
        };
        let queries = self.of_length_one(query_rows, keys, key_width)?;
        let keys_in = self.of_length_one(key_rows, keys, key_width)?;
        let dims = vec![batch(), fixed(values), fixed(key_width), fixed(value_width)];
        let outputs = vec![Some(gate.kind()), Some((self.style.dtype, dims))];
        let attributes = vec![
            int("q_num_heads", keys as i64),
            int("kv_num_heads", values as i64),
            text("update_rule", "gated_delta"),
            float("scale", (key_width as f32).powf(-0.5)),
        ];
        let none = Value::none();
        let inputs = [&queries, &keys_in, values_in, &none, &decay, &beta];
        let mut made = self.nodes(MICROSOFT, "LinearAttention", &inputs, attributes, outputs);
        let heads = made.swap_remove(0);
        let kind = heads.kind();
        let heads = self.by_heads(&heads, values, value_width);
        let heads = self.norm(&heads, &Norm::rms("norm", delta.epsilon))?;
        let heads = self.reshape(&heads, &[0, 0, value_rows as i64], kind.clone());
        let gate = self.activate(&gate, Activation::Silu)?;
        let heads = self.node("Mul", &[&heads, &gate], vec![], kind);
        self.branch(&heads, &Linear::new("out_proj", value_rows, hidden))
    }

    /// Divides each head by its L2 norm.
    fn of_length_one(
        &mut self,
        rows: &Value,
        heads: usize,
        width: usize,
    ) -> Result<Value, ExportError> {
        let by_head = self.by_heads(rows, heads, width);
        // As an RMSNorm: the root of the mean square is the L2 norm divided by the root of the width.
        let weight = self.once(&format!("length one of {width}"), |graph| {
            let weights = vec![(width as f64).powf(-0.5); width];
            Ok(graph.numbers(graph.style.dtype, &weights, &[width]))
        })?;
        let epsilon = LENGTH_EPSILON / width as f64;
        let normalised = self.rms(&by_head, &weight, epsilon as f32)?;
        let dims = vec![batch(), length(), fixed(heads * width)];
        let kind = (rows.dtype, dims);
        Ok(self.reshape(&normalised, &[0, 0, (heads * width) as i64], kind))
    }
}
