//! Attention in one pass per tile of rows: scores, softmax and the weighted sum of values, without a
//! `[heads, length, length]` tensor in memory and without the columns that the mask forbids.
//!
//! ```text
//! for a block of rows of one head                         parallel over batch, heads and blocks
//!   pack keys and values of the columns that any row may see, in panels of C columns
//!   for R rows:  scores [R, n] = queries x keys + mask     a buffer in the L2 cache
//!                p = exp(scores - maximum), sum            per row
//!                out [R, value_width] = p x values / sum   in registers
//! ```
//!
//! A row's columns end at the last one whose mask is above [`FORBIDDEN`]: for a causal model that skips half of them.
//! This is read from the mask itself, so any mask is computed correctly. A row that may see nothing sees everything,
//! as with a mask of large negative numbers.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

pub(crate) mod grouped;
mod plain;
#[cfg(test)]
mod tests;

use rho_kernels::{
    Aligned, Instructions, OnLanes,
    lanes::Lanes,
    matmul_tile,
    softmax::{LOWEST, RowSum, exponentials, raise, weigh},
};

/// A mask value of this or less forbids a column: next to any other score, its exp is zero in f32.
pub(crate) const FORBIDDEN: f32 = LOWEST;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Columns: number of keys.
    pub(crate) columns: usize,
    /// head_dim of queries and keys.
    pub(crate) key_width: usize,
    /// head_dim of values.
    pub(crate) value_width: usize,
}

/// The operands of one head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands<'a> {
    /// `[rows, key_width]`.
    pub(crate) queries: &'a [f32],
    /// `[key_width, columns]`.
    pub(crate) keys: &'a [f32],
    /// `[rows or 1, columns]`, added to the scores.
    pub(crate) mask: &'a [f32],
    /// `[columns, value_width]`.
    pub(crate) values: &'a [f32],
    /// For each row of the mask, the number of visible columns, see [`visible`].
    pub(crate) visible: &'a [usize],
}

/// The number of columns up to the last one that a mask row allows; all columns if it allows none.
pub(crate) fn visible(mask: &[f32]) -> usize {
    // NaN counts as allowed, so that it stays visible in the result.
    let forbidden = |m: &f32| *m <= FORBIDDEN;
    match mask.iter().rposition(|m| !forbidden(m)) {
        Some(last) => last + 1,
        None => mask.len(),
    }
}

/// Rows per packing of keys and values.
pub(crate) fn block_rows(instructions: Instructions) -> usize {
    instructions.tile().0 * 8
}

/// Computes rows `from..from + out.len() / value_width` of one head.
pub(crate) fn attend(
    instructions: Instructions,
    shape: Shape,
    operands: Operands<'_>,
    from: usize,
    out: &mut [f32],
) {
    instructions.run(Work {
        shape,
        operands,
        from,
        out,
    });
}

/// Some rows of one head, and their output.
struct Work<'a> {
    shape: Shape,
    operands: Operands<'a>,
    from: usize,
    out: &'a mut [f32],
}

impl OnLanes for Work<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe { run::<L, R>(self.shape, self.operands, self.from, self.out) }
    }
}

