//! Rows to columns, a square of vectors at a time.
#![expect(
    unsafe_code,
    reason = "processor intrinsics, called after their features were detected"
)]

use crate::Instructions;

/// `to [steps][width]`: element `(k, c)` is `rows[c * stride + k]`, zero from column `there` on.
///
/// # Panics
/// Where `rows` has no `there` rows of as many numbers as `to` has steps.
pub fn transpose(
    instructions: Instructions,
    rows: &[f32],
    stride: usize,
    there: usize,
    width: usize,
    to: &mut [f32],
) {
    let steps = to.len() / width;
    assert!(there <= width && (there == 0 || (there - 1) * stride + steps <= rows.len()));
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if instructions == Instructions::Avx512 {
        done = steps / 16 * 16;
        for from in (0..there).step_by(16) {
            let count = 16.min(there - from);
            // Columns that this square owns: the last one also writes what is beyond `there`.
            let room = 16.min(width - from);
            for k in (0..done).step_by(16) {
                // SAFETY: avx512f was detected; `count` rows of 16 numbers are there (asserted above), and 16 steps
                // with `room` columns.
                unsafe {
                    x86::square(
                        rows.as_ptr().add(from * stride + k),
                        stride,
                        count,
                        to.as_mut_ptr().add(k * width + from),
                        width,
                        room,
                    );
                }
            }
        }
        let squares = there.next_multiple_of(16).min(width);
        for to in to[..done * width].chunks_exact_mut(width) {
            to[squares..].fill(0.0);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = instructions;
    for (k, to) in to.chunks_exact_mut(width).enumerate().skip(done) {
        for (c, to) in to[..there].iter_mut().enumerate() {
            *to = rows[c * stride + k];
        }
        to[there..].fill(0.0);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// `count` rows of 16 numbers to 16 rows of `room`, in registers.
    ///
    /// # Safety
    /// The processor has avx512f; the pointers are valid for that.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn square(
        from: *const f32,
        stride: usize,
        count: usize,
        to: *mut f32,
        width: usize,
        room: usize,
    ) {
        // SAFETY: the caller's promise; a mask keeps stores within `room`.
        unsafe {
            let mut r = [_mm512_setzero_ps(); 16];
            for (i, r) in r.iter_mut().enumerate().take(count) {
                *r = _mm512_loadu_ps(from.add(i * stride));
            }
            // Pairs, fours, then quarters of vectors: each step doubles how much of a column stands together.
            let mut pairs = [_mm512_setzero_pd(); 16];
            for i in 0..8 {
                pairs[2 * i] = _mm512_castps_pd(_mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]));
                pairs[2 * i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]));
            }
            for i in 0..4 {
                let at = 4 * i;
                let low = [pairs[at], pairs[at + 2]];
                let high = [pairs[at + 1], pairs[at + 3]];
                r[at] = _mm512_castpd_ps(_mm512_unpacklo_pd(low[0], low[1]));
                r[at + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low[0], low[1]));
                r[at + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high[0], high[1]));
                r[at + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high[0], high[1]));
            }
            let mask = ((1u32 << room) - 1) as u16;
            for i in 0..4 {
                // Quarter q of r[4 j + i] holds column 4 q + i of the rows 4 j..4 j + 4.
                let a = _mm512_shuffle_f32x4::<0x88>(r[i], r[4 + i]);
                let b = _mm512_shuffle_f32x4::<0xdd>(r[i], r[4 + i]);
                let c = _mm512_shuffle_f32x4::<0x88>(r[8 + i], r[12 + i]);
                let d = _mm512_shuffle_f32x4::<0xdd>(r[8 + i], r[12 + i]);
                let columns = [
                    _mm512_shuffle_f32x4::<0x88>(a, c),
                    _mm512_shuffle_f32x4::<0x88>(b, d),
                    _mm512_shuffle_f32x4::<0xdd>(a, c),
                    _mm512_shuffle_f32x4::<0xdd>(b, d),
                ];
                for (q, column) in columns.into_iter().enumerate() {
                    _mm512_mask_storeu_ps(to.add((4 * q + i) * width), mask, column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_reading_columns() {
        for (there, width, steps, stride) in [
            (14, 14, 40, 41),
            (5, 14, 16, 16),
            (32, 32, 64, 64),
            (17, 32, 33, 40),
            (3, 32, 16, 16),
            (1, 6, 7, 9),
        ] {
            let rows: Vec<f32> = (0..there * stride).map(|i| i as f32).collect();
            for instructions in Instructions::available() {
                let mut to = vec![-1.0; steps * width];
                transpose(instructions, &rows, stride, there, width, &mut to);
                for (i, &got) in to.iter().enumerate() {
                    let (k, c) = (i / width, i % width);
                    let expected = if c < there { rows[c * stride + k] } else { 0.0 };
                    assert_eq!(got, expected, "{instructions:?} {there} {width}: {k}, {c}");
                }
            }
        }
    }
}
