//! The operator `Attention`: queries, keys, mask and values in, weighted values out.

use std::sync::{Mutex, PoisonError};

use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType,
};
use rho_graph::attention::names;

use crate::{
    attention::{Operands, Shape, attend, block_rows, visible},
    head::kernel::Instructions,
};

/// Attention of every layer alike.
pub(crate) struct AttentionOperator {
    pub(crate) instructions: Instructions,
}

impl Operator for AttentionOperator {
    type Kernel<'attribute> = AttentionKernel;

    fn name(&self) -> &str {
        names::ATTENTION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [const { OperatorInput::required(TensorElementType::Float32) }; 4]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attribute>(
        &self,
        _: &KernelContext<'attribute>,
    ) -> ort::Result<AttentionKernel> {
        Ok(AttentionKernel {
            instructions: self.instructions,
        })
    }
}

/// One attention of a graph.
pub(crate) struct AttentionKernel {
    instructions: Instructions,
}

impl Kernel for AttentionKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("attention without an operand");
        let input = |i: usize| context.input(i)?.ok_or_else(missing);
        let values = [input(0)?, input(1)?, input(2)?, input(3)?];
        let mut shapes = [const { Vec::new() }; 4];
        let mut data: [&[f32]; 4] = [&[]; 4];
        for (i, value) in values.iter().enumerate() {
            let (shape, numbers) = value.try_extract_tensor::<f32>()?;
            shapes[i] = shape.iter().map(|&d| d.max(0) as usize).collect();
            data[i] = numbers;
        }
        let unfit = || {
            let [queries, keys, mask, values] = &shapes;
            ort::Error::new(format!(
                "attention: expected queries [b, h, t, k], keys [b, h, k, s], a mask that spreads to [b, h, t, s] and \
                 values [b, h, s, v], got {queries:?}, {keys:?}, {mask:?}, {values:?}"
            ))
        };
        let axes = shapes[0].len();
        let [Some(queries), Some(keys), Some(values)] = [0, 1, 3].map(|i| four(&shapes[i])) else {
            return Err(unfit());
        };
        let ([batch, heads, rows, key_width], columns, value_width) = (queries, keys[3], values[3]);
        let keys_spread = Spread::of(&shapes[1], [batch, heads, key_width, columns]);
        let values_spread = Spread::of(&shapes[3], [batch, heads, columns, value_width]);
        let mask_spread = Spread::of(&shapes[2], [batch, heads, rows, columns]);
        let (Some(mask_spread), Some(keys_spread), Some(values_spread)) =
            (mask_spread, keys_spread, values_spread)
        else {
            return Err(unfit());
        };
        // Only a mask may have one row for all.
        if keys_spread.rows != key_width || values_spread.rows != columns {
            return Err(unfit());
        }
        let shape = Shape {
            columns,
            key_width,
            value_width,
        };
        let out_shape = [batch, heads, rows, value_width].map(|d| d as i64);
        let mut out = context
            .output(0, out_shape[4 - axes..].to_vec())?
            .ok_or_else(missing)?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        if out.is_empty() || columns == 0 {
            // Nothing to be seen adds up to nothing.
            out.fill(0.0);
            return Ok(());
        }
        let seen: Vec<usize> = data[2].chunks_exact(columns).map(visible).collect();
        let block = block_rows(self.instructions);
        let parts: Vec<_> = out
            .chunks_mut(rows * value_width)
            .enumerate()
            .flat_map(|(head, out)| {
                let blocks = out.chunks_mut(block * value_width).enumerate();
                blocks.map(move |(i, out)| (head, i * block, out))
            })
            .map(Mutex::new)
            .collect();
        context.par_for(parts.len(), parts.len(), |task| {
            // Each task is run once: the lock only tells the compiler so. The last rows see most: they come first.
            let part = &parts[parts.len() - 1 - task];
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let (head, from, out) = &mut *part;
            let (b, h) = (*head / heads, *head % heads);
            let (mask, mask_rows) = (mask_spread.first_row(b, h), mask_spread.rows);
            let from_keys = keys_spread.first_row(b, h) * columns;
            let from_values = values_spread.first_row(b, h) * value_width;
            let operands = Operands {
                queries: &data[0][*head * rows * key_width..][..rows * key_width],
                keys: &data[1][from_keys..][..key_width * columns],
                mask: &data[2][mask * columns..][..mask_rows * columns],
                values: &data[3][from_values..][..columns * value_width],
                visible: &seen[mask..][..mask_rows],
            };
            attend(self.instructions, shape, operands, *from, out);
        })
    }
}

/// Three or four axes as four.
fn four(dims: &[usize]) -> Option<[usize; 4]> {
    match *dims {
        [heads, rows, columns] => Some([1, heads, rows, columns]),
        [batch, heads, rows, columns] => Some([batch, heads, rows, columns]),
        _ => None,
    }
}

/// How an operand of fewer heads or rows serves all, as a matrix product and an addition have it.
struct Spread {
    batch: usize,
    heads: usize,
    rows: usize,
}

impl Spread {
    /// Leading axes may be missing, and all but the last may be 1.
    fn of(dims: &[usize], [batch, heads, rows, columns]: [usize; 4]) -> Option<Self> {
        let mut all = [1; 4];
        all.get_mut(4usize.checked_sub(dims.len())?..)?
            .copy_from_slice(dims);
        let fits = |got: usize, all: usize| got == 1 || got == all;
        let good = fits(all[0], batch) && fits(all[1], heads) && fits(all[2], rows);
        (good && all[3] == columns).then_some(Self {
            batch: all[0],
            heads: all[1],
            rows: all[2],
        })
    }

    /// The operand's row for the first row of a head.
    fn first_row(&self, batch: usize, head: usize) -> usize {
        let (batch, head) = (batch.min(self.batch - 1), head.min(self.heads - 1));
        (batch * self.heads + head) * self.rows
    }
}
