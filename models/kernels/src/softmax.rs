//! Softmax over tiles of scores, shared by every attention kernel and head.
//!
//! Scores of R rows are in tiles of two vectors of columns, one tile after the other: `[tiles][R][two vectors]`.
//!
//! ```text
//! raise         highest[r] = max(highest[r], scores[r])                       tile by tile, lane by lane
//! exponentials  scores = exp(scores - top), total = their sum                 row by row
//! weigh         sums [R, two vectors] = scores [R, columns] x values          in registers
//! ```
#![expect(unsafe_code, reason = "vectors from and to pointers")]

use crate::{
    lanes::{EXP_MIN, Lanes},
    tile::{Strides, accumulate},
};

/// The initial maximum: lower than any score, but finite, so that differences are finite.
pub const LOWEST: f32 = -1e30;

/// The softmax statistics of a row: its exponentials divided by `total` are probabilities.
#[derive(Debug, Clone, Copy)]
pub struct RowSum {
    /// The highest score.
    pub top: f32,
    /// The sum of `exp(score - top)`.
    pub total: f32,
}

/// `exp(x - top)` for `x <= top`.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub unsafe fn shifted_exp<L: Lanes>(x: L, top: L) -> L {
    // SAFETY: the caller's promise. The limit is the receiver of `max`, so a NaN in `x` reaches the sum and is seen.
    unsafe { L::splat(EXP_MIN).max(x.sub(top)).exp() }
}

/// Updates the maxima of a tile's rows with its scores, lane by lane.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub unsafe fn raise<L: Lanes, const R: usize>(highest: &mut [L; R], tile: &[f32]) {
    let width = 2 * L::WIDTH;
    for (highest, row) in highest
        .iter_mut()
        .zip(tile[..R * width].chunks_exact(width))
    {
        // SAFETY: a row is two vectors.
        unsafe {
            let row = row.as_ptr();
            // `max` returns its argument where the receiver is NaN; the NaN then appears in the sum.
            *highest = L::load(row).max(L::load(row.add(L::WIDTH))).max(*highest);
        }
    }
}

/// Replaces scores by their exponentials, in place. `clear(t, r, row)` receives the exponentials of row `r` in tile `t`
/// before they are summed, and may set some to 0.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub unsafe fn exponentials<L: Lanes, const R: usize>(
    scores: &mut [f32],
    highest: &[L; R],
    clear: impl Fn(usize, usize, &mut [f32]),
) -> [RowSum; R] {
    let width = 2 * L::WIDTH;
    let tiles = scores.len() / (R * width);
    // SAFETY: a row of a tile is two vectors.
    let mut row_sum = |r: usize| unsafe {
        let top = fold(highest[r], f32::max);
        let mut sum = L::splat(0.0);
        for t in 0..tiles {
            let row = &mut scores[(t * R + r) * width..][..width];
            for v in [0, L::WIDTH] {
                let at = row.as_mut_ptr().add(v);
                shifted_exp(L::load(at), L::splat(top)).store(at);
            }
            clear(t, r, row);
            let row = row.as_ptr();
            sum = sum.add(L::load(row)).add(L::load(row.add(L::WIDTH)));
        }
        RowSum {
            top,
            total: fold(sum, |a, b| a + b),
        }
    };
    let mut sums = [RowSum {
        top: LOWEST,
        total: 0.0,
    }; R];
    for (r, sum) in sums.iter_mut().enumerate() {
        *sum = row_sum(r);
    }
    sums
}

/// The sums of values, weighted by the exponentials of the first `columns` columns.
///
/// `values` is `[columns][two vectors]`.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub unsafe fn weigh<L: Lanes, const R: usize>(
    columns: usize,
    exponentials: &[f32],
    values: &[f32],
) -> [[L; 2]; R] {
    let width = 2 * L::WIDTH;
    let exponentials = &exponentials[..columns.div_ceil(width) * R * width];
    let values = &values[..columns * width];
    let in_a_tile = Strides {
        step: 1,
        row: 2 * L::WIDTH,
    };
    // SAFETY: a tile holds R rows of `width` columns, and at most that many are read; `values` has as many rows.
    unsafe {
        let mut sums = [[L::splat(0.0); 2]; R];
        let tiles = exponentials.chunks_exact(R * width);
        for (tile, values) in tiles.zip(values.chunks(width * width)) {
            accumulate(
                &mut sums,
                values.len() / width,
                tile.as_ptr(),
                in_a_tile,
                values.as_ptr(),
            );
        }
        sums
    }
}

