//! Finds the head: from the logits back to the last matmul, with its weights and the steps in between.
//!
//! ```text
//! hidden [.., hidden] ─ MatMul(weights) ─ scale ─ bias ─ soft cap (Div, Tanh, Mul) ─ casts ─► logits [.., vocabulary]
//! └─────  body  ────┘   └────────────────────────────── head ───────────────────────────┘
//! ```
//!
//! Casts are not kept as steps: the head is computed in f32, never coarser than in the model.

use std::collections::HashMap;

use crate::{
    DataType, Model, NotCuttable, Port, Tensor,
    model::Dimension,
    onnx::{AttributeProto, NodeProto},
};

/// Layout of the weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[hidden, vocabulary]`, as in MatMul.
    HiddenFirst,
    /// `[vocabulary, hidden]`, as in embeddings and PyTorch's Linear.
    VocabularyFirst,
}

/// A step after the matmul, applied to each row of logits.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Multiply by a number.
    Scale(f32),
    /// Add a number.
    Shift(f32),
    /// Add a vector `[vocabulary]`.
    Bias(Vec<f32>),
    /// Hyperbolic tangent (with two scales: a soft cap).
    Tanh,
}

/// The language-model head of a graph.
#[derive(Debug, Clone)]
pub struct Head {
    /// The constant operand of the last matmul; memory-mapped.
    pub weights: Tensor,
    /// Its layout.
    pub layout: Layout,
    /// Size of the hidden states.
    pub hidden: usize,
    /// Number of logits per position.
    pub vocabulary: usize,
    /// Steps after the matmul, in order.
    pub steps: Vec<Step>,
}

/// A head and the value of the graph that it takes.
pub(crate) struct Found {
    pub(crate) head: Head,
    pub(crate) input: String,
    pub(crate) input_dtype: DataType,
}

impl Model {
    /// The output with the logits `[batch, length, vocabulary]`. It is the output `logits`; else the only float output
    /// with three axes that is named neither hidden nor present; else, of several, the first with `logits` in its name
    /// or the one with the largest fixed last axis.
    pub fn logits(&self) -> Option<Port> {
        let outputs = self.outputs();
        if let Some(named) = outputs.iter().find(|p| p.name == "logits") {
            return Some(named.clone());
        }
        let could_be = |p: &&Port| {
            let three_axes = p.dims.as_ref().is_none_or(|d| d.len() == 3);
            p.dtype.is_float()
                && three_axes
                && !p.name.contains("hidden")
                && !p.name.starts_with("present")
        };
        let candidates: Vec<_> = outputs.iter().filter(could_be).collect();
        let width = |p: &&Port| match p.dims.as_ref().and_then(|d| d.last()) {
            Some(Dimension::Fixed(size)) => *size,
            _ => 0,
        };
        match candidates.as_slice() {
            [one] => Some((*one).clone()),
            several => several
                .iter()
                .find(|p| p.name.contains("logits"))
                .copied()
                .cloned()
                .or_else(|| {
                    let widest = several.iter().copied().max_by_key(width)?;
                    (width(&widest) > 0).then(|| widest.clone())
                }),
        }
    }

    /// Walks from the logits back to the last matmul.
    pub(crate) fn find_head(&self, logits: &Port) -> Result<Found, NotCuttable> {
        let producers: HashMap<&str, &NodeProto> = self
            .graph
            .node
            .iter()
            .flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n)))
            .collect();
        let walk = Walk {
            model: self,
            producers,
        };
        let mut steps = Vec::new();
        let mut value = logits.name.as_str();
        loop {
            let Some(node) = walk.producers.get(value) else {
                return Err(NotCuttable::NotConstant {
                    value: value.to_owned(),
                });
            };
            match walk.step(node)? {
                Walked::Through { input, step } => {
                    steps.extend(step);
                    value = input;
                }
                Walked::Product {
                    input,
                    weights,
                    transposed,
                    after,
                } => {
                    steps.extend(after);
                    steps.reverse();
                    return walk.found(logits, input, weights, transposed, steps);
                }
            }
        }
    }
}

/// The meaning of a node on the way.
enum Walked<'a> {
    /// Continue at `input`.
    Through { input: &'a str, step: Option<Step> },
    /// The matmul; `after` has the steps that its operator includes, last step first.
    Product {
        input: &'a str,
        weights: &'a str,
        transposed: bool,
        after: Vec<Step>,
    },
}

