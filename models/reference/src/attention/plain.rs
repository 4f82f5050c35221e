//! Attention said plainly in f64.
#![cfg(test)]

use super::{Operands, Shape};

/// All rows of one head.
pub(super) fn attend(shape: Shape, operands: Operands<'_>) -> Vec<f64> {
    let Shape {
        columns,
        key_width,
        value_width,
    } = shape;
    let rows = operands.queries.len() / key_width;
    let mut out = Vec::new();
    for t in 0..rows {
        let mask = &operands.mask[t.min(operands.visible.len() - 1) * columns..][..columns];
        let score = |s: usize| -> f64 {
            let key = |k: usize| f64::from(operands.keys[k * columns + s]);
            let products =
                (0..key_width).map(|k| f64::from(operands.queries[t * key_width + k]) * key(k));
            products.sum::<f64>() + f64::from(mask[s])
        };
        let scores: Vec<f64> = (0..columns).map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let p: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        let sum: f64 = p.iter().sum();
        for e in 0..value_width {
            let value = |s: usize| f64::from(operands.values[s * value_width + e]);
            out.push((0..columns).map(|s| p[s] * value(s)).sum::<f64>() / sum);
        }
    }
    out
}
