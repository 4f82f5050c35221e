//! f32 matmuls with any strides, on all threads: `C = A x B` and `C += A x B`. A transposed operand has its strides
//! swapped and is not copied.
//!
//! ```text
//! for a block of K steps, for a block of columns
//!   pack B in panels [K][2 vectors]                   parallel over panels
//!   for a band of rows                                parallel
//!     pack A in groups [K][R]                         stays in the L2 cache
//!     for a panel, for a group: R x 2 vectors of C    in registers
//! ```
//!
//! The number of threads changes no result: each element of C is summed over the same blocks of K in the same order.

mod pack;
mod plain;
mod run;
#[cfg(test)]
mod tests;

pub use plain::multiply as plain;

use rayon::prelude::*;

use crate::{Instructions, scratch};

/// Steps of K per block: a panel of 32 columns then takes 64 KiB.
const STEPS: usize = 512;

/// Columns of B packed at a time: 4 MiB with [`STEPS`].
const COLUMNS: usize = 2048;

/// A matmul of fewer multiply-adds stays on the calling thread.
const ALONE: usize = 1 << 16;

/// A read-only matrix: element `(r, c)` is `numbers[r * row_stride + c * column_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row-major and contiguous.
    ///
    /// # Panics
    /// If there are too few numbers.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::with_stride(numbers, rows, columns, columns)
    }

    /// `[rows, columns]`, a row starting every `row_stride` numbers.
    ///
    /// # Panics
    /// If there are too few numbers.
    pub fn with_stride(numbers: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let needed = if rows * columns == 0 {
            0
        } else {
            (rows - 1) * row_stride + columns
        };
        assert!(
            numbers.len() >= needed,
            "a matrix of {rows} x {columns} needs {needed} numbers, got {}",
            numbers.len()
        );
        Self {
            numbers,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transpose, a view of the same numbers.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(self) -> usize {
        self.columns
    }

    fn at(&self, row: usize, column: usize) -> usize {
        row * self.row_stride + column * self.column_stride
    }
}

/// A writable matrix: `[rows, columns]`, a row starting every `row_stride` numbers.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    numbers: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// `[rows, columns]`, row-major and contiguous.
    ///
    /// # Panics
    /// If there are too few numbers.
    pub fn new(numbers: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::with_stride(numbers, rows, columns, columns)
    }

    /// `[rows, columns]`, a row starting every `row_stride` numbers.
    ///
    /// # Panics
    /// If there are too few numbers, or rows would overlap.
    pub fn with_stride(
        numbers: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        // The same length check as for a read-only matrix.
        let _ = Matrix::with_stride(numbers, rows, columns, row_stride);
        assert!(row_stride >= columns, "rows may not overlap");
        Self {
            numbers,
            rows,
            columns,
            row_stride,
        }
    }
}

/// Whether a matmul replaces C or adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The old values are replaced and never read.
    Replace,
    /// The result is added to the old values.
    Add,
}

/// `c = a x b` or `c += a x b`, on the threads of the current rayon pool.
///
/// # Panics
/// If the sizes do not match.
pub fn multiply(
    instructions: Instructions,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: MatrixMut<'_>,
    store: Store,
) {
    assert_eq!(
        (a.rows, a.columns, b.columns),
        (c.rows, b.rows, c.columns),
        "sizes of a matmul"
    );
    if c.rows * c.columns == 0 {
        return;
    }
    if a.columns == 0 {
        if store == Store::Replace {
            for row in c.numbers.chunks_mut(c.row_stride).take(c.rows) {
                row[..c.columns].fill(0.0);
            }
        }
        return;
    }
    let (rows, width) = instructions.tile();
    let alone = a.rows * a.columns * b.columns < ALONE;
    let threads = if alone {
        1
    } else {
        rayon::current_num_threads()
    };
    let blocks = a.columns.div_ceil(STEPS);
    let steps = a.columns.div_ceil(blocks);
    // Bands of equal size, two per thread, so that one delayed thread does not delay all.
    let groups = a.rows.div_ceil(rows);
    let bands = if threads == 1 { 1 } else { threads * 2 };
    let band = groups.div_ceil(bands).min(BAND) * rows;
    let row_stride = c.row_stride;
    let columns_most = COLUMNS.next_multiple_of(width);
    for from_column in (0..b.columns).step_by(columns_most) {
        let columns = columns_most.min(b.columns - from_column);
        for from_step in (0..a.columns).step_by(steps) {
            let steps = steps.min(a.columns - from_step);
            let mut packed = scratch::take(columns.next_multiple_of(width) * steps);
            let panels = &mut packed.as_mut_slice()[..columns.next_multiple_of(width) * steps];
            let pack = |(p, panel): (usize, &mut [f32])| {
                pack::panel(
                    instructions,
                    b,
                    from_step,
                    from_column + p * width,
                    width,
                    panel,
                );
            };
            if alone {
                panels.chunks_mut(steps * width).enumerate().for_each(pack);
            } else {
                panels
                    .par_chunks_mut(steps * width)
                    .enumerate()
                    .for_each(pack);
            }
            let panels = &*panels;
            let add = store == Store::Add || from_step > 0;
            let work = |(i, c): (usize, &mut [f32])| {
                let from_row = i * band;
                run::band(
                    instructions,
                    &run::Band {
                        a,
                        rows: from_row..a.rows.min(from_row + band),
                        steps: from_step..from_step + steps,
                        panels,
                        columns,
                        row_stride,
                        add,
                    },
                    &mut c[from_column..],
                );
            };
            let bands = c.rows.div_ceil(band);
            if alone {
                let all = c.numbers.chunks_mut(band * row_stride);
                all.take(bands).enumerate().for_each(work);
            } else {
                let all = c.numbers.par_chunks_mut(band * row_stride);
                all.take(bands).enumerate().for_each(work);
            }
            scratch::give(packed);
        }
    }
}

/// At most this many groups of rows in a band: packed with [`STEPS`] of 14 rows they take 448 KiB, half of the L2
/// cache.
const BAND: usize = 16;