struct Walk<'a> {
    model: &'a Model,
    producers: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Walk<'a> {
    fn step(&self, node: &'a NodeProto) -> Result<Walked<'a>, NotCuttable> {
        let operator = node.op_type.as_deref().unwrap_or_default();
        let refused = || NotCuttable::Operator {
            operator: operator.to_owned(),
        };
        let input = |i: usize| node.input.get(i).map(String::as_str).ok_or_else(refused);
        match operator {
            // Reshapes keep the order of rows: the last axis stays the vocabulary.
            "Identity" | "Cast" | "Reshape" => Ok(Walked::Through {
                input: input(0)?,
                step: None,
            }),
            "Tanh" => Ok(Walked::Through {
                input: input(0)?,
                step: Some(Step::Tanh),
            }),
            "Mul" | "Add" => {
                let (value, constant) = match (self.constant(input(0)?), self.constant(input(1)?)) {
                    (None, Some(constant)) => (input(0)?, constant),
                    (Some(constant), None) => (input(1)?, constant),
                    _ => return Err(refused()),
                };
                let step = match (operator, constant.as_slice()) {
                    ("Mul", [one]) => Step::Scale(*one),
                    ("Add", [one]) => Step::Shift(*one),
                    ("Add", _) => Step::Bias(constant),
                    _ => return Err(refused()),
                };
                Ok(Walked::Through {
                    input: value,
                    step: Some(step),
                })
            }
            "Div" | "Sub" => {
                let step = match (operator, self.constant(input(1)?).as_deref()) {
                    ("Div", Some([one])) => Step::Scale(1.0 / one),
                    ("Sub", Some([one])) => Step::Shift(-one),
                    _ => return Err(refused()),
                };
                Ok(Walked::Through {
                    input: input(0)?,
                    step: Some(step),
                })
            }
            "MatMul" => Ok(Walked::Product {
                input: input(0)?,
                weights: input(1)?,
                transposed: false,
                after: vec![],
            }),
            "FusedMatMul" | "Gemm" if flag(node, "transA") == 0 => {
                let (alpha, beta) = (number(node, "alpha"), number(node, "beta"));
                let mut after = Vec::new();
                if let Some(name) = node.input.get(2).filter(|n| !n.is_empty()) {
                    let bias = self.constant(name).ok_or_else(refused)?;
                    after.push(Step::Bias(bias.iter().map(|b| b * beta).collect()));
                }
                if alpha != 1.0 {
                    after.push(Step::Scale(alpha));
                }
                let transposed = flag(node, "transB") != 0;
                Ok(Walked::Product {
                    input: input(0)?,
                    weights: input(1)?,
                    transposed,
                    after,
                })
            }
            _ => Err(refused()),
        }
    }

    /// Follows the matmul's operand to the constant, and flips the layout at every transpose.
    fn found(
        &self,
        logits: &Port,
        input: &str,
        weights: &'a str,
        mut transposed: bool,
        steps: Vec<Step>,
    ) -> Result<Found, NotCuttable> {
        let mut name = weights;
        let mut product_dtype = None;
        let weights = loop {
            if let Some(constant) = self.model.constant(name) {
                break constant.map_err(|e| NotCuttable::Unreadable(e.to_string()))?;
            }
            let not_constant = || NotCuttable::NotConstant {
                value: name.to_owned(),
            };
            let node = *self.producers.get(name).ok_or_else(not_constant)?;
            match node.op_type.as_deref() {
                Some("Identity") => {}
                Some("Cast") => {
                    product_dtype.get_or_insert(DataType::from_onnx(flag(node, "to") as i32));
                }
                Some("Transpose") => transposed = !transposed,
                _ => return Err(not_constant()),
            }
            name = node.input.first().ok_or_else(not_constant)?;
        };
        if !matches!(
            weights.dtype,
            DataType::F32 | DataType::F16 | DataType::Bf16
        ) {
            return Err(NotCuttable::Type {
                name: weights.name,
                got: weights.dtype,
            });
        }
        let layout = if transposed {
            Layout::VocabularyFirst
        } else {
            Layout::HiddenFirst
        };
        let declared = match logits.dims.as_ref().and_then(|d| d.last()) {
            Some(Dimension::Fixed(size)) => Some(*size),
            _ => None,
        };
        let (hidden, vocabulary) = match (weights.dims.as_slice(), layout) {
            ([hidden, vocabulary], Layout::HiddenFirst) => (*hidden, *vocabulary),
            ([vocabulary, hidden], Layout::VocabularyFirst) => (*hidden, *vocabulary),
            _ => (0, 0),
        };
        let bias_fits = |s: &Step| !matches!(s, Step::Bias(b) if b.len() != vocabulary);
        if hidden == 0
            || vocabulary == 0
            || declared.is_some_and(|d| d != vocabulary)
            || !steps.iter().all(bias_fits)
        {
            let vocabulary = declared.unwrap_or(vocabulary);
            return Err(NotCuttable::Shape {
                name: weights.name,
                dims: weights.dims,
                vocabulary,
            });
        }
        Ok(Found {
            input: input.to_owned(),
            input_dtype: product_dtype.unwrap_or(weights.dtype),
            head: Head {
                weights,
                layout,
                hidden,
                vocabulary,
                steps,
            },
        })
    }

    /// A float constant by name: an initializer, a Constant node, or a cast or copy of one.
    fn constant(&self, name: &str) -> Option<Vec<f32>> {
        if let Some(tensor) = self.model.constant(name) {
            return tensor.ok()?.to_f32().ok();
        }
        let node = self.producers.get(name)?;
        match node.op_type.as_deref()? {
            "Identity" | "Cast" => self.constant(node.input.first()?),
            "Constant" => {
                if let Some(value) = attribute(node, "value") {
                    return Tensor::resolve(value.t.as_deref()?, self.model.folder())
                        .ok()?
                        .to_f32()
                        .ok();
                }
                if let Some(value) = attribute(node, "value_float") {
                    return Some(vec![value.f?]);
                }
                attribute(node, "value_floats").map(|a| a.floats.clone())
            }
            _ => None,
        }
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|a| a.name.as_deref() == Some(name))
}

/// An integer attribute; 0 if absent.
fn flag(node: &NodeProto, name: &str) -> i64 {
    attribute(node, name).and_then(|a| a.i).unwrap_or(0)
}

/// A float attribute; 1, as Gemm's defaults, if absent.
fn number(node: &NodeProto, name: &str) -> f32 {
    attribute(node, name).and_then(|a| a.f).unwrap_or(1.0)
}
