//! Naive attention in f64.
#![cfg(test)]

use super::{Operands, Shape};

/// Attention of all rows of one head.
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

/// Grouped-query attention of one document. Queries are `[length, heads * head_dim]`, keys and values
/// `[length, kv_heads * head_dim]`.
pub(super) fn grouped(
    rule: &super::grouped::Rule,
    [heads, groups]: [usize; 2],
    [queries, keys, values]: [&[f32]; 3],
    tables: Option<super::grouped::Tables<'_>>,
) -> Vec<f64> {
    let width = rule.width;
    let turned = |rows: &[f32], stride: usize, row: usize, head: usize| -> Vec<f64> {
        let x = &rows[row * stride + head * width..][..width];
        let mut out: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        if let Some(tables) = tables {
            for i in 0..tables.pairs {
                let at = row * tables.pairs + i;
                let (cosine, sine) = (f64::from(tables.cosine[at]), f64::from(tables.sine[at]));
                let (a, b) = (f64::from(x[i]), f64::from(x[i + tables.pairs]));
                out[i] = a * cosine - b * sine;
                out[i + tables.pairs] = b * cosine + a * sine;
            }
        }
        out
    };
    let mut out = Vec::new();
    for row in 0..rule.length {
        for head in 0..heads {
            let group = head / (heads / groups);
            let query = turned(queries, heads * width, row, head);
            let first = rule
                .window
                .map_or(0, |window| (row + 1).saturating_sub(window));
            let score = |column: usize| {
                let key = turned(keys, groups * width, column, group);
                let product: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                let score = product * f64::from(rule.scale);
                rule.cap.map_or(score, |cap| {
                    f64::from(cap) * (score / f64::from(cap)).tanh()
                })
            };
            let scores: Vec<f64> = (first..=row).map(score).collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let p: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
            let sum: f64 = p.iter().sum();
            for i in 0..width {
                let value =
                    |column: usize| f64::from(values[column * groups * width + group * width + i]);
                let weighed = p.iter().enumerate().map(|(c, p)| p * value(first + c));
                out.push(weighed.sum::<f64>() / sum);
            }
        }
    }
    out
}
