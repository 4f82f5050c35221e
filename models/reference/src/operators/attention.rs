//! The operator `Attention`: takes queries, keys, mask and values, returns weighted values.

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

/// The operator; all layers share it.
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
        context: &KernelContext<'attribute>,
    ) -> ort::Result<AttentionKernel> {
        let axes = context.get::<i64>(names::AXES);
        Ok(AttentionKernel {
            instructions: self.instructions,
            axes: axes.and_then(|axes| usize::try_from(axes).ok()),
        })
    }
}

/// One attention node of a graph.
pub(crate) struct AttentionKernel {
    instructions: Instructions,
    axes: Option<usize>,
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
                "attention: expected queries [.., t, k], keys [.., k, s], a mask that broadcasts to [.., t, s] and \
                 values [.., s, v], got {queries:?}, {keys:?}, {mask:?}, {values:?}"
            ))
        };
        let [Some(queries), Some(keys), Some(values)] = [0, 1, 3].map(|i| matrix(&shapes[i]))
        else {
            return Err(unfit());
        };
        let (lead, [rows, key_width]) = queries;
        let (columns, value_width) = (keys.1[1], values.1[1]);
        let spreads = [
            Spread::of(&shapes[1], lead, [key_width, columns]),
            Spread::of(&shapes[2], lead, [rows, columns]),
            Spread::of(&shapes[3], lead, [columns, value_width]),
        ];
        let [Some(keys_spread), Some(mask_spread), Some(values_spread)] = spreads else {
            return Err(unfit());
        };
        // Only a mask may have a single row for all rows.
        let other_axes = self.axes.is_some_and(|axes| axes != lead.len() + 2);
        if lead.is_empty()
            || other_axes
            || keys_spread.rows != key_width
            || values_spread.rows != columns
        {
            return Err(unfit());
        }
        let shape = Shape {
            columns,
            key_width,
            value_width,
        };
        let out_shape = lead.iter().chain([&rows, &value_width]).map(|&d| d as i64);
        let mut out = context
            .output(0, out_shape.collect::<Vec<_>>())?
            .ok_or_else(missing)?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        if out.is_empty() || columns == 0 {
            // Without keys the sum is zero.
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
            // Each task runs once: the lock only proves this to the compiler. The last rows see most columns, so they
            // run first.
            let part = &parts[parts.len() - 1 - task];
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let (head, from, out) = &mut *part;
            let (mask, mask_rows) = (mask_spread.first_row(*head), mask_spread.rows);
            let from_keys = keys_spread.first_row(*head) * columns;
            let from_values = values_spread.first_row(*head) * value_width;
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

/// Splits a shape into its leading axes and its last two.
fn matrix(dims: &[usize]) -> Option<(&[usize], [usize; 2])> {
    let (lead, matrix) = dims.split_last_chunk::<2>()?;
    Some((lead, *matrix))
}

/// How an operand broadcasts to the output's heads and rows.
struct Spread {
    /// For each leading axis, last axis first: its size in the output, and the step along it in rows of the operand.
    lead: Vec<(usize, usize)>,
    rows: usize,
}

impl Spread {
    /// The broadcast of `dims` to `lead` and `[rows, columns]`, if possible. Leading axes may be missing, and every
    /// axis but the last may be 1.
    fn of(dims: &[usize], lead: &[usize], [rows, columns]: [usize; 2]) -> Option<Self> {
        let axes = lead.len() + 2;
        let mut all = vec![1; axes];
        all.get_mut(axes.checked_sub(dims.len())?..)?
            .copy_from_slice(dims);
        let fits = |(&got, &all): (&usize, &usize)| got == 1 || got == all;
        let (got_lead, got) = matrix(&all)?;
        let good = got_lead.iter().zip(lead).all(fits) && fits((&got[0], &rows));
        if !good || got[1] != columns {
            return None;
        }
        let mut step = got[0];
        let mut steps = Vec::new();
        for (&got, &all) in got_lead.iter().zip(lead).rev() {
            steps.push((all, if got == 1 { 0 } else { step }));
            step *= got;
        }
        Some(Self {
            lead: steps,
            rows: got[0],
        })
    }

    /// The operand's row for the first row of a head. Heads are counted over all leading axes.
    fn first_row(&self, mut head: usize) -> usize {
        let mut row = 0;
        // From the last axis on.
        for (size, step) in &self.lead {
            row += head % size * step;
            head /= size;
        }
        row
    }
}
