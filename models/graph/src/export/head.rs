//! The head of an export: nodes after the hidden states, or an entry in the metadata that names its constants, for
//! readers that compute the head themselves.
//!
//! ```text
//! --head logits   hidden ─ MatMul(Transpose(weights)) ─ + bias ─ soft cap ─► logits
//! --head fused    hidden ─► the graph's output; weights are in the file, and metadata `rho_mask.head` names them
//! ```
//!
//! [`crate::Model::open`] adds the nodes again, so that readers in this project see only one kind of model.

use serde_json::{Value as Json, json};

use crate::{
    DataType, Dimension, Model, NotCuttable,
    build::{ints, value_info},
    export::constants,
    onnx::{GraphProto, NodeProto, TensorProto},
};

/// The metadata key.
pub(crate) const KEY: &str = "rho_mask.head";

/// The constants of the head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeadParts {
    /// `[vocabulary, hidden]`.
    pub(crate) weights: String,
    /// `[vocabulary]`.
    pub(crate) bias: Option<String>,
    /// Soft cap: `cap * tanh(logit / cap)`.
    pub(crate) cap: Option<f64>,
}

impl HeadParts {
    /// As JSON for the metadata.
    pub(crate) fn to_json(&self) -> String {
        json!({"weights": self.weights, "bias": self.bias, "softcap": self.cap}).to_string()
    }

    fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let name = |key: &str| json.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            weights: name("weights")?,
            bias: name("bias"),
            cap: json.get("softcap").and_then(Json::as_f64),
        })
    }

    /// Adds the head's nodes after the value `hidden`; the graph's output becomes `logits [batch, length, vocabulary]`.
    pub(crate) fn append(
        &self,
        graph: &mut GraphProto,
        hidden: &str,
        dtype: DataType,
        vocabulary: usize,
    ) {
        let mut add = |operator: &str, inputs: &[&str], output: &str| {
            graph.node.push(NodeProto {
                op_type: Some(operator.to_owned()),
                name: Some(format!("/lm_head/{output}")),
                input: inputs.iter().map(|&input| input.to_owned()).collect(),
                output: vec![output.to_owned()],
                attribute: match operator {
                    "Transpose" => vec![ints("perm", &[1, 0])],
                    _ => vec![],
                },
                ..Default::default()
            });
        };
        let (transposed, product) = ("lm_head.transposed", "lm_head.product");
        let has_more = self.bias.is_some() || self.cap.is_some();
        add("Transpose", &[&self.weights], transposed);
        add(
            "MatMul",
            &[hidden, transposed],
            if has_more { product } else { "logits" },
        );
        let mut last = product;
        if let Some(bias) = &self.bias {
            let sum = if self.cap.is_some() {
                "lm_head.sum"
            } else {
                "logits"
            };
            add("Add", &[last, bias], sum);
            last = sum;
        }
        if let Some(cap) = self.cap {
            let constant = "lm_head.softcap";
            add("Div", &[last, constant], "lm_head.divided");
            add("Tanh", &["lm_head.divided"], "lm_head.bent");
            add("Mul", &["lm_head.bent", constant], "logits");
            graph.initializer.push(TensorProto {
                name: Some(constant.to_owned()),
                data_type: Some(dtype.to_onnx()),
                raw_data: Some(constants::encode(&[cap as f32], dtype).into()),
                ..Default::default()
            });
        }
        let named = |name: &str| Dimension::Named(name.to_owned());
        let dims = [
            named("batch"),
            named("length"),
            Dimension::Fixed(vocabulary),
        ];
        graph.output = vec![value_info("logits", dtype, Some(&dims))];
    }
}

impl Model {
    /// If the head is only named in the metadata, adds its nodes, as `--head logits` has them.
    pub(crate) fn with_named_head(mut self) -> Result<Self, NotCuttable> {
        let properties = self.proto.metadata_props.iter();
        let note = properties
            .into_iter()
            .find(|entry| entry.key.as_deref() == Some(KEY))
            .and_then(|entry| entry.value.clone());
        let (Some(note), [hidden]) = (note, &self.graph.output[..]) else {
            return Ok(self);
        };
        let hidden = crate::model::port(hidden);
        if hidden.name == "logits" {
            return Ok(self);
        }
        let unreadable = || NotCuttable::Unreadable(format!("the metadata {KEY} has {note}"));
        let parts = HeadParts::from_json(&note).ok_or_else(unreadable)?;
        let weights = self.graph.initializer.iter();
        let weights = weights
            .into_iter()
            .find(|tensor| tensor.name.as_ref() == Some(&parts.weights));
        let vocabulary = weights.and_then(|tensor| tensor.dims.first().copied());
        let vocabulary = vocabulary.and_then(|size| usize::try_from(size).ok());
        let vocabulary = vocabulary.ok_or_else(unreadable)?;
        parts.append(&mut self.graph, &hidden.name, hidden.dtype, vocabulary);
        Ok(self)
    }
}
