//! Fuses attention: four nodes of a graph become one operator, for custom kernels.
//!
//! ```text
//! queries ─ MatMul(keys) ─ Add(mask) ─ Softmax ─ MatMul(values) ─► y
//! becomes   Attention(queries, keys, mask, values) ─► y
//! ```
//!
//! Only if no other node reads the values in between. ONNX Runtime's `GroupQueryAttention`, which this crate's exports
//! have, is already one node and becomes `GroupedAttention` if it has neither a cache nor a bias.

use std::collections::HashMap;

use crate::{DataType, Model, build::int, matmuls, onnx::NodeProto};

/// Names of the operators and their attributes.
pub mod names {
    /// Inputs: queries `[.., t, k]`, keys `[.., k, s]`, a mask that broadcasts to `[.., t, s]`, values `[.., s, v]`;
    /// axes before the last two broadcast as in a matmul. Output: `[.., t, v]`.
    pub const ATTENTION: &str = "Attention";

    /// Attribute of [`ATTENTION`]: the number of axes that queries must have, if the graph gives the softmax's axis as
    /// a positive number.
    pub const AXES: &str = "axes";

    /// Causal attention over rows. Inputs: queries `[b, t, heads * width]`, keys and values `[b, t, groups * width]`,
    /// or one concatenation of all three; with a rotation also cosine and sine `[t, pairs]`. Output:
    /// `[b, t, heads * width]`. The attributes are those of GroupQueryAttention.
    pub const GROUPED: &str = "GroupedAttention";
    /// Attribute: number of query heads.
    pub const HEADS: &str = "num_heads";
    /// Attribute: number of key and value heads.
    pub const GROUPS: &str = "kv_num_heads";
    /// Attribute: factor on scores; `1 / sqrt(width)` if absent or 0.
    pub const SCALE: &str = "scale";
    /// Attribute: soft cap on scores; none if absent or 0.
    pub const CAP: &str = "softcap";
    /// Attribute: how many tokens a token sees; all if absent or -1.
    pub const WINDOW: &str = "local_window_size";
}

impl Model {
    /// Whether the graph computes in f32 only: no weight and no cast has another float dtype.
    pub fn computes_in_single(&self) -> bool {
        let other = |number: Option<i32>| {
            let dtype = DataType::from_onnx(number.unwrap_or_default());
            dtype.is_float() && dtype != DataType::F32
        };
        let to = |node: &NodeProto| {
            let mut attributes = node.attribute.iter();
            let to = attributes.find(|a| a.name.as_deref() == Some("to"))?.i?;
            i32::try_from(to).ok()
        };
        let weights = self.graph.initializer.iter().map(|t| t.data_type);
        let casts = self.graph.node.iter();
        let casts = casts.filter(|n| n.op_type.as_deref() == Some("Cast"));
        !weights.chain(casts.map(to)).any(other)
    }

    /// Whether most of the weights have this dtype.
    pub fn computes_in(&self, dtype: DataType) -> bool {
        let size = |of: &dyn Fn(DataType) -> bool| -> i64 {
            let tensors = self.graph.initializer.iter();
            let tensors = tensors.filter(|t| of(DataType::from_onnx(t.data_type.unwrap_or(0))));
            tensors.map(|t| t.dims.iter().product::<i64>()).sum()
        };
        size(&|other| other == dtype) > size(&|other| other != dtype)
    }

    /// Replaces every attention by the operator [`names::ATTENTION`] or [`names::GROUPED`], and returns how many there
    /// were. Nodes that are no longer needed stay; [`Model::with_output`] removes them.
    pub fn with_attention(&self) -> (Model, usize) {
        let found = Found::of(self);
        let mut model = self.clone();
        let mut count = 0;
        for node in &mut model.graph.node {
            if let Some(operands) = grouped(node) {
                let known = [
                    names::HEADS,
                    names::GROUPS,
                    names::SCALE,
                    names::CAP,
                    names::WINDOW,
                ];
                let known = |name: &Option<String>| {
                    name.as_deref().is_some_and(|name| known.contains(&name))
                };
                node.attribute.retain(|attribute| known(&attribute.name));
                *node = NodeProto {
                    op_type: Some(names::GROUPED.to_owned()),
                    domain: Some(matmuls::names::DOMAIN.to_owned()),
                    input: operands,
                    ..node.clone()
                };
                count += 1;
            } else if let Some((operands, axes)) = found.operands(node) {
                *node = NodeProto {
                    op_type: Some(names::ATTENTION.to_owned()),
                    domain: Some(matmuls::names::DOMAIN.to_owned()),
                    input: operands.map(str::to_owned).into(),
                    attribute: axes
                        .map(|axes| int(names::AXES, axes))
                        .into_iter()
                        .collect(),
                    ..node.clone()
                };
                count += 1;
            }
        }
        if count > 0 {
            model.speak_own_domain();
        }
        (model, count)
    }
}

