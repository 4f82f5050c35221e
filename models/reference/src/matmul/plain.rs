//! The naive reduced-precision matmul: the same rounded numbers, multiplied in f64.

use half::bf16;
use rho_graph::GraphError;

use super::{Weights, read_columns, takes_fine_rows};
use crate::Precision;

/// `[n, outputs] = rows [n, inputs] x weights * scale + bias`.
///
/// # Errors
/// If the weights cannot be read as floats.
pub fn multiply(
    weights: &Weights<'_>,
    rows: &[f32],
    precision: Precision,
) -> Result<Vec<f64>, GraphError> {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    let mut matrix = vec![0.0; inputs * outputs];
    read_columns(weights, 0, outputs, &mut matrix)?;
    let columns: Vec<Vec<f64>> = (0..outputs)
        .map(|c| {
            let column: Vec<f32> = (0..inputs).map(|k| matrix[k * outputs + c]).collect();
            rounded(&column, precision, false)
        })
        .collect();
    let mut out = Vec::with_capacity(rows.len() / inputs * outputs);
    for row in rows.chunks_exact(inputs) {
        let row = rounded(row, precision, takes_fine_rows(inputs, outputs));
        for (c, column) in columns.iter().enumerate() {
            let sum: f64 = row.iter().zip(column).map(|(x, w)| x * w).sum();
            let bias = weights.bias.map_or(0.0, |bias| f64::from(bias[c]));
            out.push(sum * f64::from(weights.scale) + bias);
        }
    }
    Ok(out)
}

/// Numbers rounded to int8 steps of `max|x| / 127` (with `fine`, plus steps of a 254th of that), or to the nearest
/// bf16.
pub fn rounded(numbers: &[f32], precision: Precision, fine: bool) -> Vec<f64> {
    if precision != Precision::Int8 {
        let near = |&x: &f32| f64::from(bf16::from_f32(x).to_f32());
        return numbers.iter().map(near).collect();
    }
    if numbers.iter().any(|x| !x.is_finite()) {
        return vec![f64::NAN; numbers.len()];
    }
    let largest = numbers.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let factor = 127.0 / largest;
    if !factor.is_finite() {
        return vec![0.0; numbers.len()];
    }
    let step = f64::from(largest) / 127.0;
    // The products are in f32, as in the kernels, so that ties round the same way.
    let steps = |&x: &f32| {
        let coarse = (x * factor).round_ties_even();
        let rest = ((x * factor - coarse) * 254.0).round_ties_even();
        f64::from(coarse) + if fine { f64::from(rest) / 254.0 } else { 0.0 }
    };
    numbers.iter().map(|x| steps(x) * step).collect()
}
