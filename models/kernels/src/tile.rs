//! One tile of a matmul, in registers.
#![expect(unsafe_code, reason = "raw pointers in the innermost loop")]

use crate::lanes::Lanes;

/// Strides of the left operand: row `r` of step `k` is at `k * step + r * row`. Constants in the hot loops, so that
/// they become part of the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Strides {
    /// Distance from one step to the next.
    pub step: usize,
    /// Distance from one row to the next.
    pub row: usize,
}

/// The sums over `steps` of a tile of R rows and two vectors of columns, in registers: the rows of `left` (see
/// [`Strides`]) times `panel [steps][2 vectors]`.
///
/// # Safety
/// The CPU has the features of `L`, and both operands are that long.
#[inline(always)]
pub unsafe fn sums<L: Lanes, const R: usize>(
    steps: usize,
    left: *const f32,
    strides: Strides,
    panel: *const f32,
) -> [[L; 2]; R] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::splat(0.0); 2]; R];
        accumulate(&mut sums, steps, left, strides, panel);
        sums
    }
}

/// As [`sums`], added to the given sums.
///
/// # Safety
/// As for [`sums`].
#[inline(always)]
pub unsafe fn accumulate<L: Lanes, const R: usize>(
    sums: &mut [[L; 2]; R],
    steps: usize,
    left: *const f32,
    strides: Strides,
    panel: *const f32,
) {
    let (mut a, mut b) = (left, panel);
    // SAFETY: the pointers advance `steps` times, within their operands.
    unsafe {
        let mut own = *sums;
        for _ in 0..steps {
            let (b0, b1) = (L::load(b), L::load(b.add(L::WIDTH)));
            for (r, sum) in own.iter_mut().enumerate() {
                let x = L::splat(*a.add(r * strides.row));
                sum[0] = x.mul_add(b0, sum[0]);
                sum[1] = x.mul_add(b1, sum[1]);
            }
            a = a.wrapping_add(strides.step);
            b = b.wrapping_add(2 * L::WIDTH);
        }
        *sums = own;
    }
}

/// `tile [R, 2 vectors] = group [hidden][R] x panel [hidden][2 vectors]`.
///
/// # Safety
/// The CPU has the features of `L`, and the slices are that long.
#[inline(always)]
pub unsafe fn matmul_tile<L: Lanes, const R: usize>(
    hidden: usize,
    group: &[f32],
    panel: &[f32],
    tile: &mut [f32],
) {
    let packed = Strides { step: R, row: 1 };
    // SAFETY: the caller's promise.
    unsafe {
        let sums = sums::<L, R>(hidden, group.as_ptr(), packed, panel.as_ptr());
        for (row, sum) in tile.chunks_exact_mut(2 * L::WIDTH).zip(sums) {
            sum[0].store(row.as_mut_ptr());
            sum[1].store(row.as_mut_ptr().add(L::WIDTH));
        }
    }
}
