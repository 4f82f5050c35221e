//! Removes nodes that right-padded batches do not need.

use std::collections::HashMap;

use crate::{Model, onnx::NodeProto};

impl Model {
    /// Bypasses the guards that exporters put after attention's softmax, `Where(IsNaN(p), 0, p)`.
    ///
    /// They serve rows in which every position is masked. A causal model with padding on the right has no such rows,
    /// and the guard only costs two more passes over `[batch, heads, length, length]` and a copy of it. Without the
    /// guard, a NaN that the model itself computes is no longer hidden.
    #[must_use]
    pub fn without_softmax_guards(mut self) -> Self {
        let producers: HashMap<&str, &NodeProto> = (self.graph.node.iter())
            .flat_map(|node| {
                node.output
                    .iter()
                    .map(move |output| (output.as_str(), node))
            })
            .collect();
        let is = |name: &str, operator: &str| {
            let node = producers.get(name)?;
            (node.op_type.as_deref() == Some(operator)).then_some(*node)
        };
        let mut guarded = HashMap::new();
        for node in &self.graph.node {
            if node.op_type.as_deref() != Some("Where") {
                continue;
            }
            if let ([condition, _, softmax], [output]) = (&node.input[..], &node.output[..])
                && is(condition, "IsNaN").is_some_and(|test| test.input.first() == Some(softmax))
                && is(softmax, "Softmax").is_some()
            {
                guarded.insert(output.clone(), softmax.clone());
            }
        }
        for name in self.graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if let Some(softmax) = guarded.get(name) {
                name.clone_from(softmax);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::onnx::{GraphProto, ModelProto};

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(operator.to_owned()),
            input: input.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn only_a_guard_of_a_softmax_goes() {
        let nodes = vec![
            node("Softmax", &["x"], "p"),
            node("IsNaN", &["p"], "bad"),
            node("Where", &["bad", "zero", "p"], "guarded"),
            node("IsNaN", &["y"], "other_bad"),
            node("Where", &["other_bad", "zero", "y"], "other"),
            node("MatMul", &["guarded", "other"], "out"),
        ];
        let graph = GraphProto {
            node: nodes,
            ..Default::default()
        };
        let model = Model {
            proto: ModelProto::default(),
            graph,
            path: PathBuf::new(),
            folder: PathBuf::new(),
            file: bytes::Bytes::new(),
        };
        let product = model.without_softmax_guards().graph.node.remove(5);
        assert_eq!(product.input, ["p", "other"]);
    }
}
