//! Packs operands in the order in which tiles read them.

use super::Matrix;
use crate::{Instructions, transpose::transpose};

/// Packs columns `from_column..` of the steps `from_step..` of B as `[steps][width]`, zero beyond the last column.
pub(super) fn panel(
    instructions: Instructions,
    b: Matrix<'_>,
    from_step: usize,
    from_column: usize,
    width: usize,
    panel: &mut [f32],
) {
    let there = width.min(b.columns - from_column);
    let from = b.at(from_step, from_column);
    let strides = (b.row_stride, b.column_stride);
    interleave(
        instructions,
        &b.numbers[from..],
        strides,
        there,
        width,
        panel,
    );
}

/// Packs rows `from_row..` of the steps `from_step..` of A as `[steps][height]`, zero beyond `there` rows.
pub(super) fn group(
    instructions: Instructions,
    a: Matrix<'_>,
    from_row: usize,
    there: usize,
    from_step: usize,
    height: usize,
    group: &mut [f32],
) {
    let from = a.at(from_row, from_step);
    let strides = (a.column_stride, a.row_stride);
    interleave(
        instructions,
        &a.numbers[from..],
        strides,
        there,
        height,
        group,
    );
}

/// Writes `to [steps][width]`: element `(k, c)` is `numbers[k * step_stride + c * stride]`, zero for `c >= there`.
fn interleave(
    instructions: Instructions,
    numbers: &[f32],
    (step_stride, stride): (usize, usize),
    there: usize,
    width: usize,
    to: &mut [f32],
) {
    if stride == 1 && there == width {
        // Tile widths as constants: the copy is then a few moves instead of a call.
        match width {
            32 => copy::<32>(numbers, step_stride, to),
            16 => copy::<16>(numbers, step_stride, to),
            14 => copy::<14>(numbers, step_stride, to),
            6 => copy::<6>(numbers, step_stride, to),
            _ => copy::<4>(numbers, step_stride, to),
        }
    } else if stride == 1 {
        for (k, to) in to.chunks_exact_mut(width).enumerate() {
            to[..there].copy_from_slice(&numbers[k * step_stride..][..there]);
            to[there..].fill(0.0);
        }
    } else if step_stride == 1 {
        transpose(instructions, numbers, stride, there, width, to);
    } else {
        for (k, to) in to.chunks_exact_mut(width).enumerate() {
            for (c, to) in to.iter_mut().enumerate() {
                *to = if c < there {
                    numbers[k * step_stride + c * stride]
                } else {
                    0.0
                };
            }
        }
    }
}

/// Copies rows of W numbers.
fn copy<const W: usize>(numbers: &[f32], step_stride: usize, to: &mut [f32]) {
    let (rows, _) = to.as_chunks_mut::<W>();
    for (k, row) in rows.iter_mut().enumerate() {
        if let Some(numbers) = numbers[k * step_stride..].first_chunk::<W>() {
            *row = *numbers;
        }
    }
}
