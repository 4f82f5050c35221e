//! Small models from scratch: the head as its own graph, and a probe that shows whether a device works.

use std::path::PathBuf;

use bytes::Bytes;

use crate::{
    Cut, DataType, Dimension, Layout, Model, Step,
    onnx::{
        AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
        TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    },
};

/// Names of the head model's inputs and outputs.
pub mod names {
    /// Input: hidden states of any shape whose last axis is the hidden size.
    pub const HIDDEN: &str = "hidden";
    /// Input: i64 `[n]`, which rows of the hidden states (flattened) to take.
    pub const ROWS: &str = "rows";
    /// Input: i64 `[n, 1]`, the target token of each row.
    pub const TARGETS: &str = "targets";
    /// Output: f32 `[n, 1]`, nats.
    pub const LOSS: &str = "loss";
    /// Output: f32 `[n, 1]`, nats.
    pub const ENTROPY: &str = "entropy";
    /// Outputs with the `k` most likely tokens: f32 `[n, k]`, their logits minus the row's maximum; i64 `[n, k]`, the
    /// tokens; i64 `[n, k]`, the lowest tokens with the last one's logit, as many as the row above leaves room for, then
    /// any; f32 `[n, 1]`, ln Σ exp of the shifted logits.
    pub const OF_TOP: [&str; 4] = ["top", "top_ids", "top_ties", "log_sum"];
}

/// The head as a model: loss, entropy and the `top` most likely tokens of chosen rows, for devices on which ONNX Runtime
/// computes the head.
///
/// ```text
/// x = Gather(Reshape(hidden, [-1, H]), rows);  z = steps(x W) in f32;  s = z - max z;  e = exp s;  S = sum e
/// loss = ln S - s[target]        entropy = ln S - sum(e s) / S
/// top, top_ids = TopK(s)         top_ties = TopK(-id where s = the last of top, else -inf)
/// ```
///
/// `TopK` need not prefer the lower of equal logits (on CUDA it does not), so these are asked for in a second step.
///
/// Computing it takes several buffers of `[n, vocabulary]`, so the caller must bound n.
pub fn head_model(cut: &Cut, top: usize) -> Model {
    let mut graph = Builder::default();
    let head = &cut.head;
    let hidden = cut.hidden.dtype;
    graph.input(names::HIDDEN, hidden, None);
    graph.input(names::ROWS, DataType::I64, Some(1));
    graph.input(names::TARGETS, DataType::I64, Some(2));
    graph.graph.initializer.push(cut.weights.clone());

    graph.constant_i64("flat", &[-1, head.hidden as i64]);
    graph.constant_i64("last_axis", &[1]);
    graph.node("Reshape", &[names::HIDDEN, "flat"], "hidden_rows", &[]);
    graph.node(
        "Gather",
        &["hidden_rows", names::ROWS],
        "chosen",
        &[int("axis", 0)],
    );
    let mut weights = head.weights.name.clone();
    if head.weights.dtype != hidden {
        graph.cast(&weights, "weights_cast", hidden);
        weights = "weights_cast".to_owned();
    }
    if head.layout == Layout::VocabularyFirst {
        graph.node(
            "Transpose",
            &[&weights],
            "weights_transposed",
            &[ints("perm", &[1, 0])],
        );
        weights = "weights_transposed".to_owned();
    }
    graph.node("MatMul", &["chosen", &weights], "product", &[]);
    graph.cast("product", "logits", DataType::F32);
    let mut logits = "logits".to_owned();
    for (i, step) in head.steps.iter().enumerate() {
        let (next, constant) = (format!("step_{i}"), format!("step_{i}_constant"));
        let (operator, value): (_, &[f32]) = match step {
            Step::Scale(by) => ("Mul", &[*by]),
            Step::Shift(by) => ("Add", &[*by]),
            Step::Bias(bias) => ("Add", bias),
            Step::Tanh => ("Tanh", &[]),
        };
        if value.is_empty() {
            graph.node(operator, &[&logits], &next, &[]);
        } else {
            graph.constant_f32(&constant, value);
            graph.node(operator, &[&logits, &constant], &next, &[]);
        }
        logits = next;
    }
    graph.node(
        "ReduceMax",
        &[&logits],
        "max",
        &[ints("axes", &[1]), int("keepdims", 1)],
    );
    graph.node("Sub", &[&logits, "max"], "shifted", &[]);
    graph.node("Exp", &["shifted"], "exp", &[]);
    graph.node(
        "ReduceSum",
        &["exp", "last_axis"],
        "sum",
        &[int("keepdims", 1)],
    );
    graph.node("Log", &["sum"], "log_sum", &[]);
    graph.node("Mul", &["exp", "shifted"], "weighted", &[]);
    graph.node(
        "ReduceSum",
        &["weighted", "last_axis"],
        "weighted_sum",
        &[int("keepdims", 1)],
    );
    graph.node("Div", &["weighted_sum", "sum"], "mean_shifted", &[]);
    graph.node("Sub", &["log_sum", "mean_shifted"], names::ENTROPY, &[]);
    graph.node(
        "GatherElements",
        &["shifted", names::TARGETS],
        "target",
        &[int("axis", 1)],
    );
    graph.node("Sub", &["log_sum", "target"], names::LOSS, &[]);
    graph.output(names::LOSS, DataType::F32);
    graph.output(names::ENTROPY, DataType::F32);
    if top > 0 {
        graph.most_likely(head.vocabulary, top);
    }
    Model {
        graph: graph.graph,
        proto: envelope(),
        path: cut.body.path.clone(),
        folder: cut.body.folder.clone(),
        file: cut.body.file.clone(),
    }
}

