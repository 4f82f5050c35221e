//! The operator `GroupedAttention`: takes rows of queries, keys and values of all heads, returns rows of weighted
//! values.

use std::sync::{Mutex, PoisonError};

use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType,
};
use rho_graph::attention::names;
use rho_kernels::{Aligned, Instructions};

use crate::attention::{
    block_rows,
    grouped::{HeadRows, Operands, Rule, Tables, attend, pack_keys, pack_values, packed_size},
};

/// The operator; all layers share it.
pub(crate) struct GroupedOperator {
    pub(crate) instructions: Instructions,
}

impl Operator for GroupedOperator {
    type Kernel<'attribute> = GroupedKernel;

    fn name(&self) -> &str {
        names::GROUPED
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let required = const { OperatorInput::required(TensorElementType::Float32) };
        let optional = || const { OperatorInput::optional(TensorElementType::Float32) };
        [required, optional(), optional(), optional(), optional()]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attribute>(
        &self,
        context: &KernelContext<'attribute>,
    ) -> ort::Result<GroupedKernel> {
        let whole = |name: &str| {
            let number = context.get::<i64>(name);
            number
                .and_then(|n| usize::try_from(n).ok())
                .filter(|&n| n > 0)
        };
        let missing = |name: &str| ort::Error::new(format!("attention without {name}"));
        let heads = whole(names::HEADS).ok_or_else(|| missing(names::HEADS))?;
        let groups = whole(names::GROUPS).ok_or_else(|| missing(names::GROUPS))?;
        Ok(GroupedKernel {
            instructions: self.instructions,
            heads,
            groups,
            scale: context
                .get::<f32>(names::SCALE)
                .filter(|&scale| scale != 0.0),
            cap: context.get::<f32>(names::CAP).filter(|&cap| cap > 0.0),
            window: whole(names::WINDOW),
            scratch: Aligned::zeroed(0),
        })
    }
}

/// One attention node of a graph.
pub(crate) struct GroupedKernel {
    instructions: Instructions,
    heads: usize,
    groups: usize,
    scale: Option<f32>,
    cap: Option<f32>,
    window: Option<usize>,
    /// Packed keys and values. Reused, because a new allocation would be page-faulted in.
    scratch: Aligned,
}

impl Kernel for GroupedKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let inputs = [
            context.input(0)?,
            context.input(1)?,
            context.input(2)?,
            context.input(3)?,
            context.input(4)?,
        ];
        let mut shapes = [const { Vec::new() }; 5];
        let mut data: [&[f32]; 5] = [&[]; 5];
        for (i, value) in inputs.iter().enumerate() {
            if let Some(value) = value {
                let (shape, numbers) = value.try_extract_tensor::<f32>()?;
                shapes[i] = shape.iter().map(|&d| d.max(0) as usize).collect();
                data[i] = numbers;
            }
        }
        let (heads, groups) = (self.heads, self.groups);
        let unfit = || {
            ort::Error::new(format!(
                "attention of {heads} heads in {groups} groups: expected rows [b, t, width] of queries, keys and values \
                 or of all three, and tables [t or more, pairs]; got {shapes:?}"
            ))
        };
        let [batch, length, all] = shapes[0][..] else {
            return Err(unfit());
        };
        let together = shapes[1].is_empty();
        let count = if together { heads + 2 * groups } else { heads };
        let width = all / count;
        let apart = [batch, length, groups * width];
        let fits = all == count * width
            && heads.is_multiple_of(groups)
            && width > 0
            && (together || (shapes[1] == apart && shapes[2] == apart));
        let tables = match shapes[3][..] {
            [] => None,
            [rows, pairs] if rows >= length && 2 * pairs <= width && shapes[4] == shapes[3] => {
                Some(Tables {
                    cosine: data[3],
                    sine: data[4],
                    pairs,
                })
            }
            _ => return Err(unfit()),
        };
        if !fits {
            return Err(unfit());
        }
        let shape = [batch, length, heads * width].map(|d| d as i64);
        let missing = || ort::Error::new("attention without an output");
        let mut out = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        if out.is_empty() {
            return Ok(());
        }
        let rule = Rule {
            length,
            width,
            scale: self.scale.unwrap_or(1.0 / (width as f32).sqrt()),
            cap: self.cap,
            window: self.window.filter(|&window| window < length),
        };
        // If all three are in one tensor, keys and values follow the queries in each row.
        let rows = |document: usize, kind: usize, head: usize| {
            let (data, stride, at) = match (together, kind) {
                (true, 0) => (data[0], all, head),
                (true, kind) => (data[0], all, heads + (kind - 1) * groups + head),
                (false, 0) => (data[0], all, head),
                (false, kind) => (data[kind], groups * width, head),
            };
            HeadRows {
                numbers: &data[document * length * stride + at * width..],
                stride,
            }
        };
        let instructions = self.instructions;
        let [keys_size, values_size] = packed_size(instructions, &rule);
        let each = keys_size + values_size;
        let needed = batch * groups * each;
        if self.scratch.as_slice().len() < needed {
            self.scratch = Aligned::zeroed(needed);
        }
        let packed = &mut self.scratch.as_mut_slice()[..needed];
        let parts: Vec<_> = packed
            .chunks_exact_mut(each)
            .enumerate()
            .flat_map(|(group, part)| {
                let (keys, values) = part.split_at_mut(keys_size);
                [(group, 1, keys), (group, 2, values)]
            })
            .map(Mutex::new)
            .collect();
        context.par_for(parts.len(), parts.len(), |task| {
            // Each task runs once: the lock only proves this to the compiler, here and below.
            let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
            let (group, kind, to) = &mut *part;
            let from = rows(*group / groups, *kind, *group % groups);
            match kind {
                1 => pack_keys(instructions, &rule, from, tables, to),
                _ => pack_values(instructions, &rule, from, to),
            }
        })?;
        drop(parts);
        let packed = &*packed;
        // A task is a block of rows of one head; its rows are not contiguous in the output.
        let block = block_rows(instructions);
        let mut tasks: Vec<(usize, usize, usize, Vec<&mut [f32]>)> = Vec::new();
        for (document, out) in out.chunks_exact_mut(length * heads * width).enumerate() {
            let first = tasks.len();
            for row in (0..length).step_by(block) {
                let size = block.min(length - row);
                tasks
                    .extend((0..heads).map(|head| (document, head, row, Vec::with_capacity(size))));
            }
            for (row, numbers) in out.chunks_exact_mut(heads * width).enumerate() {
                for (head, numbers) in numbers.chunks_exact_mut(width).enumerate() {
                    tasks[first + row / block * heads + head].3.push(numbers);
                }
            }
        }
        let tasks: Vec<_> = tasks.into_iter().map(Mutex::new).collect();
        context.par_for(tasks.len(), tasks.len(), |task| {
            // The last rows see most columns, so they run first.
            let task = &tasks[tasks.len() - 1 - task];
            let mut task = task.lock().unwrap_or_else(PoisonError::into_inner);
            let (document, head, row, out) = &mut *task;
            let group = *document * groups + *head / (heads / groups);
            let (keys, values) = packed[group * each..][..each].split_at(keys_size);
            let operands = Operands {
                queries: rows(*document, 0, *head),
                keys,
                values,
                tables,
            };
            attend(instructions, &rule, operands, *row, out);
        })
    }
}
