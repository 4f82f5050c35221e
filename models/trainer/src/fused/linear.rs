//! `y = x W (+ b)` and its gradients. Transposes are strides, so weights keep the checkpoint's layout.

use rayon::prelude::*;
use rho_kernels::{
    Instructions,
    matrix::{Matrix, MatrixMut, Store, multiply},
};

use super::rows::column_sums;
use crate::model::Linear;

/// The weights as `[inputs, outputs]`.
fn weights<'a>(linear: &Linear, numbers: &'a [f32]) -> Matrix<'a> {
    let numbers = &numbers[linear.weights.offset..];
    if linear.inputs_first {
        Matrix::with_stride(numbers, linear.inputs, linear.outputs, linear.stride)
    } else {
        Matrix::with_stride(numbers, linear.outputs, linear.inputs, linear.stride).transposed()
    }
}

/// `y = x W + b`, or adds it to y. `parameters` are all parameters of the model.
pub(super) fn forward(
    instructions: Instructions,
    linear: &Linear,
    parameters: &[Vec<f32>],
    x: &[f32],
    y: &mut [f32],
    store: Store,
) {
    let rows = x.len() / linear.inputs;
    let weights = weights(linear, &parameters[linear.weights.parameter]);
    let x = Matrix::new(x, rows, linear.inputs);
    let to = MatrixMut::new(y, rows, linear.outputs);
    multiply(instructions, x, weights, to, store);
    if let Some(bias) = linear.bias {
        let bias = &parameters[bias.parameter][bias.offset..][..linear.outputs];
        y.par_chunks_mut(linear.outputs * 64).for_each(|rows| {
            for row in rows.chunks_mut(linear.outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        });
    }
}

/// `dx = dy Wᵀ`, or adds it to dx.
pub(super) fn input_gradient(
    instructions: Instructions,
    linear: &Linear,
    parameters: &[Vec<f32>],
    dy: &[f32],
    dx: &mut [f32],
    store: Store,
) {
    let rows = dy.len() / linear.outputs;
    let weights = weights(linear, &parameters[linear.weights.parameter]);
    let dy = Matrix::new(dy, rows, linear.outputs);
    let to = MatrixMut::new(dx, rows, linear.inputs);
    multiply(instructions, dy, weights.transposed(), to, store);
}

/// `dW += xᵀ dy` and `db += Σ dy`.
pub(super) fn weight_gradient(
    instructions: Instructions,
    linear: &Linear,
    gradients: &mut [Vec<f32>],
    x: &[f32],
    dy: &[f32],
) {
    let rows = dy.len() / linear.outputs;
    let x = Matrix::new(x, rows, linear.inputs);
    let dy_matrix = Matrix::new(dy, rows, linear.outputs);
    let numbers = &mut gradients[linear.weights.parameter][linear.weights.offset..];
    let (inputs, outputs, stride) = (linear.inputs, linear.outputs, linear.stride);
    if linear.inputs_first {
        let to = MatrixMut::with_stride(numbers, inputs, outputs, stride);
        multiply(instructions, x.transposed(), dy_matrix, to, Store::Add);
    } else {
        let to = MatrixMut::with_stride(numbers, outputs, inputs, stride);
        multiply(instructions, dy_matrix.transposed(), x, to, Store::Add);
    }
    if let Some(bias) = linear.bias {
        let sums = &mut gradients[bias.parameter][bias.offset..][..linear.outputs];
        column_sums(dy, sums);
    }
}
