//! Rotary position embedding in the graph.
//!
//! Cosine and sine tables are computed in the graph, for as many positions as a batch has: `[length, width / 2]`.

use rho_checkpoint::{Rotation, decoder::PositionScale};

use crate::{
    DataType, ExportError,
    build::{int, ints},
    export::graph::{Graph, Value, fixed, length},
};

impl Graph<'_> {
    /// Cosine and sine `[length, width / 2]`, computed once for all layers.
    pub(crate) fn rotary_tables(&mut self, rotary: &Rotation) -> Result<[Value; 2], ExportError> {
        let key = format!("{rotary:?}");
        let positions = self.position_column()?;
        let angles = self.once(&format!("angles {key}"), |graph| {
            let pairs = rotary.frequencies.len();
            let frequencies = graph.numbers(DataType::F32, &rotary.frequencies, &[1, pairs]);
            let kind = (DataType::F32, vec![length(), fixed(pairs)]);
            Ok(graph.node("Mul", &[&positions, &frequencies], vec![], kind))
        })?;
        let mut table = |operator: &str| {
            self.once(&format!("{operator} {key}"), |graph| {
                let mut table = graph.node(operator, &[&angles], vec![], angles.kind());
                if rotary.factor != 1.0 {
                    let factor = graph.numbers(DataType::F32, &[rotary.factor], &[]);
                    table = graph.node("Mul", &[&table, &factor], vec![], angles.kind());
                }
                Ok(graph.cast(&table, graph.style.dtype))
            })
        };
        Ok([table("Cos")?, table("Sin")?])
    }

    /// 0, 1, 2, ... `[length, 1]`, always in f32: bf16 cannot even count to 300.
    fn position_column(&mut self) -> Result<Value, ExportError> {
        let positions = self.positions()?;
        self.once("position column", |graph| {
            let axis = graph.integers(&[1], &[1]);
            let kind = (positions.dtype, vec![length(), fixed(1)]);
            let positions = graph.node("Unsqueeze", &[&positions, &axis], vec![], kind);
            Ok(graph.cast(&positions, DataType::F32))
        })
    }

    /// A factor per position `[length, 1]`: see [`PositionScale`].
    pub(crate) fn position_scale(&mut self, scale: PositionScale) -> Result<Value, ExportError> {
        let positions = self.position_column()?;
        self.once(&format!("position scale {scale:?}"), |graph| {
            let [original, one, beta] = [scale.original as f64, 1.0, scale.beta]
                .map(|n| graph.numbers(DataType::F32, &[n], &[]));
            let mut step = |operator: &str, inputs: &[&Value]| {
                graph.node(operator, inputs, vec![], positions.kind())
            };
            let times = step("Div", &[&positions, &original]);
            let times = step("Floor", &[&times]);
            let times = step("Add", &[&times, &one]);
            let grown = step("Log", &[&times]);
            let grown = step("Mul", &[&grown, &beta]);
            let factor = step("Add", &[&grown, &one]);
            Ok(graph.cast(&factor, graph.style.dtype))
        })
    }

    /// 0, 1, 2, ... `[length]`. The graph computes position ids itself, because rows are only padded on the right.
    pub(crate) fn positions(&mut self) -> Result<Value, ExportError> {
        let size = self.length_of_batch()?;
        self.once("positions", |graph| {
            let axis = graph.integers(&[0], &[1]);
            let kind = (DataType::I64, vec![]);
            let end = graph.node("Squeeze", &[&size, &axis], vec![], kind);
            let (start, step) = (graph.integers(&[0], &[]), graph.integers(&[1], &[]));
            let kind = (DataType::I64, vec![length()]);
            Ok(graph.node("Range", &[&start, &end, &step], vec![], kind))
        })
    }

    /// The number of tokens in each row: i64 `[1]`.
    pub(crate) fn length_of_batch(&mut self) -> Result<Value, ExportError> {
        self.once("length", |graph| {
            let ids = graph.input_ids();
            let range = vec![int("start", 1), int("end", 2)];
            Ok(graph.node("Shape", &[&ids], range, (DataType::I64, vec![fixed(1)])))
        })
    }

    /// Rotates heads `[batch, heads, length, width]` by standard operators.
    pub(crate) fn turn(&mut self, x: &Value, rotary: &Rotation) -> Result<Value, ExportError> {
        let [cosine, sine] = self.rotary_tables(rotary)?;
        let half = rotary.width / 2;
        let head = match x.dims.last() {
            Some(crate::Dimension::Fixed(head)) => *head,
            _ => rotary.width,
        };
        let mut sizes = vec![half as i64, half as i64];
        let mut outputs = vec![Some(x.kind_with_width(half)), Some(x.kind_with_width(half))];
        if head > rotary.width {
            sizes.push((head - rotary.width) as i64);
            outputs.push(Some(x.kind_with_width(head - rotary.width)));
        }
        let count = sizes.len();
        let sizes = self.integers(&sizes, &[count]);
        let parts = self.nodes("", "Split", &[x, &sizes], vec![int("axis", -1)], outputs);
        let kind = parts[0].kind();
        let mut product = |a: &Value, b: &Value| self.node("Mul", &[a, b], vec![], kind.clone());
        let (a_cosine, a_sine) = (product(&parts[0], &cosine), product(&parts[0], &sine));
        let (b_cosine, b_sine) = (product(&parts[1], &cosine), product(&parts[1], &sine));
        let first = self.node("Sub", &[&a_cosine, &b_sine], vec![], kind.clone());
        let second = self.node("Add", &[&b_cosine, &a_sine], vec![], kind);
        let mut turned = vec![&first, &second];
        turned.extend(parts.get(2));
        Ok(self.node("Concat", &turned, vec![int("axis", -1)], x.kind()))
    }

    /// Rotates rows `[batch, length, heads * head]` by ONNX Runtime's operator.
    pub(crate) fn turn_rows(
        &mut self,
        x: &Value,
        heads: usize,
        rotary: &Rotation,
    ) -> Result<Value, ExportError> {
        let [cosine, sine] = self.rotary_tables(rotary)?;
        let start = self.once("first position", |graph| Ok(graph.integers(&[0], &[1])))?;
        let attributes = vec![
            int("num_heads", heads as i64),
            int("rotary_embedding_dim", rotary.width as i64),
        ];
        let inputs = [x, &start, &cosine, &sine];
        Ok(self.microsoft("RotaryEmbedding", &inputs, attributes, x.kind()))
    }

    /// Permutes the axes.
    pub(crate) fn permute(&mut self, x: &Value, order: &[usize]) -> Value {
        let dims = order.iter().map(|&axis| x.dims[axis].clone()).collect();
        let order: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        self.node(
            "Transpose",
            &[x],
            vec![ints("perm", &order)],
            (x.dtype, dims),
        )
    }
}
