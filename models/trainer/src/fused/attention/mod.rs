//! Causal attention within documents, and its gradient, without `[length, length]` in memory.
//!
//! ```text
//! for R rows of one head                                      parallel over batch and heads
//!   scores [R, n] = q x keys * 1/sqrt(width)                  from the document's first key to the row's own
//!   p = exp(scores - log-sum-exp),  out = p x values
//! backward, for a block of rows of one head                   parallel over batch and heads of keys
//!   p again from the stored log-sum-exp;  ds = p (dout x valuesᵀ - δ) / sqrt(width),  δ = dout · out
//!   dq = ds x keys,  dk += dsᵀ x q,  dv += pᵀ x dout
//! ```
//!
//! The log-sum-exp of each row is all that is kept from forward (Dao et al., arXiv 2205.14135). Panels of keys that
//! belong to other documents, or come later, are not computed. Heads of queries that share their keys are added up one
//! after another by one thread, so that the sums have one order.

mod backward;
mod forward;

pub(super) use backward::{Kept, backward};
pub(super) use forward::forward;

/// Sizes, and where documents begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    /// Rows of the batch.
    pub(super) rows: usize,
    /// Tokens in each.
    pub(super) length: usize,
    /// Heads of queries.
    pub(super) heads: usize,
    /// Heads of keys and values.
    pub(super) key_value_heads: usize,
    /// Width of a head.
    pub(super) width: usize,
    /// `[rows * length]`, see [`Batch`](crate::Batch).
    pub(super) starts: &'a [u32],
}

impl Shape<'_> {
    /// What scores are multiplied by.
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Numbers from a token to the next, of queries.
    fn query_stride(&self) -> usize {
        self.heads * self.width
    }

    /// Numbers from a token to the next, of keys and values.
    fn key_stride(&self) -> usize {
        self.key_value_heads * self.width
    }

    /// Heads of queries per head of keys.
    fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    /// Where the documents of one row of the batch begin.
    fn starts_of(&self, row: usize) -> &[u32] {
        &self.starts[row * self.length..][..self.length]
    }
}

/// Columns of a panel of keys that starts at `from` which the token at `index`, of a document that begins at `start`, may
/// see.
#[inline(always)]
fn visible(from: usize, panel: usize, start: usize, index: usize) -> std::ops::Range<usize> {
    start.saturating_sub(from).min(panel)..(index + 1).saturating_sub(from).min(panel)
}

/// Zero outside a range.
#[inline(always)]
fn clear_outside(numbers: &mut [f32], range: std::ops::Range<usize>) {
    numbers[range.end..].fill(0.0);
    numbers[..range.start].fill(0.0);
}

/// Rows `[rows, stride]` in panels of `panel` columns, `[panels][rows][panel]`; zero beyond `columns`.
fn pack_rows(
    numbers: &[f32],
    stride: usize,
    rows: usize,
    columns: usize,
    panel: usize,
    to: &mut [f32],
) {
    for (p, to) in to.chunks_exact_mut(rows * panel).enumerate() {
        let there = panel.min(columns - p * panel);
        for (r, to) in to.chunks_exact_mut(panel).enumerate() {
            to[..there].copy_from_slice(&numbers[r * stride + p * panel..][..there]);
            to[there..].fill(0.0);
        }
    }
}