/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn run<L: Lanes, const R: usize>(
    shape: Shape,
    operands: Operands<'_>,
    from: usize,
    out: &mut [f32],
) {
    let width = 2 * L::WIDTH;
    let count = out.len() / shape.value_width;
    // A mask of one row applies to all rows.
    let mask_row = |row: usize| row.min(operands.visible.len() - 1);
    let seen = |row: usize| operands.visible[mask_row(row)];
    let most = (from..from + count).map(seen).max().unwrap_or(0);
    let keys = pack(operands.keys, shape.key_width, shape.columns, most, width);
    let values = pack(
        operands.values,
        most,
        shape.value_width,
        shape.value_width,
        width,
    );
    let panels = most.div_ceil(width);
    let mut queries = Aligned::zeroed(shape.key_width * R);
    let mut scores = Aligned::zeroed(panels * R * width);
    let mut answer = Aligned::zeroed(R * width);
    for first in (0..count).step_by(R) {
        let rows = R.min(count - first);
        let columns = (from + first..from + first + rows)
            .map(seen)
            .max()
            .unwrap_or(0);
        let panels = columns.div_ceil(width);
        for r in 0..R {
            let at = (from + first + r.min(rows - 1)) * shape.key_width;
            let row = &operands.queries[at..at + shape.key_width];
            for (k, &x) in row.iter().enumerate() {
                queries.as_mut_slice()[k * R + r] = x;
            }
        }
        // SAFETY: the caller's promise.
        let mut highest = [unsafe { L::splat(FORBIDDEN) }; R];
        for p in 0..panels {
            let tile = &mut scores.as_mut_slice()[p * R * width..][..R * width];
            let panel = &keys.as_slice()[p * shape.key_width * width..][..shape.key_width * width];
            // SAFETY: `queries` holds `key_width` steps of R, `panel` as many of `width`, and the tile R x `width`.
            unsafe { matmul_tile::<L, R>(shape.key_width, queries.as_slice(), panel, tile) };
            let there = width.min(shape.columns - p * width);
            for (r, row) in tile.chunks_exact_mut(width).enumerate() {
                let at = mask_row(from + first + r.min(rows - 1)) * shape.columns + p * width;
                let mask = &operands.mask[at..at + there];
                // SAFETY: a row is two vectors, and so is a mask row unless it is cut short.
                unsafe {
                    let row = row.as_mut_ptr();
                    if there == width {
                        for v in [0, L::WIDTH] {
                            let sum = L::load(row.add(v)).add(L::load(mask.as_ptr().add(v)));
                            sum.store(row.add(v));
                        }
                    } else {
                        for (c, m) in mask.iter().enumerate() {
                            *row.add(c) += m;
                        }
                        for c in there..width {
                            *row.add(c) = f32::NEG_INFINITY;
                        }
                    }
                }
            }
            // SAFETY: the caller's promise.
            unsafe { raise(&mut highest, tile) };
        }
        // SAFETY: the caller's promise.
        let sums = unsafe {
            let scores = &mut scores.as_mut_slice()[..panels * R * width];
            exponentials(scores, &highest, |_, _, _| {})
        };
        for (p, from_column) in (0..shape.value_width).step_by(width).enumerate() {
            let panel = &values.as_slice()[p * most * width..][..most * width];
            // SAFETY: the caller's promise.
            unsafe {
                let weighed = weigh::<L, R>(columns, scores.as_slice(), panel);
                divide(&weighed, &sums, answer.as_mut_slice());
            }
            let there = width.min(shape.value_width - from_column);
            for r in 0..rows {
                let at = (first + r) * shape.value_width + from_column;
                out[at..at + there].copy_from_slice(&answer.as_slice()[r * width..][..there]);
            }
        }
    }
}

/// `answer [R, two vectors] = weighed / the rows' sums`.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn divide<L: Lanes, const R: usize>(
    weighed: &[[L; 2]; R],
    sums: &[RowSum; R],
    answer: &mut [f32],
) {
    for ((row, weighed), sum) in answer.chunks_exact_mut(2 * L::WIDTH).zip(weighed).zip(sums) {
        // SAFETY: a row is two vectors.
        unsafe {
            let factor = L::splat(1.0 / sum.total);
            weighed[0].mul(factor).store(row.as_mut_ptr());
            weighed[1].mul(factor).store(row.as_mut_ptr().add(L::WIDTH));
        }
    }
}

/// Packs the first `columns` of a matrix `[rows, stride]` in panels `[rows][width]`, zero beyond the last column.
fn pack(matrix: &[f32], rows: usize, stride: usize, columns: usize, width: usize) -> Aligned {
    let mut packed = Aligned::zeroed(columns.div_ceil(width) * rows * width);
    let panels = packed
        .as_mut_slice()
        .chunks_exact_mut((rows * width).max(1));
    for (from, panel) in (0..columns).step_by(width).zip(panels) {
        let there = width.min(columns - from);
        for (row, to) in panel.chunks_exact_mut(width).enumerate() {
            to[..there].copy_from_slice(&matrix[row * stride + from..][..there]);
        }
    }
    packed
}
