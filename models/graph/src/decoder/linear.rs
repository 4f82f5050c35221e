//! Linear layers and embeddings: matmuls and lookups with weights of the checkpoint.

use rho_checkpoint::{Stored, decoder::Linear};

use crate::{
    DataType, Dimension, ExportError,
    build::int,
    export::{
        constants::{Change, Constant, Content, Order, Quantise},
        graph::{Graph, Value},
    },
};

impl Graph<'_> {
    /// `x W + b`.
    pub(crate) fn linear(&mut self, x: &Value, linear: &Linear) -> Result<Value, ExportError> {
        let product = self.product(x, linear)?;
        match self.bias(linear)? {
            None => Ok(product),
            Some(bias) => {
                let kind = product.kind();
                Ok(self.node("Add", &[&product, &bias], vec![], kind))
            }
        }
    }

    /// Only the bias, for an operator that adds it itself.
    pub(crate) fn bias(&mut self, linear: &Linear) -> Result<Option<Value>, ExportError> {
        let Some(name) = &linear.bias else {
            return Ok(None);
        };
        let change = Change {
            rows: linear.rows.clone(),
            ..Change::default()
        };
        let stored = self.stored(name, &[linear.outputs], linear.expert)?;
        let bias = self.changed(name, stored, change, self.style.dtype, &linear.part);
        Ok(Some(self.constant(bias)))
    }

    /// A tensor of the checkpoint, or one expert's part of it.
    fn stored(
        &mut self,
        name: &str,
        dims: &[usize],
        expert: Option<(usize, usize)>,
    ) -> Result<Stored, ExportError> {
        let Some((index, count)) = expert else {
            return self.take(name, dims);
        };
        let whole = [&[count], dims].concat();
        Ok(self.take(name, &whole)?.part(index))
    }

    /// `x W`, without the bias.
    pub(crate) fn product(&mut self, x: &Value, linear: &Linear) -> Result<Value, ExportError> {
        let stored = self.stored(&linear.weights, &dims(linear), linear.expert)?;
        if self.style.int8 {
            return self.product_in_8_bits(x, stored, linear);
        }
        let kind = x.kind_with_width(linear.width());
        let weights = self.matrix(linear, stored);
        let weights = self.constant(weights);
        Ok(self.node("MatMul", &[x, &weights], vec![], kind))
    }

    /// A linear layer that is never computed in lower precision. Lower precision applies only to weights with two axes,
    /// so these get a third.
    pub(crate) fn product_apart(
        &mut self,
        x: &Value,
        linear: &Linear,
    ) -> Result<Value, ExportError> {
        let stored = self.stored(&linear.weights, &dims(linear), linear.expert)?;
        let mut weights = self.matrix(linear, stored);
        weights.dims.insert(0, 1);
        let weights = self.constant(weights);
        let (dtype, mut axes) = x.kind_with_width(linear.width());
        axes.insert(0, Dimension::Fixed(1));
        let product = self.node("MatMul", &[x, &weights], vec![], (dtype, axes));
        let shape = [-1, linear.width() as i64];
        let mut product = self.reshape(&product, &shape, x.kind_with_width(linear.width()));
        if let Some(bias) = self.bias(linear)? {
            let kind = product.kind();
            product = self.node("Add", &[&product, &bias], vec![], kind);
        }
        Ok(product)
    }

    /// The weights as `[inputs, outputs]`.
    fn matrix(&self, linear: &Linear, stored: Stored) -> Constant {
        let change = match (linear.inputs_first, linear.rows.is_empty()) {
            // GPT-2's matrices already have MatMul's layout.
            (true, true) => Change::default(),
            (by_columns, _) => Change {
                rows: linear.rows.clone(),
                by_columns,
                transpose: true,
                ..Change::default()
            },
        };
        let dtype = self.style.dtype;
        self.changed(&linear.weights, stored, change, dtype, &linear.part)
    }

    /// A constant from a changed tensor.
    fn changed(
        &self,
        name: &str,
        stored: Stored,
        change: Change,
        dtype: DataType,
        part: &str,
    ) -> Constant {
        Constant {
            name: format!("{}{part}", self.path(name)),
            dtype,
            dims: change.dims(&stored.dims),
            content: Content::Stored(stored, change),
        }
    }

    /// A matmul with weights in 8 bits and one scale per output: MatMulNBits, or DequantizeLinear and MatMul if only
    /// standard operators may be used.
    fn product_in_8_bits(
        &mut self,
        x: &Value,
        stored: Stored,
        linear: &Linear,
    ) -> Result<Value, ExportError> {
        let name = &linear.weights;
        let order = match self.style.portable {
            true => Order::Columns,
            false => Order::Blocks {
                block: block(linear.inputs),
            },
        };
        let change = |quantise| Change {
            quantise: Some(quantise),
            by_columns: linear.inputs_first,
            rows: linear.rows.clone(),
            ..Change::default()
        };
        let (levels_type, float) = match self.style.portable {
            true => (DataType::I8, self.style.dtype),
            false => (DataType::U8, self.style.dtype),
        };
        let (levels, scales) = (
            change(Quantise::Levels(order)),
            change(Quantise::Scales(order)),
        );
        let part = format!("{}.int8", linear.part);
        let levels = self.changed(name, stored.clone(), levels, levels_type, &part);
        let levels = self.constant(levels);
        let part = format!("{}.scales", linear.part);
        let scales = self.changed(name, stored, scales, float, &part);
        let scales = self.constant(scales);
        let width = linear.width();
        let kind = x.kind_with_width(width);
        if self.style.portable {
            let dims = vec![Dimension::Fixed(linear.inputs), Dimension::Fixed(width)];
            let axis = vec![int("axis", 1)];
            let weights = self.node("DequantizeLinear", &[&levels, &scales], axis, (float, dims));
            return Ok(self.node("MatMul", &[x, &weights], vec![], kind));
        }
        let attributes = vec![
            int("K", linear.inputs as i64),
            int("N", width as i64),
            int("bits", 8),
            int("block_size", block(linear.inputs) as i64),
            // Activations are quantised to 8 bits as well.
            int("accuracy_level", 4),
        ];
        Ok(self.microsoft("MatMulNBits", &[x, &levels, &scales], attributes, kind))
    }

    /// Looks up rows of a table by token or position: `ids` `[..]` to `[.., width]`.
    pub(crate) fn embedding(
        &mut self,
        name: &str,
        ids: &Value,
        rows: usize,
        width: usize,
    ) -> Result<Value, ExportError> {
        let table = self.tensor(&format!("{name}.weight"), &[rows, width], Change::default())?;
        let mut dims = ids.dims.clone();
        dims.push(Dimension::Fixed(width));
        let kind = (table.dtype, dims);
        Ok(self.node("Gather", &[&table, ids], vec![int("axis", 0)], kind))
    }
}

/// The stored shape.
fn dims(linear: &Linear) -> [usize; 2] {
    match linear.inputs_first {
        true => [linear.inputs, linear.outputs],
        false => [linear.outputs, linear.inputs],
    }
}

/// MatMulNBits' block size: the largest of 128, 64 and 32 that divides the width, else 32.
fn block(width: usize) -> usize {
    let fits = [128, 64, 32]
        .into_iter()
        .find(|block| width.is_multiple_of(*block));
    fits.unwrap_or(32)
}
