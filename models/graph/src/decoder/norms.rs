//! Normalisation, and the residual stream between the blocks.
//!
//! ```text
//! RMSNorm:   x / sqrt(mean(x^2) + eps) * weight            (Zhang and Sennrich 2019; Gemma: weight + 1)
//! LayerNorm: (x - mean) / sqrt(variance + eps) * weight + bias
//! ```
//!
//! A branch is not added to the stream immediately: the next norm adds it in the same operator
//! (`SkipSimplifiedLayerNormalization`, `SkipLayerNormalization`), which reads the stream once instead of twice.

use rho_checkpoint::decoder::{Norm, NormKind};

use crate::{
    DataType, ExportError,
    build::{float, int, ints},
    export::{
        constants::Change,
        graph::{Graph, MICROSOFT, Value},
    },
};

/// The hidden states `[batch, length, hidden]`, and a branch that still has to be added to them.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    value: Value,
    pending: Option<Branch>,
}

/// The output of a block, to be added to the stream.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) value: Value,
    /// The bias of the linear layer that computed it.
    pub(crate) bias: Option<Value>,
}

impl From<Value> for Branch {
    fn from(value: Value) -> Self {
        Self { value, bias: None }
    }
}

impl Stream {
    pub(crate) fn new(value: Value) -> Self {
        Self {
            value,
            pending: None,
        }
    }

    /// Adds a branch, in the next norm's operator if possible.
    pub(crate) fn add(&mut self, graph: &mut Graph<'_>, branch: impl Into<Branch>) {
        self.settle(graph);
        self.pending = Some(branch.into());
    }

    /// The stream with all branches added.
    pub(crate) fn settle(&mut self, graph: &mut Graph<'_>) -> Value {
        if let Some(branch) = self.pending.take() {
            let branch = branch.whole(graph);
            let kind = self.value.kind();
            self.value = graph.node("Add", &[&self.value, &branch], vec![], kind);
        }
        self.value.clone()
    }

    /// The normalised stream.
    pub(crate) fn norm(
        &mut self,
        graph: &mut Graph<'_>,
        norm: &Norm,
    ) -> Result<Value, ExportError> {
        if graph.style.portable || self.pending.is_none() {
            let value = self.settle(graph);
            return graph.norm(&value, norm);
        }
        let Some(Branch { value, bias }) = self.pending.take() else {
            return graph.norm(&self.value.clone(), norm);
        };
        let kind = self.value.kind();
        let width = width(&self.value);
        let bias = bias.unwrap_or(Value::none());
        let weight = graph.norm_weight(norm, width)?;
        let (operator, weights) = match norm.kind {
            NormKind::Rms => ("SkipSimplifiedLayerNormalization", vec![weight]),
            NormKind::Layer => {
                let shift = graph.norm_bias(norm, width)?.unwrap_or(Value::none());
                ("SkipLayerNormalization", vec![weight, shift])
            }
        };
        let mut inputs = vec![&value, &self.value];
        inputs.extend(&weights);
        inputs.push(&bias);
        let outputs = vec![Some(kind.clone()), None, None, Some(kind)];
        let attributes = vec![float("epsilon", norm.epsilon as f32)];
        let mut made = graph.nodes(MICROSOFT, operator, &inputs, attributes, outputs);
        self.value = made.swap_remove(3);
        Ok(made.swap_remove(0))
    }
}

impl Branch {
    /// The branch with its bias added.
    pub(crate) fn whole(self, graph: &mut Graph<'_>) -> Value {
        match self.bias {
            None => self.value,
            Some(bias) => {
                let kind = self.value.kind();
                graph.node("Add", &[&self.value, &bias], vec![], kind)
            }
        }
    }
}

impl Graph<'_> {
    /// A norm over the last axis.
    pub(crate) fn norm(&mut self, x: &Value, norm: &Norm) -> Result<Value, ExportError> {
        let kind = x.kind();
        let width = width(x);
        let weight = self.norm_weight(norm, width)?;
        match norm.kind {
            NormKind::Layer => {
                let bias = self.norm_bias(norm, width)?;
                let attributes = vec![int("axis", -1), float("epsilon", norm.epsilon as f32)];
                let mut inputs = vec![x, &weight];
                inputs.extend(&bias);
                Ok(self.node("LayerNormalization", &inputs, attributes, kind))
            }
            NormKind::Rms => self.rms(x, &weight, norm.epsilon as f32),
        }
    }

    /// RMSNorm from basic operators, because ONNX has RMSNormalization only from opset 23 on. ONNX Runtime fuses them
    /// into SimplifiedLayerNormalization when it loads the model, on every provider. Squares are computed in f32,
    /// because they may overflow f16.
    pub(crate) fn rms(
        &mut self,
        x: &Value,
        weight: &Value,
        epsilon: f32,
    ) -> Result<Value, ExportError> {
        let wide = self.cast(x, DataType::F32);
        let kind = wide.kind();
        let mean_kind = wide.kind_with_width(1);
        let scalar = |graph: &mut Self, key: String, value: f64| {
            graph.once(&key, |graph| {
                Ok(graph.numbers(DataType::F32, &[value], &[]))
            })
        };
        let two = scalar(self, "two".to_owned(), 2.0)?;
        let epsilon = scalar(self, format!("epsilon {epsilon}"), f64::from(epsilon))?;
        let squares = self.node("Pow", &[&wide, &two], vec![], kind.clone());
        let axes = vec![ints("axes", &[-1]), int("keepdims", 1)];
        let mean = self.node("ReduceMean", &[&squares], axes, mean_kind.clone());
        let sum = self.node("Add", &[&mean, &epsilon], vec![], mean_kind.clone());
        let root = self.node("Sqrt", &[&sum], vec![], mean_kind);
        let scaled = self.node("Div", &[&wide, &root], vec![], kind);
        let scaled = self.cast(&scaled, x.dtype);
        Ok(self.node("Mul", &[&scaled, weight], vec![], x.kind()))
    }

    /// The weights, or ones if the norm has none: fused operators need weights.
    fn norm_weight(&mut self, norm: &Norm, width: usize) -> Result<Value, ExportError> {
        if !norm.weight {
            return self.once(&format!("ones {width}"), |graph| {
                Ok(graph.numbers(graph.style.dtype, &vec![1.0; width], &[width]))
            });
        }
        let change = Change {
            add: norm.offset as f32,
            ..Change::default()
        };
        self.tensor(&format!("{}.weight", norm.name), &[width], change)
    }

    fn norm_bias(&mut self, norm: &Norm, width: usize) -> Result<Option<Value>, ExportError> {
        if !norm.bias {
            return Ok(None);
        }
        let bias = self.tensor(&format!("{}.bias", norm.name), &[width], Change::default())?;
        Ok(Some(bias))
    }
}

/// Size of the last axis.
pub(crate) fn width(x: &Value) -> usize {
    match x.dims.last() {
        Some(crate::Dimension::Fixed(width)) => *width,
        _ => 0,
    }
}
