//! Causal attention within documents, and its gradient, without a `[length, length]` tensor in memory.
//!
//! ```text
//! for R rows of one head                                      parallel over batch and heads
//!   scores [R, n] = q x keys / sqrt(head_dim)                 from the document's first key to the row's own
//!   p = exp(scores - log-sum-exp),  out = p x values
//! backward, for a block of rows of one head                   parallel over batch and kv_heads
//!   p again from the stored log-sum-exp;  ds = p (dout x valuesᵀ - δ) / sqrt(head_dim),  δ = dout · out
//!   dq = ds x keys,  dk += dsᵀ x q,  dv += pᵀ x dout
//! ```
//!
//! Forward keeps only the log-sum-exp of each row (Dao et al., arXiv 2205.14135). Panels of keys that belong to other
//! documents or come later are skipped. Query heads that share a kv_head are summed by one thread in order, so that the
//! order of additions is fixed.

mod backward;
mod forward;

pub(super) use backward::{Kept, backward};
pub(super) use forward::forward;

/// The sizes, and the document starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    /// Rows of the batch.
    pub(super) rows: usize,
    /// Sequence length.
    pub(super) length: usize,
    /// Number of query heads.
    pub(super) heads: usize,
    /// kv_heads.
    pub(super) key_value_heads: usize,
    /// head_dim.
    pub(super) width: usize,
    /// `[rows * length]`, see [`Batch`](crate::Batch).
    pub(super) starts: &'a [u32],
}

impl Shape<'_> {
    /// The factor on scores.
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Elements from one token to the next, of queries.
    fn query_stride(&self) -> usize {
        self.heads * self.width
    }

    /// Elements from one token to the next, of keys and values.
    fn key_stride(&self) -> usize {
        self.key_value_heads * self.width
    }

    /// Query heads per kv_head.
    fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    /// The document starts of one row of the batch.
    fn starts_of(&self, row: usize) -> &[u32] {
        &self.starts[row * self.length..][..self.length]
    }
}

/// The columns of a panel of keys starting at `from` that the token at `index` of a document starting at `start` may
/// see.
#[inline(always)]
fn visible(from: usize, panel: usize, start: usize, index: usize) -> std::ops::Range<usize> {
    start.saturating_sub(from).min(panel)..(index + 1).saturating_sub(from).min(panel)
}

/// Sets the numbers outside a range to zero.
#[inline(always)]
fn clear_outside(numbers: &mut [f32], range: std::ops::Range<usize>) {
    numbers[range.end..].fill(0.0);
    numbers[..range.start].fill(0.0);
}

/// Packs rows `[rows, stride]` in panels of `panel` columns, `[panels][rows][panel]`, zero beyond `columns`.
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
