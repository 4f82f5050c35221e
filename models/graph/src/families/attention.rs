//! Causal attention with grouped heads, rotary positions, a soft cap and a window, as far as a family has them.
//!
//! ```text
//! GroupQueryAttention (ONNX Runtime): turns queries and keys, scales, caps, masks and weighs in one operator; no mask
//!                                     and no repeated heads in memory. CPU: f32, f16. CUDA: f16, bf16.
//! standard operators:                 one mask [length, length] for all layers; heads of a group share keys and values by
//!                                     spreading, not by copies
//! ```

use super::rotary::Rotary;
use crate::{
    DataType, Dimension, ExportError, Settings,
    build::{float, int},
    export::graph::{Graph, Kind, Value, batch, fixed, length},
};

/// Heads and what is done with their scores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heads {
    /// Heads of queries.
    pub(crate) queries: usize,
    /// Heads of keys and values; divides the others.
    pub(crate) keys: usize,
    /// Numbers per head.
    pub(crate) width: usize,
    /// On the products of queries and keys.
    pub(crate) scale: f64,
    /// `cap * tanh(score / cap)`.
    pub(crate) cap: Option<f64>,
    /// A token sees this many, itself among them.
    pub(crate) window: Option<usize>,
}

/// Rows of queries, keys and values `[batch, length, heads * width]`, or all three behind one another.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Apart(Value, Value, Value),
    Together(Value),
}

impl Heads {
    /// `heads` of each kind, scores scaled by one over the root of the width.
    pub(crate) fn new(queries: usize, keys: usize, width: usize) -> Self {
        Self {
            queries,
            keys,
            width,
            scale: 1.0 / (width as f64).sqrt(),
            cap: None,
            window: None,
        }
    }

    /// Whether ONNX Runtime's operator takes heads of this width.
    fn fit(&self) -> bool {
        self.width.is_multiple_of(8)
    }

    /// Whether it turns them as well.
    fn turned_inside(&self, rotary: &Rotary) -> bool {
        self.width.is_multiple_of(16) && rotary.width.is_multiple_of(16)
    }
}

