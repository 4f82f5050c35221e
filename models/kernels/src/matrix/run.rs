//! Multiplies a band of rows by packed panels.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

use std::ops::Range;

use super::{Matrix, pack};
use crate::{
    Instructions, OnLanes,
    lanes::Lanes,
    scratch,
    tile::{Strides, sums},
};

/// The work of one thread: some rows of C and all columns of the packed panels.
pub(super) struct Band<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) rows: Range<usize>,
    pub(super) steps: Range<usize>,
    /// `[panels][steps][two vectors]`.
    pub(super) panels: &'a [f32],
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    /// Whether the sums are added to C.
    pub(super) add: bool,
}

/// Writes the band's rows to `c`, which starts at its first row and the panels' first column.
pub(super) fn band(instructions: Instructions, band: &Band<'_>, c: &mut [f32]) {
    assert!(c.len() >= (band.rows.len() - 1) * band.row_stride + band.columns);
    instructions.run(Work {
        instructions,
        band,
        c,
    });
}

/// A band and its output rows.
struct Work<'a> {
    instructions: Instructions,
    band: &'a Band<'a>,
    /// [`band`] has checked its length.
    c: &'a mut [f32],
}

impl OnLanes for Work<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        // SAFETY: the caller's promise, and `band` has checked the length of `c`.
        unsafe { run::<L, R>(self.instructions, self.band, self.c) }
    }
}

/// # Safety
/// The CPU has the features of `L`; the caller has checked the length of `c`.
#[inline(always)]
unsafe fn run<L: Lanes, const R: usize>(
    instructions: Instructions,
    band: &Band<'_>,
    c: &mut [f32],
) {
    let width = 2 * L::WIDTH;
    let steps = band.steps.len();
    let groups = band.rows.len().div_ceil(R);
    let mut packed = scratch::take(groups * R * steps);
    let packed_groups = packed.as_mut_slice()[..groups * R * steps].chunks_exact_mut(R * steps);
    for (g, group) in packed_groups.enumerate() {
        let from = band.rows.start + g * R;
        let there = R.min(band.rows.end - from);
        pack::group(
            instructions,
            band.a,
            from,
            there,
            band.steps.start,
            R,
            group,
        );
    }
    let strides = Strides { step: R, row: 1 };
    for (p, panel) in band.panels.chunks_exact(steps * width).enumerate() {
        let from_column = p * width;
        let there = width.min(band.columns - from_column);
        for g in 0..groups {
            let rows = R.min(band.rows.len() - g * R);
            let group = packed.as_slice()[g * R * steps..].as_ptr();
            let to = &mut c[g * R * band.row_stride + from_column..];
            // SAFETY: group and panel hold `steps` steps; from here on C has `rows` rows of `there` columns.
            unsafe {
                let sums = sums::<L, R>(steps, group, strides, panel.as_ptr());
                if rows == R && there == width {
                    store(&sums, to.as_mut_ptr(), band.row_stride, band.add);
                } else {
                    store_part(&sums, to, band.row_stride, rows, there, band.add);
                }
            }
        }
    }
    scratch::give(packed);
}

/// # Safety
/// The CPU has the features of `L`; `to` points to R rows of two vectors.
#[inline(always)]
unsafe fn store<L: Lanes, const R: usize>(
    sums: &[[L; 2]; R],
    mut to: *mut f32,
    row_stride: usize,
    add: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for sum in sums {
            let second = to.add(L::WIDTH);
            if add {
                L::load(to).add(sum[0]).store(to);
                L::load(second).add(sum[1]).store(second);
            } else {
                sum[0].store(to);
                sum[1].store(second);
            }
            to = to.wrapping_add(row_stride);
        }
    }
}

/// Stores a tile that is cut off by the matrix's last row or column.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn store_part<L: Lanes, const R: usize>(
    sums: &[[L; 2]; R],
    to: &mut [f32],
    row_stride: usize,
    rows: usize,
    columns: usize,
    add: bool,
) {
    let mut numbers = [0.0f32; 32];
    for (r, sum) in sums.iter().enumerate().take(rows) {
        // SAFETY: two vectors have at most 32 lanes.
        unsafe {
            sum[0].store(numbers.as_mut_ptr());
            sum[1].store(numbers.as_mut_ptr().add(L::WIDTH));
        }
        let to = &mut to[r * row_stride..][..columns];
        for (to, &number) in to.iter_mut().zip(&numbers) {
            *to = if add { *to + number } else { number };
        }
    }
}