/// Reduces all lanes to one number, starting with the first.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub unsafe fn fold<L: Lanes>(vector: L, with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; 16];
    // SAFETY: a vector has at most 16 lanes.
    unsafe { vector.store(lanes.as_mut_ptr()) };
    let (first, rest) = (lanes[0], &lanes[1..L::WIDTH]);
    rest.iter().fold(first, |all, &lane| with(all, lane))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Instructions, OnLanes};

    /// Softmax of rows with some masked columns, times values.
    struct Attend<'a> {
        scores: &'a mut Vec<f32>,
        values: &'a [f32],
        columns: usize,
        out: &'a mut Vec<f64>,
    }

    /// A number between -1 and 1 for each index.
    fn number(place: usize) -> f32 {
        (place * 7919 % 2003) as f32 / 1001.5 - 1.0
    }

    impl OnLanes for Attend<'_> {
        type Output = ();

        #[inline(always)]
        unsafe fn run<L: Lanes, const R: usize>(self) {
            let width = 2 * L::WIDTH;
            let tiles = self.columns.div_ceil(width);
            let score = |r: usize, c: usize| 40.0 * number(r * 1000 + c);
            *self.scores = vec![0.0; tiles * R * width];
            for (i, x) in self.scores.iter_mut().enumerate() {
                let (t, r, c) = (i / (R * width), i / width % R, i % width);
                *x = match t * width + c {
                    c if c < self.columns => score(r, c),
                    _ => LOWEST,
                };
            }
            let values: Vec<f32> = (0..self.columns * width).map(|i| self.values[i]).collect();
            // SAFETY: the caller's promise: the CPU has the features.
            unsafe {
                let mut highest = [L::splat(LOWEST); R];
                for tile in self.scores.chunks_exact(R * width) {
                    raise(&mut highest, tile);
                }
                let sums = exponentials(self.scores, &highest, |t, _, row| {
                    let there = width.min(self.columns - t * width);
                    row[there..].fill(0.0);
                });
                let answer = weigh::<L, R>(self.columns, self.scores, &values);
                for r in 0..R {
                    let mut numbers = [0.0; 32];
                    answer[r][0].store(numbers.as_mut_ptr());
                    answer[r][1].store(numbers.as_mut_ptr().add(L::WIDTH));
                    let top = (0..self.columns)
                        .map(|c| score(r, c))
                        .fold(f32::MIN, f32::max);
                    assert_eq!(sums[r].top, top);
                    for (v, &got) in numbers[..width].iter().enumerate() {
                        let terms = (0..self.columns).map(|c| f64::from(score(r, c) - top).exp());
                        let total: f64 = terms.clone().sum();
                        let weighed = terms
                            .enumerate()
                            .map(|(c, e)| e * f64::from(values[c * width + v]));
                        let expected = weighed.sum::<f64>() / total;
                        self.out
                            .push(f64::from(got) / f64::from(sums[r].total) - expected);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_weighed_as_in_double_precision() {
        let values: Vec<f32> = (0..100 * 32).map(|i| number(i * 31)).collect();
        for columns in [1, 15, 16, 17, 64, 100] {
            for instructions in Instructions::available() {
                let (mut scores, mut differences) = (Vec::new(), Vec::new());
                instructions.run(Attend {
                    scores: &mut scores,
                    values: &values,
                    columns,
                    out: &mut differences,
                });
                let worst = differences.iter().fold(0.0f64, |a, b| a.max(b.abs()));
                assert!(worst < 1e-6, "{instructions:?}, {columns} columns: {worst}");
            }
        }
    }
}
