//! One tile of a matrix product, from packed operands, in registers.
#![expect(unsafe_code, reason = "raw pointers in the innermost loop")]

use crate::lanes::Lanes;

/// `tile [R, 2 vectors] = group [hidden][R] x panel [hidden][2 vectors]`.
///
/// # Safety
/// The processor has the features of `L`; the slices are as long as that.
#[inline(always)]
pub unsafe fn product<L: Lanes, const R: usize>(
    hidden: usize,
    group: &[f32],
    panel: &[f32],
    tile: &mut [f32],
) {
    let (mut a, mut b) = (group.as_ptr(), panel.as_ptr());
    // SAFETY: the pointers advance `hidden` times by R and two vectors, within their slices.
    unsafe {
        let mut sums = [[L::splat(0.0); 2]; R];
        for _ in 0..hidden {
            let (b0, b1) = (L::load(b), L::load(b.add(L::WIDTH)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let x = L::splat(*a.add(r));
                sum[0] = x.mul_add(b0, sum[0]);
                sum[1] = x.mul_add(b1, sum[1]);
            }
            a = a.add(R);
            b = b.add(2 * L::WIDTH);
        }
        for (row, sum) in tile.chunks_exact_mut(2 * L::WIDTH).zip(sums) {
            sum[0].store(row.as_mut_ptr());
            sum[1].store(row.as_mut_ptr().add(L::WIDTH));
        }
    }
}