/// Queries, keys, values, cosine and sine of a GroupQueryAttention, if `GroupedAttention` can replace it.
fn grouped(node: &NodeProto) -> Option<Vec<String>> {
    if node.op_type.as_deref() != Some("GroupQueryAttention") || node.output.len() != 1 {
        return None;
    }
    let input = |i: usize| node.input.get(i).cloned().unwrap_or_default();
    // Not supported: a cache, position ids, a bias, sinks, quantised caches, fused norms.
    let others = [3, 4].into_iter().chain(9..node.input.len());
    let plain = others.map(input).all(|name| name.is_empty());
    let whole = |name: &str| {
        let mut attributes = node.attribute.iter();
        let found = attributes.find(|a| a.name.as_deref() == Some(name));
        found.and_then(|a| a.i).unwrap_or(0)
    };
    let turned = whole("do_rotary") != 0;
    let strange = [
        whole("rotary_interleaved"),
        whole("smooth_softmax"),
        whole("qk_output"),
    ];
    let causal = node
        .attribute
        .iter()
        .all(|a| a.name.as_deref() != Some("causal") || a.i == Some(1));
    if !plain || !causal || strange != [0; 3] {
        return None;
    }
    let mut operands = vec![input(0), input(1), input(2)];
    if turned {
        operands.extend([input(7), input(8)]);
    }
    while operands.last().is_some_and(String::is_empty) {
        operands.pop();
    }
    Some(operands)
}

/// The producer of each value, and the number of its readers.
struct Found<'a> {
    producers: HashMap<&'a str, &'a NodeProto>,
    readers: HashMap<&'a str, usize>,
}

impl<'a> Found<'a> {
    fn of(model: &'a Model) -> Self {
        let mut readers = HashMap::new();
        let mut producers = HashMap::new();
        for node in &model.graph.node {
            for input in &node.input {
                *readers.entry(input.as_str()).or_default() += 1;
            }
            producers.extend(node.output.iter().map(|o| (o.as_str(), node)));
        }
        for output in &model.graph.output {
            *readers
                .entry(output.name.as_deref().unwrap_or_default())
                .or_default() += 1;
        }
        Self { producers, readers }
    }

