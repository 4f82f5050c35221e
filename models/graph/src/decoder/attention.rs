//! Causal attention with grouped heads, rotary position embedding, a soft cap and a sliding window, as far as a family
//! has them.
//!
//! ```text
//! GroupQueryAttention (ONNX Runtime): rotation, scale, cap, mask and softmax in one operator; no mask and no repeated
//!                                     heads in memory. CPU: f32, f16. CUDA: f16, bf16.
//! standard operators:                 one mask [length, length] for all layers; heads of a group share keys and values
//!                                     by broadcasting, not by copies
//! ```

use rho_checkpoint::{
    Rotation,
    decoder::{Attention, HeadNorms, Linear, Norm, NormOver, Projections, Slopes},
};

use super::norms::Branch;
use crate::{
    DataType, Dimension, ExportError,
    build::{float, int},
    export::{
        constants::Change,
        graph::{Graph, Kind, Value, batch, fixed, length},
    },
};

/// Rows of queries, keys and values `[batch, length, heads * width]`, or all three concatenated.
#[derive(Debug, Clone)]
enum Rows {
    Apart([Value; 3]),
    Together(Value),
}

/// Whether ONNX Runtime's operator supports this `head_dim`.
fn fits(attention: &Attention) -> bool {
    attention.width.is_multiple_of(8)
}

/// Whether that operator also supports the rotation.
fn turned_inside(attention: &Attention, rotation: &Rotation) -> bool {
    attention.width.is_multiple_of(16) && rotation.width.is_multiple_of(16)
}

