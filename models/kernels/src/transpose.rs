//! Transposes rows to columns, one square of vectors at a time.
#![expect(
    unsafe_code,
    reason = "CPU intrinsics, called after their features were detected"
)]

use crate::Instructions;

/// Writes `to [steps][width]`: element `(k, c)` is `rows[c * stride + k]`, zero from column `there` on.
///
/// # Panics
/// If `there > width`, or if `rows` does not hold `there` rows of as many numbers as `to` has steps.
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
    if instructions.has_avx512f() {
        done = steps / 16 * 16;
        for from in (0..there).step_by(16) {
            // The columns that this square owns; the last square also writes those beyond `there`.
            let (count, room) = (16.min(there - from), 16.min(width - from));
            let square = match count {
                16 => x86::square::<16>,
                14 => x86::square::<14>,
                _ => x86::some_rows,
            };
            for k in (0..done).step_by(16) {
                // SAFETY: the invariant of `Instructions`: the CPU has avx512f. `count` rows of 16 numbers exist
                // (asserted above), and 16 steps with `room` columns. What is written beyond them is overwritten by
                // the next step.
                unsafe {
                    square(
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
        if squares < width {
            for to in to[..done * width].chunks_exact_mut(width) {
                to[squares..].fill(0.0);
            }
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

    /// Transposes `COUNT` rows of 16 numbers to 16 rows of `room`, in registers. Only the last row always stays within
    /// `room`; the others are written 16 wide where only the next row follows.
    ///
    /// # Safety
    /// The CPU has avx512f, and the pointers are valid for that.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn square<const COUNT: usize>(
        from: *const f32,
        stride: usize,
        count: usize,
        to: *mut f32,
        width: usize,
        room: usize,
    ) {
        debug_assert_eq!(count, COUNT);
        // SAFETY: the caller's promise.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (i, row) in rows.iter_mut().enumerate().take(COUNT) {
                *row = _mm512_loadu_ps(from.add(i * stride));
            }
            store(turned(rows), to, width, room);
        }
    }

    /// As [`square`], for any number of rows.
    ///
    /// # Safety
    /// As for [`square`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn some_rows(
        from: *const f32,
        stride: usize,
        count: usize,
        to: *mut f32,
        width: usize,
        room: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (i, row) in rows.iter_mut().enumerate() {
                if i < count {
                    *row = _mm512_loadu_ps(from.add(i * stride));
                }
            }
            store(turned(rows), to, width, room);
        }
    }

    /// # Safety
    /// As for [`square`].
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(columns: [__m512; 16], to: *mut f32, width: usize, room: usize) {
        // A row as wide as the square may be written 16 wide: the next row overwrites the rest. A square beside
        // others must not write into them.
        // SAFETY: the caller's promise.
        unsafe {
            let mask = ((1u32 << room) - 1) as u16;
            for (k, column) in columns.into_iter().enumerate() {
                // 14 rows of at least 8, and 16 numbers, end within 16 rows.
                if k < 15 && (room == 16 || (width == room && width >= 8)) {
                    _mm512_storeu_ps(to.add(k * width), column);
                } else {
                    _mm512_mask_storeu_ps(to.add(k * width), mask, column);
                }
            }
        }
    }

    /// The transpose of 16 x 16 numbers.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turned(mut r: [__m512; 16]) -> [__m512; 16] {
        // Pairs, fours, then quarters of vectors: each step doubles the length of the contiguous parts of a column.
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
        let mut columns = [_mm512_setzero_ps(); 16];
        for i in 0..4 {
            // Quarter q of r[4 j + i] holds column 4 q + i of the rows 4 j..4 j + 4.
            let a = _mm512_shuffle_f32x4::<0x88>(r[i], r[4 + i]);
            let b = _mm512_shuffle_f32x4::<0xdd>(r[i], r[4 + i]);
            let c = _mm512_shuffle_f32x4::<0x88>(r[8 + i], r[12 + i]);
            let d = _mm512_shuffle_f32x4::<0xdd>(r[8 + i], r[12 + i]);
            columns[i] = _mm512_shuffle_f32x4::<0x88>(a, c);
            columns[4 + i] = _mm512_shuffle_f32x4::<0x88>(b, d);
            columns[8 + i] = _mm512_shuffle_f32x4::<0xdd>(a, c);
            columns[12 + i] = _mm512_shuffle_f32x4::<0xdd>(b, d);
        }
        columns
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
            (14, 14, 32, 32),
            (28, 32, 48, 50),
            (20, 20, 48, 50),
            (1, 6, 7, 9),
            (6, 6, 16, 16),
            (7, 7, 32, 33),
            (1, 1, 16, 16),
            (8, 8, 16, 16),
        ] {
            let rows: Vec<f32> = (0..there * stride).map(|i| i as f32).collect();
            for instructions in Instructions::available() {
                // What follows must stay unchanged.
                let mut all = vec![-1.0; steps * width + 16];
                let (to, behind) = all.split_at_mut(steps * width);
                transpose(instructions, &rows, stride, there, width, to);
                assert!(behind.iter().all(|&x| x == -1.0), "{there} {width} {steps}");
                for (i, &got) in to.iter().enumerate() {
                    let (k, c) = (i / width, i % width);
                    let expected = if c < there { rows[c * stride + k] } else { 0.0 };
                    assert_eq!(got, expected, "{instructions:?} {there} {width}: {k}, {c}");
                }
            }
        }
    }
}