    /// The node that produces a value, if it is this operator and the value has only one reader.
    fn only(&self, value: &str, operator: &str) -> Option<&'a NodeProto> {
        let node = *self.producers.get(value)?;
        let fits = node.op_type.as_deref() == Some(operator) && self.readers.get(value) == Some(&1);
        fits.then_some(node)
    }

    /// Queries, keys, mask and values of the attention that ends with this node, and the number of axes that queries
    /// must have, if it matters.
    fn operands(&self, node: &NodeProto) -> Option<([&'a str; 4], Option<i64>)> {
        if node.op_type.as_deref() != Some("MatMul") {
            return None;
        }
        let softmax = self.only(node.input.first()?, "Softmax")?;
        let axis = softmax
            .attribute
            .iter()
            .find(|a| a.name.as_deref() == Some("axis"));
        // The default would depend on the opset version.
        let axes = match axis?.i {
            Some(-1) => None,
            // The last one of four.
            Some(3) => Some(4),
            _ => return None,
        };
        let add = self.only(softmax.input.first()?, "Add")?;
        let [left, right] = &add.input[..] else {
            return None;
        };
        let (scores, mask) = match (self.only(left, "MatMul"), self.only(right, "MatMul")) {
            (Some(scores), None) => (scores, right),
            (None, Some(scores)) => (scores, left),
            _ => return None,
        };
        let values = self
            .producers
            .get(node.output.first()?.as_str())?
            .input
            .get(1)?;
        let operands: [&str; 4] = [scores.input.first()?, scores.input.get(1)?, mask, values];
        Some((operands, axes))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::onnx::{AttributeProto, GraphProto, ModelProto};

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(operator.to_owned()),
            input: input.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    fn softmax(input: &str, output: &str, axis: i64) -> NodeProto {
        NodeProto {
            attribute: vec![AttributeProto {
                name: Some("axis".to_owned()),
                i: Some(axis),
                ..Default::default()
            }],
            ..node("Softmax", &[input], output)
        }
    }

    /// The operators after attention is fused.
    fn operators(node: Vec<NodeProto>) -> (Vec<String>, Model) {
        let model = Model {
            proto: ModelProto::default(),
            graph: GraphProto {
                node,
                ..Default::default()
            },
            path: PathBuf::new(),
            folder: PathBuf::new(),
            file: bytes::Bytes::new(),
        };
        let (model, _) = model.with_attention();
        let operators = model.graph.node.iter();
        let operators = operators.map(|n| n.op_type.clone().unwrap_or_default());
        (operators.collect(), model)
    }

    fn attention(axis: i64) -> Vec<NodeProto> {
        vec![
            node("MatMul", &["q", "k"], "scores"),
            node("Add", &["mask", "scores"], "masked"),
            softmax("masked", "p", axis),
            node("MatMul", &["p", "v"], "y"),
        ]
    }

    #[test]
    fn four_nodes_become_one() {
        let (names, model) = operators(attention(-1));
        assert_eq!(names[3], names::ATTENTION);
        assert_eq!(model.graph.node[3].input, ["q", "k", "mask", "v"]);
        assert_eq!(model.graph.node[3].output, ["y"]);
        let domains = model.proto.opset_import.iter();
        assert!(
            domains
                .filter_map(|d| d.domain.as_deref())
                .eq([matmuls::names::DOMAIN])
        );
    }

    #[test]
    fn what_others_read_or_another_axis_stays() {
        let mut watched = attention(3);
        watched.push(node("Identity", &["p"], "seen"));
        assert_eq!(operators(watched).0[3], "MatMul");
        assert_eq!(operators(attention(1)).0[3], "MatMul");
        let mut bare = attention(-1);
        bare[2].attribute.clear();
        assert_eq!(operators(bare).0[3], "MatMul");
    }

    fn group_query(inputs: &[&str], attributes: &[(&str, i64)]) -> NodeProto {
        let attribute = |(name, value): &(&str, i64)| crate::build::int(name, *value);
        NodeProto {
            attribute: attributes.iter().map(attribute).collect(),
            domain: Some("com.microsoft".to_owned()),
            ..node("GroupQueryAttention", inputs, "y")
        }
    }

    #[test]
    fn grouped_attention_is_taken_where_it_has_no_cache_and_no_bias() {
        let turned = ["q", "k", "v", "", "", "lengths", "longest", "cos", "sin"];
        let sizes = [("num_heads", 4), ("kv_num_heads", 2), ("do_rotary", 1)];
        let (names, model) = operators(vec![group_query(&turned, &sizes)]);
        assert_eq!(names, [names::GROUPED]);
        let taken = &model.graph.node[0];
        assert_eq!(taken.input, ["q", "k", "v", "cos", "sin"]);
        assert_eq!(taken.domain.as_deref(), Some(matmuls::names::DOMAIN));
        let kept: Vec<_> = taken
            .attribute
            .iter()
            .filter_map(|a| a.name.as_deref())
            .collect();
        assert_eq!(kept, ["num_heads", "kv_num_heads"]);
        // Without a rotation, and with queries, keys and values in one input.
        let together = ["qkv", "", "", "", "", "lengths", "longest"];
        let (_, model) = operators(vec![group_query(&together, &sizes[..2])]);
        assert_eq!(model.graph.node[0].input, ["qkv"]);
        let cached = ["q", "k", "v", "past", "past", "lengths", "longest"];
        let biased = [
            "q", "k", "v", "", "", "lengths", "longest", "", "", "", "bias",
        ];
        for inputs in [&cached[..], &biased] {
            let (names, _) = operators(vec![group_query(inputs, &sizes[..2])]);
            assert_eq!(names, ["GroupQueryAttention"]);
        }
        for strange in ["rotary_interleaved", "smooth_softmax"] {
            let attributes = [sizes[0], sizes[1], (strange, 1)];
            let (names, _) = operators(vec![group_query(&turned[..7], &attributes)]);
            assert_eq!(names, ["GroupQueryAttention"]);
        }
    }
}