/// The window of each layer: as `layer_types` says, or else where `has_one` says.
pub(crate) fn windows(
    settings: &Settings,
    layers: usize,
    window: Option<usize>,
    has_one: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, ExportError> {
    let Some(kinds) = settings.texts_if("layer_types")? else {
        return Ok((0..layers).map(|i| window.filter(|_| has_one(i))).collect());
    };
    let expected = format!("full_attention or sliding_attention, for each of {layers} layers");
    let refused = || settings.refuse("layer_types", expected.clone());
    if kinds.len() != layers {
        return Err(refused());
    }
    let window_of = |kind: &&str| match (*kind, window) {
        ("full_attention", _) => Ok(None),
        ("sliding_attention", Some(window)) => Ok(Some(window)),
        ("sliding_attention", None) => Err(settings.refuse("sliding_window", "a window")),
        _ => Err(refused()),
    };
    kinds.iter().map(window_of).collect()
}

impl Graph<'_> {
    /// From rows to rows `[batch, length, queries * width]`.
    pub(crate) fn attend(
        &mut self,
        heads: &Heads,
        rows: Rows,
        rotary: Option<&Rotary>,
    ) -> Result<Value, ExportError> {
        if self.style.portable || !heads.fit() {
            return self.attend_by_standard_operators(heads, rows, rotary);
        }
        let kind: Kind = (
            self.style.dtype,
            vec![batch(), length(), fixed(heads.queries * heads.width)],
        );
        let inside = rotary.filter(|rotary| heads.turned_inside(rotary));
        let [mut queries, mut keys, values] = match (rows, rotary) {
            (Rows::Together(all), Some(_)) if inside.is_none() => self.apart(heads, &all),
            (Rows::Together(all), _) => [all, Value::none(), Value::none()],
            (Rows::Apart(queries, keys, values), _) => [queries, keys, values],
        };
        if let Some(rotary) = rotary.filter(|_| inside.is_none()) {
            queries = self.turn_rows(&queries, heads.queries, rotary)?;
            keys = self.turn_rows(&keys, heads.keys, rotary)?;
        }
        let [lengths, longest] = self.lengths()?;
        let none = Value::none();
        let mut attributes = vec![
            int("num_heads", heads.queries as i64),
            int("kv_num_heads", heads.keys as i64),
            float("scale", heads.scale as f32),
        ];
        let tables = inside
            .map(|rotary| self.rotary_tables(rotary))
            .transpose()?;
        let [cosine, sine] = match tables {
            Some(tables) => {
                attributes.push(int("do_rotary", 1));
                tables
            }
            None => [none.clone(), none.clone()],
        };
        attributes.extend(heads.cap.map(|cap| float("softcap", cap as f32)));
        attributes.extend(
            heads
                .window
                .map(|window| int("local_window_size", window as i64)),
        );
        let inputs = [
            &queries, &keys, &values, &none, &none, &lengths, &longest, &cosine, &sine,
        ];
        Ok(self.microsoft("GroupQueryAttention", &inputs, attributes, kind))
    }

    /// How many tokens each row has, less one, and the longest: as many as the batch is long, for what stands behind a
    /// row's end is not looked at by what stands before it.
    fn lengths(&mut self) -> Result<[Value; 2], ExportError> {
        let size = self.length_of_batch()?;
        let longest = self.once("longest", |graph| Ok(graph.cast(&size, DataType::I32)))?;
        let lengths = self.once("lengths", |graph| {
            let ids = graph.input_ids();
            let range = vec![int("start", 0), int("end", 1)];
            let rows = graph.node("Shape", &[&ids], range, (DataType::I64, vec![fixed(1)]));
            let one = graph.integers(&[1], &[1]);
            let less = graph.node("Sub", &[&size, &one], vec![], size.kind());
            let less = graph.cast(&less, DataType::I32);
            Ok(graph.node(
                "Expand",
                &[&less, &rows],
                vec![],
                (DataType::I32, vec![batch()]),
            ))
        })?;
        Ok([lengths, longest])
    }

    /// Queries, keys and values out of one row.
    fn apart(&mut self, heads: &Heads, all: &Value) -> [Value; 3] {
        let sizes = [heads.queries, heads.keys, heads.keys].map(|count| count * heads.width);
        let outputs = sizes.map(|size| Some(all.kind_with_width(size)));
        let sizes = self.integers(&sizes.map(|size| size as i64), &[3]);
        let axis = vec![int("axis", -1)];
        let mut parts = self.nodes("", "Split", &[all, &sizes], axis, outputs.to_vec());
        let (values, keys, queries) = (parts.pop(), parts.pop(), parts.pop());
        [queries, keys, values].map(|part| part.unwrap_or(Value::none()))
    }

    fn attend_by_standard_operators(
        &mut self,
        heads: &Heads,
        rows: Rows,
        rotary: Option<&Rotary>,
    ) -> Result<Value, ExportError> {
        let [queries, keys, values] = match rows {
            Rows::Together(all) => self.apart(heads, &all),
            Rows::Apart(queries, keys, values) => [queries, keys, values],
        };
        let mut queries = self.split_heads(&queries, heads.queries, heads.width);
        let mut keys = self.split_heads(&keys, heads.keys, heads.width);
        let mut values = self.split_heads(&values, heads.keys, heads.width);
        if let Some(rotary) = rotary {
            queries = self.turn(&queries, rotary)?;
            keys = self.turn(&keys, rotary)?;
        }
        let scale = self.numbers(queries.dtype, &[heads.scale], &[]);
        let kind = queries.kind();
        queries = self.node("Mul", &[&queries, &scale], vec![], kind);
        let mut keys = self.permute(&keys, &[0, 1, 3, 2]);
        let group = heads.queries / heads.keys;
        if group > 1 {
            // Queries [b, groups, heads in one, t, width]; keys and values [b, groups, 1, ..] serve all of a group.
            queries = self.regroup(&queries, heads.keys, group);
            keys = self.regroup(&keys, heads.keys, 1);
            values = self.regroup(&values, heads.keys, 1);
        }
        let mut dims = queries.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = length();
        }
        let kind = (queries.dtype, dims);
        let mut scores = self.node("MatMul", &[&queries, &keys], vec![], kind.clone());
        if let Some(cap) = heads.cap {
            let cap = self.numbers(scores.dtype, &[cap], &[]);
            scores = self.node("Div", &[&scores, &cap], vec![], kind.clone());
            scores = self.node("Tanh", &[&scores], vec![], kind.clone());
            scores = self.node("Mul", &[&scores, &cap], vec![], kind.clone());
        }
        let mask = self.mask(heads.window)?;
        scores = self.node("Add", &[&scores, &mask], vec![], kind.clone());
        let shares = self.node("Softmax", &[&scores], vec![int("axis", -1)], kind);
        let mut weighed = self.node("MatMul", &[&shares, &values], vec![], queries.kind());
        if group > 1 {
            let kind = (
                weighed.dtype,
                vec![batch(), fixed(heads.queries), length(), fixed(heads.width)],
            );
            let shape = [0, heads.queries as i64, -1, heads.width as i64];
            weighed = self.reshape(&weighed, &shape, kind);
        }
        let rows = self.permute(&weighed, &[0, 2, 1, 3]);
        let width = heads.queries * heads.width;
        let kind = (rows.dtype, vec![batch(), length(), fixed(width)]);
        Ok(self.reshape(&rows, &[0, 0, width as i64], kind))
    }

    /// `[batch, length, heads * width]` to `[batch, heads, length, width]`.
    fn split_heads(&mut self, rows: &Value, heads: usize, width: usize) -> Value {
        let rows = self.by_heads(rows, heads, width);
        self.permute(&rows, &[0, 2, 1, 3])
    }

    /// `[batch, length, heads * width]` to `[batch, length, heads, width]`.
    pub(crate) fn by_heads(&mut self, rows: &Value, heads: usize, width: usize) -> Value {
        let dims = vec![batch(), length(), fixed(heads), fixed(width)];
        let shape = [0, 0, heads as i64, width as i64];
        self.reshape(rows, &shape, (rows.dtype, dims))
    }

    /// `[batch, groups * each, a, b]` to `[batch, groups, each, a, b]`.
    fn regroup(&mut self, x: &Value, groups: usize, each: usize) -> Value {
        let (a, b) = (x.dims[2].clone(), x.dims[3].clone());
        let size = |dim: &Dimension| match dim {
            Dimension::Fixed(size) => *size as i64,
            _ => -1,
        };
        let shape = [0, groups as i64, each as i64, size(&a), size(&b)];
        let dims = vec![batch(), fixed(groups), fixed(each), a, b];
        self.reshape(x, &shape, (x.dtype, dims))
    }

    /// In the order it lies in another shape.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64], kind: Kind) -> Value {
        let shape = self.integers(shape, &[shape.len()]);
        self.node("Reshape", &[x, &shape], vec![], kind)
    }

    /// `[length, length]`: 0 where a token may look, and what becomes nothing in the softmax where not.
    fn mask(&mut self, window: Option<usize>) -> Result<Value, ExportError> {
        let positions = self.positions()?;
        self.once(&format!("mask {window:?}"), |graph| {
            let (first, second) = (graph.integers(&[0], &[1]), graph.integers(&[1], &[1]));
            let mut axis = |axis: &Value, dims: Vec<Dimension>| {
                let kind = (DataType::I64, dims);
                graph.node("Unsqueeze", &[&positions, axis], vec![], kind)
            };
            let columns = axis(&first, vec![fixed(1), length()]);
            let rows = axis(&second, vec![length(), fixed(1)]);
            let square = |dtype| (dtype, vec![length(), length()]);
            let operator = "LessOrEqual";
            let mut seen = graph.node(operator, &[&columns, &rows], vec![], square(DataType::Bool));
            if let Some(window) = window {
                let window = graph.integers(&[window as i64], &[]);
                let from = graph.node("Sub", &[&rows, &window], vec![], rows.kind());
                let near = graph.node(
                    "Greater",
                    &[&columns, &from],
                    vec![],
                    square(DataType::Bool),
                );
                seen = graph.node("And", &[&seen, &near], vec![], square(DataType::Bool));
            }
            let dtype = graph.style.dtype;
            // The least that the type can hold and a score can still be added to.
            let least = match dtype {
                DataType::F16 => -60_000.0,
                _ => -3e38,
            };
            let (zero, least) = (
                graph.numbers(dtype, &[0.0], &[]),
                graph.numbers(dtype, &[least], &[]),
            );
            Ok(graph.node("Where", &[&seen, &zero, &least], vec![], square(dtype)))
        })
    }
}
