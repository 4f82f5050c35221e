//! Matrix products with weights of the checkpoint.

use crate::{
    ExportError,
    build::{self, int},
    export::{
        constants::{Change, Order, Quantise},
        graph::{Graph, Value},
    },
};

/// A linear layer: `name.weight`, and `name.bias` where it has one.
#[derive(Debug, Clone)]
pub(crate) struct Linear<'a> {
    pub(crate) name: &'a str,
    pub(crate) inputs: usize,
    /// Rows of the stored weights.
    pub(crate) outputs: usize,
    pub(crate) bias: bool,
    /// Stored as `[inputs, outputs]`, as GPT-2 does; else `[outputs, inputs]`.
    pub(crate) inputs_first: bool,
    /// The outputs to take, in this order; all where there is nothing.
    pub(crate) rows: Vec<usize>,
    /// Behind the constant's name, where only a part is taken.
    pub(crate) part: &'a str,
}

impl<'a> Linear<'a> {
    pub(crate) fn new(name: &'a str, inputs: usize, outputs: usize) -> Self {
        Self {
            name,
            inputs,
            outputs,
            bias: false,
            inputs_first: false,
            rows: Vec::new(),
            part: "",
        }
    }

    pub(crate) fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// Gate, up and down of a gated block, without biases.
    pub(crate) fn gated(hidden: usize, intermediate: usize) -> [Linear<'static>; 3] {
        [
            Linear::new("gate_proj", hidden, intermediate),
            Linear::new("up_proj", hidden, intermediate),
            Linear::new("down_proj", intermediate, hidden),
        ]
    }

    fn change(&self) -> Change {
        Change {
            rows: self.rows.clone(),
            ..Change::default()
        }
    }

    fn width(&self) -> usize {
        self.change().dims(&[self.outputs])[0]
    }
}

impl Graph<'_> {
    /// `x W + b`.
    pub(crate) fn linear(&mut self, x: &Value, linear: &Linear<'_>) -> Result<Value, ExportError> {
        let product = self.product(x, linear)?;
        match self.bias(linear)? {
            None => Ok(product),
            Some(bias) => {
                let kind = product.kind();
                Ok(self.node("Add", &[&product, &bias], vec![], kind))
            }
        }
    }

    /// The bias alone, for an operator that adds it by itself.
    pub(crate) fn bias(&mut self, linear: &Linear<'_>) -> Result<Option<Value>, ExportError> {
        if !linear.bias {
            return Ok(None);
        }
        let name = format!("{}.bias", linear.name);
        let dtype = self.style.dtype;
        let dims = [linear.outputs];
        let bias = self.tensor_as(&name, &dims, linear.change(), dtype, linear.part)?;
        Ok(Some(bias))
    }

    /// `x W`, without the bias.
    pub(crate) fn product(&mut self, x: &Value, linear: &Linear<'_>) -> Result<Value, ExportError> {
        let name = format!("{}.weight", linear.name);
        let kind = x.kind_with_width(linear.width());
        // GPT-2's matrices lie as MatMul takes them.
        let (dims, transpose) = match linear.inputs_first {
            true => ([linear.inputs, linear.outputs], false),
            false => ([linear.outputs, linear.inputs], true),
        };
        let change = Change {
            transpose,
            ..linear.change()
        };
        if self.style.int8 {
            return self.product_in_8_bits(x, &name, dims, linear);
        }
        let weights = self.tensor_as(&name, &dims, change, self.style.dtype, linear.part)?;
        Ok(self.node("MatMul", &[x, &weights], vec![], kind))
    }

    /// With one scale per output: MatMulNBits, or DequantizeLinear before a MatMul where only standard operators are
    /// wanted.
    fn product_in_8_bits(
        &mut self,
        x: &Value,
        name: &str,
        dims: [usize; 2],
        linear: &Linear<'_>,
    ) -> Result<Value, ExportError> {
        let order = match self.style.portable {
            true => Order::Columns,
            false => Order::Blocks {
                block: block(linear.inputs),
            },
        };
        let change = |quantise| Change {
            quantise: Some(quantise),
            by_columns: linear.inputs_first,
            ..linear.change()
        };
        let (levels_type, float) = match self.style.portable {
            true => (crate::DataType::I8, self.style.dtype),
            false => (crate::DataType::U8, self.style.dtype),
        };
        let (levels, scales) = (
            change(Quantise::Levels(order)),
            change(Quantise::Scales(order)),
        );
        let part = format!("{}.int8", linear.part);
        let levels = self.tensor_as(name, &dims, levels, levels_type, &part)?;
        let part = format!("{}.scales", linear.part);
        let scales = self.tensor_as(name, &dims, scales, float, &part)?;
        let width = linear.width();
        let kind = x.kind_with_width(width);
        if self.style.portable {
            let dims = vec![
                crate::Dimension::Fixed(linear.inputs),
                crate::Dimension::Fixed(width),
            ];
            let axis = vec![int("axis", 1)];
            let weights = self.node("DequantizeLinear", &[&levels, &scales], axis, (float, dims));
            return Ok(self.node("MatMul", &[x, &weights], vec![], kind));
        }
        let attributes = vec![
            int("K", linear.inputs as i64),
            int("N", width as i64),
            int("bits", 8),
            int("block_size", block(linear.inputs) as i64),
            // Rows in 8 bits too.
            int("accuracy_level", 4),
        ];
        Ok(self.microsoft("MatMulNBits", &[x, &levels, &scales], attributes, kind))
    }

    /// Rows of a table by token or position: `ids` [..] to [.., width].
    pub(crate) fn embedding(
        &mut self,
        name: &str,
        ids: &Value,
        rows: usize,
        width: usize,
    ) -> Result<Value, ExportError> {
        let table = self.tensor(&format!("{name}.weight"), &[rows, width], Change::default())?;
        let mut dims = ids.dims.clone();
        dims.push(crate::Dimension::Fixed(width));
        let kind = (table.dtype, dims);
        Ok(self.node("Gather", &[&table, ids], vec![build::int("axis", 0)], kind))
    }
}

/// The longest block of MatMulNBits that fills rows of this width without a rest, as far as there is one.
fn block(width: usize) -> usize {
    let fits = [128, 64, 32]
        .into_iter()
        .find(|block| width.is_multiple_of(*block));
    fits.unwrap_or(32)
}