impl Graph<'_> {
    /// From hidden states to a branch of the residual stream.
    pub(crate) fn attention(
        &mut self,
        attention: &Attention,
        x: &Value,
    ) -> Result<Branch, ExportError> {
        self.within(attention.scope, |graph| {
            let rows = graph.projected(attention, x)?;
            let mut heads = graph.attend(attention, rows)?;
            if let Some(gate) = &attention.gate {
                let gate = graph.linear(x, gate)?;
                let kind = gate.kind();
                let gate = graph.node("Sigmoid", &[&gate], vec![], kind.clone());
                heads = graph.node("Mul", &[&heads, &gate], vec![], kind);
            }
            graph.branch(&heads, &attention.output)
        })
    }

    /// Queries, keys and values, before the rotation; after it only in models whose norms follow the rotation.
    fn projected(&mut self, attention: &Attention, x: &Value) -> Result<Rows, ExportError> {
        let Attention {
            queries: query_heads,
            keys: key_heads,
            ..
        } = *attention;
        let rows = match &attention.rows {
            Projections::Together(all) => Rows::Together(self.linear(x, all)?),
            Projections::Apart {
                queries,
                keys,
                values,
            } => {
                let mut product = |linear: &Linear| self.linear(x, linear);
                Rows::Apart([product(queries)?, product(keys)?, product(values)?])
            }
        };
        let plain = attention.norms.is_none()
            && attention.clip.is_none()
            && attention.position_scale.is_none();
        if plain {
            return Ok(rows);
        }
        let [mut queries, mut keys, mut values] = self.apart(attention, rows);
        if let Some(norms) = &attention.norms {
            if let (true, Some(rotation)) = (norms.after_rotation, &attention.rotation) {
                queries = self.turned_rows(&queries, attention, query_heads, rotation)?;
                keys = self.turned_rows(&keys, attention, key_heads, rotation)?;
            }
            let width = attention.width;
            let queries_norm = (&norms.queries, query_heads);
            queries = self.normalised_heads(&queries, norms, queries_norm, width)?;
            keys = self.normalised_heads(&keys, norms, (&norms.keys, key_heads), width)?;
        }
        if let Some(clip) = attention.clip {
            let [least, most] = [-clip, clip].map(|n| self.numbers(queries.dtype, &[n], &[]));
            for rows in [&mut queries, &mut keys, &mut values] {
                let kind = rows.kind();
                *rows = self.node("Clip", &[rows, &least, &most], vec![], kind);
            }
        }
        if let Some(scale) = attention.position_scale {
            let factor = self.position_scale(scale)?;
            let kind = queries.kind();
            queries = self.node("Mul", &[&queries, &factor], vec![], kind);
        }
        Ok(Rows::Apart([queries, keys, values]))
    }

    /// Applies norms to the heads of rows.
    fn normalised_heads(
        &mut self,
        rows: &Value,
        norms: &HeadNorms,
        (norm, heads): (&Norm, usize),
        width: usize,
    ) -> Result<Value, ExportError> {
        if norms.over == NormOver::AllHeads && norms.order.is_empty() {
            return self.norm(rows, norm);
        }
        let by_head = self.by_heads(rows, heads, width);
        let kind = by_head.kind();
        let normalised = match norms.over {
            NormOver::Head if norms.order.is_empty() => self.norm(&by_head, norm)?,
            _ => {
                let bare = self.norm(&by_head, &norm.clone().bare())?;
                let weights = self.head_weights(norms, norm, heads, width)?;
                let weighed = self.node("Mul", &[&bare, &weights], vec![], kind.clone());
                match norm.bias {
                    false => weighed,
                    true => {
                        let change = Change {
                            rows: norms.order.clone(),
                            ..Change::default()
                        };
                        let bias = self.tensor(&format!("{}.bias", norm.name), &[width], change)?;
                        self.node("Add", &[&weighed, &bias], vec![], kind)
                    }
                }
            }
        };
        Ok(self.reshape(&normalised, &[0, 0, (heads * width) as i64], rows.kind()))
    }

    /// Weights of norms over heads, with dimensions in [`HeadNorms::order`]: `[width]` or `[heads, width]`.
    fn head_weights(
        &mut self,
        norms: &HeadNorms,
        norm: &Norm,
        heads: usize,
        width: usize,
    ) -> Result<Value, ExportError> {
        let name = format!("{}.weight", norm.name);
        let rows = Change {
            rows: norms.order.clone(),
            add: norm.offset as f32,
            ..Change::default()
        };
        match norms.over {
            NormOver::Head => self.tensor(&name, &[width], rows),
            NormOver::HeadWithOwnWeights => {
                let columns = Change {
                    by_columns: true,
                    transpose: true,
                    ..rows
                };
                self.tensor(&name, &[heads, width], columns)
            }
            NormOver::HeadWithOwnTensor => {
                let mut each = Vec::with_capacity(heads);
                for head in 0..heads {
                    let name = format!("{}.{head}.weight", norm.name);
                    each.push(self.tensor(&name, &[width], rows.clone())?);
                }
                let dtype = self.style.dtype;
                let kind = (dtype, vec![fixed(heads * width)]);
                let each: Vec<&Value> = each.iter().collect();
                let all = self.node("Concat", &each, vec![int("axis", 0)], kind);
                let kind = (dtype, vec![fixed(heads), fixed(width)]);
                Ok(self.reshape(&all, &[heads as i64, width as i64], kind))
            }
            NormOver::AllHeads => {
                let all = Change {
                    rows: (0..heads)
                        .flat_map(|head| norms.order.iter().map(move |i| head * width + i))
                        .collect(),
                    ..rows
                };
                let weights = self.tensor(&name, &[heads * width], all)?;
                let kind = (self.style.dtype, vec![fixed(heads), fixed(width)]);
                Ok(self.reshape(&weights, &[heads as i64, width as i64], kind))
            }
        }
    }

    /// Rotates rows, by standard operators or ONNX Runtime's.
    fn turned_rows(
        &mut self,
        rows: &Value,
        attention: &Attention,
        heads: usize,
        rotation: &Rotation,
    ) -> Result<Value, ExportError> {
        if !self.style.portable && fits(attention) {
            return self.turn_rows(rows, heads, rotation);
        }
        let kind = rows.kind();
        let split = self.split_heads(rows, heads, attention.width);
        let turned = self.turn(&split, rotation)?;
        let turned = self.permute(&turned, &[0, 2, 1, 3]);
        Ok(self.reshape(&turned, &[0, 0, (heads * attention.width) as i64], kind))
    }

    /// Computes attention over rows; the result is `[batch, length, queries * width]`.
    fn attend(&mut self, attention: &Attention, rows: Rows) -> Result<Value, ExportError> {
        let turned_already = attention
            .norms
            .as_ref()
            .is_some_and(|norms| norms.after_rotation);
        let rotation = attention.rotation.as_ref().filter(|_| !turned_already);
        if self.style.portable || !fits(attention) {
            return self.attend_by_standard_operators(attention, rows, rotation);
        }
        let kind: Kind = (
            self.style.dtype,
            vec![
                batch(),
                length(),
                fixed(attention.queries * attention.width),
            ],
        );
        let inside = rotation.filter(|rotation| turned_inside(attention, rotation));
        let [mut queries, mut keys, values] = match (rows, rotation) {
            (rows, Some(_)) if inside.is_none() => self.apart(attention, rows),
            (Rows::Together(all), _) => [all, Value::none(), Value::none()],
            (Rows::Apart(rows), _) => rows,
        };
        if let Some(rotation) = rotation.filter(|_| inside.is_none()) {
            queries = self.turn_rows(&queries, attention.queries, rotation)?;
            keys = self.turn_rows(&keys, attention.keys, rotation)?;
        }
        let [lengths, longest] = self.lengths()?;
        let none = Value::none();
        let mut attributes = vec![
            int("num_heads", attention.queries as i64),
            int("kv_num_heads", attention.keys as i64),
            float("scale", attention.scale as f32),
        ];
        let tables = inside
            .map(|rotation| self.rotary_tables(rotation))
            .transpose()?;
        let [cosine, sine] = match tables {
            Some(tables) => {
                attributes.push(int("do_rotary", 1));
                tables
            }
            None => [none.clone(), none.clone()],
        };
        attributes.extend(attention.cap.map(|cap| float("softcap", cap as f32)));
        let window = attention.window;
        attributes.extend(window.map(|window| int("local_window_size", window as i64)));
        let bias = match &attention.slopes {
            Some(slopes) => self.square_bias(slopes, attention.scale)?,
            None => none.clone(),
        };
        let sinks = match &attention.sinks {
            Some(name) => self.tensor(name, &[attention.queries], Change::default())?,
            None => none.clone(),
        };
        let inputs = [
            &queries, &keys, &values, &none, &none, &lengths, &longest, &cosine, &sine, &none,
            &bias, &sinks,
        ];
        Ok(self.microsoft("GroupQueryAttention", &inputs, attributes, kind))
    }

    /// The ALiBi bias on scores, by head and key: `[heads, 1, length]`, in f32.
    fn bias_by_key(&mut self, slopes: &Slopes, scale: f64) -> Result<Value, ExportError> {
        let positions = self.positions()?;
        self.once(&format!("slopes {slopes:?} {scale}"), |graph| {
            let heads = slopes.slopes.len();
            let mut positions = graph.cast(&positions, DataType::F32);
            let mut factors = graph.numbers(DataType::F32, &slopes.slopes, &[heads, 1, 1]);
            let rounded = |graph: &mut Self, value: &Value| match slopes.rounded {
                false => value.clone(),
                true => {
                    let short = graph.cast(value, DataType::Bf16);
                    graph.cast(&short, DataType::F32)
                }
            };
            positions = rounded(graph, &positions);
            factors = rounded(graph, &factors);
            let kind = (DataType::F32, vec![fixed(heads), fixed(1), length()]);
            let bias = graph.node("Mul", &[&factors, &positions], vec![], kind);
            let bias = rounded(graph, &bias);
            Ok(graph.scaled(bias, scale))
        })
    }

    /// The ALiBi bias repeated for every query: `[1, heads, length, length]`.
    fn square_bias(&mut self, slopes: &Slopes, scale: f64) -> Result<Value, ExportError> {
        let bias = self.bias_by_key(slopes, scale)?;
        let size = self.length_of_batch()?;
        self.once(&format!("square slopes {slopes:?} {scale}"), |graph| {
            let heads = slopes.slopes.len();
            let front = graph.integers(&[1, heads as i64], &[2]);
            let kind = (DataType::I64, vec![fixed(4)]);
            let axis = vec![int("axis", 0)];
            let shape = graph.node("Concat", &[&front, &size, &size], axis, kind);
            let dims = vec![fixed(1), fixed(heads), length(), length()];
            let kind = (DataType::F32, dims);
            let bias = graph.node("Expand", &[&bias, &shape], vec![], kind);
            Ok(graph.cast(&bias, graph.style.dtype))
        })
    }

    /// The length of each row minus one, and the maximum. Every row counts as the full length of the batch: attention
    /// is causal, so padding on the right does not affect the tokens before it.
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

    /// Splits rows into queries, keys and values.
    fn apart(&mut self, attention: &Attention, rows: Rows) -> [Value; 3] {
        let all = match rows {
            Rows::Apart(rows) => return rows,
            Rows::Together(all) => all,
        };
        let Attention {
            queries,
            keys,
            width,
            ..
        } = *attention;
        let sizes = [queries, keys, keys].map(|count| count * width);
        let outputs = sizes.map(|size| Some(all.kind_with_width(size)));
        let sizes = self.integers(&sizes.map(|size| size as i64), &[3]);
        let axis = vec![int("axis", -1)];
        let mut parts = self.nodes("", "Split", &[&all, &sizes], axis, outputs.to_vec());
        let (values, keys, queries) = (parts.pop(), parts.pop(), parts.pop());
        [queries, keys, values].map(|part| part.unwrap_or(Value::none()))
    }

    fn attend_by_standard_operators(
        &mut self,
        heads: &Attention,
        rows: Rows,
        rotary: Option<&Rotation>,
    ) -> Result<Value, ExportError> {
        let [queries, keys, values] = self.apart(heads, rows);
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
            // Queries [b, groups, heads per group, t, width]; keys and values [b, groups, 1, ..] broadcast in a group.
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
        if let Some(slopes) = &heads.slopes {
            let bias = self.bias_by_key(slopes, heads.scale)?;
            let bias = self.cast(&bias, scores.dtype);
            let (front, each): (&[i64], _) = match group > 1 {
                true => (
                    &[heads.keys as i64, group as i64],
                    vec![fixed(heads.keys), fixed(group)],
                ),
                false => (&[heads.queries as i64], vec![fixed(heads.queries)]),
            };
            let dims = [each, vec![fixed(1), length()]].concat();
            let shape = [front, &[1, -1]].concat();
            let bias = self.reshape(&bias, &shape, (scores.dtype, dims));
            scores = self.node("Add", &[&scores, &bias], vec![], kind.clone());
        }
        let mask = self.mask(heads.window)?;
        scores = self.node("Add", &[&scores, &mask], vec![], kind.clone());
        let shares = match &heads.sinks {
            Some(name) => self.softmax_with_sinks(heads, &scores, name)?,
            None => self.node("Softmax", &[&scores], vec![int("axis", -1)], kind),
        };
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

    /// Softmax over the scores and one additional score per head, the attention sink, which has no value.
    fn softmax_with_sinks(
        &mut self,
        heads: &Attention,
        scores: &Value,
        sinks: &str,
    ) -> Result<Value, ExportError> {
        let sinks = self.tensor(sinks, &[heads.queries], Change::default())?;
        let group = heads.queries / heads.keys;
        let (shape, dims) = match group > 1 {
            true => (
                vec![1, heads.keys as i64, group as i64, 1, 1],
                vec![
                    fixed(1),
                    fixed(heads.keys),
                    fixed(group),
                    fixed(1),
                    fixed(1),
                ],
            ),
            false => (
                vec![1, heads.queries as i64, 1, 1],
                vec![fixed(1), fixed(heads.queries), fixed(1), fixed(1)],
            ),
        };
        let sinks = self.reshape(&sinks, &shape, (scores.dtype, dims));
        // Expands the sinks to one per query, with the shape of the first column of the scores.
        let zero = self.integers(&[0], &[1]);
        let one = self.integers(&[1], &[1]);
        let last = self.integers(&[-1], &[1]);
        let mut kind = scores.kind_with_width(1);
        let column = self.node("Slice", &[scores, &zero, &one, &last], vec![], kind.clone());
        let nothing = self.numbers(scores.dtype, &[0.0], &[]);
        let column = self.node("Mul", &[&column, &nothing], vec![], kind.clone());
        let column = self.node("Add", &[&column, &sinks], vec![], kind.clone());
        if let Some(axis) = kind.1.last_mut() {
            *axis = Dimension::Named("length and one".to_owned());
        }
        let axis = || vec![int("axis", -1)];
        let all = self.node("Concat", &[&column, scores], axis(), kind.clone());
        let shares = self.node("Softmax", &[&all], axis(), kind);
        let end = self.integers(&[i64::MAX], &[1]);
        Ok(self.node(
            "Slice",
            &[&shares, &one, &end, &last],
            vec![],
            scores.kind(),
        ))
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

    /// Reshapes a value; the order of its elements stays.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64], kind: Kind) -> Value {
        let shape = self.integers(shape, &[shape.len()]);
        self.node("Reshape", &[x, &shape], vec![], kind)
    }

    /// The mask `[length, length]`, added to scores: 0 where a token may attend, else a number whose exponential is 0.
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
            // Close to the smallest number of the dtype, with room to add a score.
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