/// A model of one matmul, `y [2, 2] = x [2, 2] W`, with W all ones: if a session runs it with the CPU fallback
/// disabled, the device works.
pub fn probe_model() -> Model {
    let mut graph = Builder::default();
    graph.input("x", DataType::F32, Some(2));
    graph.constant_f32_dims("w", &[1.0; 4], &[2, 2]);
    graph.node("MatMul", &["x", "w"], "y", &[]);
    graph.output("y", DataType::F32);
    Model {
        graph: graph.graph,
        proto: envelope(),
        path: PathBuf::new(),
        folder: PathBuf::new(),
        file: Bytes::new(),
    }
}

fn envelope() -> ModelProto {
    ModelProto {
        // IR version 8 and opset 17 work with every supported ONNX Runtime.
        ir_version: Some(8),
        producer_name: Some("rho-mask".to_owned()),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        ..Default::default()
    }
}

#[derive(Default)]
struct Builder {
    graph: GraphProto,
}

impl Builder {
    fn input(&mut self, name: &str, dtype: DataType, axes: Option<usize>) {
        let dims = axes.map(|axes| vec![Dimension::Unknown; axes]);
        let info = value_info(name, dtype, dims.as_deref());
        self.graph.input.push(info);
        self.graph.name.get_or_insert_with(|| "rho-mask".to_owned());
    }

    fn output(&mut self, name: &str, dtype: DataType) {
        self.graph.output.push(value_info(name, dtype, None));
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) {
        self.graph.node.push(NodeProto {
            op_type: Some(operator.to_owned()),
            name: Some(format!("/rho/{output}")),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes.to_vec(),
            ..Default::default()
        });
    }

    /// The outputs of [`names::OF_TOP`], from `shifted` and `log_sum`.
    fn most_likely(&mut self, vocabulary: usize, top: usize) {
        let [values, ids, ties, log_sum] = names::OF_TOP;
        self.constant_i64("top_count", &[top as i64]);
        self.constant_i64("top_last", &[top as i64 - 1]);
        self.top_k("shifted", values, ids);
        self.node("Gather", &[values, "top_last"], "least", &[int("axis", 1)]);
        self.node("Equal", &["shifted", "least"], "is_least", &[]);
        // Exact in f32 up to 2^24 tokens, many times the largest vocabulary.
        let negative: Vec<f32> = (0..vocabulary).map(|token| -(token as f32)).collect();
        self.constant_f32("negative_ids", &negative);
        self.constant_f32("never", &[f32::NEG_INFINITY]);
        self.node("Where", &["is_least", "negative_ids", "never"], "tied", &[]);
        self.top_k("tied", "top_tied", ties);
        self.output(values, DataType::F32);
        self.output(ids, DataType::I64);
        self.output(ties, DataType::I64);
        self.output(log_sum, DataType::F32);
    }

    fn top_k(&mut self, input: &str, values: &str, ids: &str) {
        self.node("TopK", &[input, "top_count"], values, &[]);
        if let Some(node) = self.graph.node.last_mut() {
            node.output.push(ids.to_owned());
        }
    }

    fn cast(&mut self, input: &str, output: &str, to: DataType) {
        self.node(
            "Cast",
            &[input],
            output,
            &[int("to", i64::from(to.to_onnx()))],
        );
    }

    fn constant_i64(&mut self, name: &str, values: &[i64]) {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: vec![values.len() as i64],
            data_type: Some(DataType::I64.to_onnx()),
            int64_data: values.to_vec(),
            ..Default::default()
        });
    }

    fn constant_f32(&mut self, name: &str, values: &[f32]) {
        self.constant_f32_dims(name, values, &[values.len() as i64]);
    }

    fn constant_f32_dims(&mut self, name: &str, values: &[f32], dims: &[i64]) {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(DataType::F32.to_onnx()),
            float_data: values.to_vec(),
            ..Default::default()
        });
    }
}

/// Name, dtype and axes of a value; the axes are unspecified if `dims` is `None`.
pub(crate) fn value_info(
    name: &str,
    dtype: DataType,
    dims: Option<&[Dimension]>,
) -> ValueInfoProto {
    let dim = |dim: &Dimension| match dim {
        Dimension::Fixed(size) => DimensionProto {
            dim_value: Some(*size as i64),
            ..Default::default()
        },
        Dimension::Named(name) => DimensionProto {
            dim_param: Some(name.clone()),
            ..Default::default()
        },
        Dimension::Unknown => DimensionProto::default(),
    };
    let shape = dims.map(|dims| TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    });
    let tensor_type = TensorTypeProto {
        elem_type: Some(dtype.to_onnx()),
        shape,
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
            ..Default::default()
        }),
        ..Default::default()
    }
}

// Attribute types, as the schema numbers them.
const FLOAT: i32 = 1;
const INT: i32 = 2;
const STRING: i32 = 3;
const INTS: i32 = 7;

/// A float attribute.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        f: Some(value),
        r#type: Some(FLOAT),
        ..Default::default()
    }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(INT),
        ..Default::default()
    }
}

/// A string attribute.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(STRING),
        s: Some(value.as_bytes().to_vec().into()),
        ..Default::default()
    }
}

/// An attribute with a list of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints: values.to_vec(),
        r#type: Some(INTS),
        ..Default::default()
    }
}
