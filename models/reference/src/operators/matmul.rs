//! The operator `PackedMatmul`: takes rows of f32, returns rows of f32; the weights are a [`PackedMatmul`]'s.

use std::sync::{Arc, Mutex, PoisonError};

use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType,
};
use rho_graph::matmuls::names;

use crate::matmul::PackedMatmul;

/// Bytes of packed rows per task: they stay in the L2 cache while the weights stream through.
const TASK_BYTES: usize = 256 << 10;

/// The operator, with all matmuls of a session.
pub(crate) struct MatmulOperator {
    pub(crate) products: Arc<[PackedMatmul]>,
    pub(crate) threads: usize,
}

impl Operator for MatmulOperator {
    type Kernel<'attribute> = ProductKernel;

    fn name(&self) -> &str {
        names::PRODUCT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attribute>(
        &self,
        context: &KernelContext<'attribute>,
    ) -> ort::Result<ProductKernel> {
        let number = context.get::<i64>(names::NUMBER);
        let number = number.and_then(|n| usize::try_from(n).ok());
        let number = number.filter(|&n| n < self.products.len());
        Ok(ProductKernel {
            number: number.ok_or_else(|| ort::Error::new("a matmul without a number"))?,
            products: self.products.clone(),
            threads: self.threads,
        })
    }
}

/// One matmul node of a graph.
pub(crate) struct ProductKernel {
    products: Arc<[PackedMatmul]>,
    number: usize,
    threads: usize,
}

impl Kernel for ProductKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let product = &self.products[self.number];
        let missing = || ort::Error::new("a matmul without rows");
        let rows = context.input(0)?.ok_or_else(missing)?;
        let (shape, rows) = rows.try_extract_tensor::<f32>()?;
        let mut shape = shape.to_vec();
        let width = shape.last_mut().ok_or_else(missing)?;
        if *width != product.inputs() as i64 {
            let (expected, got) = (product.inputs(), *width);
            return Err(ort::Error::new(format!(
                "matmul {}: expected rows of {expected} numbers, got {got}",
                self.number
            )));
        }
        *width = product.outputs() as i64;
        let mut out = context.output(0, shape)?.ok_or_else(missing)?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        let count = rows.len() / product.inputs();
        if count == 0 {
            return Ok(());
        }
        let (rows_per_task, tasks) = split(product, count, self.threads);
        let parts: Vec<_> = (rows.chunks(rows_per_task * product.inputs()))
            .zip(out.chunks_mut(rows_per_task * product.outputs()))
            .map(Mutex::new)
            .collect();
        debug_assert_eq!(parts.len(), tasks);
        context.par_for(tasks, tasks, |task| {
            // Each task runs once: the lock only proves this to the compiler.
            let mut part = parts[task].lock().unwrap_or_else(PoisonError::into_inner);
            let (rows, out) = &mut *part;
            product.multiply(rows, out);
        })
    }
}

/// Rows per task (whole tiles) and the number of tasks: a multiple of the threads if there are enough rows.
fn split(product: &PackedMatmul, count: usize, threads: usize) -> (usize, usize) {
    let tile = product.multiplier().tile().0;
    let most = (TASK_BYTES / (product.units * 4) / tile).max(1) * tile;
    let tasks = count.div_ceil(most).next_multiple_of(threads.max(1));
    let rows = count.div_ceil(tasks).next_multiple_of(tile);
    (rows, count.div_ceil(rows))
}
