//! Rotary position embedding in place, and its gradient: the rotation by the opposite angle.
//!
//! Elements `i` and `i + head_dim / 2` of a head are rotated by `position * base^(-2 i / head_dim)` (Su et al., arXiv
//! 2104.09864, in Transformers' order). Angles are f32 products, as in Transformers.

use rayon::prelude::*;

use super::rows::CHUNK;

/// Cosines and sines, `[positions, head_dim / 2]`.
pub(super) struct Angles {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Angles {
    pub(super) fn new(base: f64, width: usize, positions: usize) -> Self {
        let half = width / 2;
        let angles = (0..positions * half).map(|i| {
            let exponent = (2 * (i % half)) as f64 / width as f64;
            let frequency = (1.0 / base.powf(exponent)) as f32;
            f64::from((i / half) as f32 * frequency)
        });
        let (cosines, sines) = angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        Self {
            half,
            cosines,
            sines,
        }
    }

    /// Rotates all heads of `x [tokens, heads * head_dim]`, with `back` by the opposite angles. `row` is
    /// `heads * head_dim`; `position` returns a token's position.
    pub(super) fn turn(
        &self,
        x: &mut [f32],
        row: usize,
        back: bool,
        position: impl Fn(usize) -> usize + Sync,
    ) {
        let sign = if back { -1.0 } else { 1.0 };
        x.par_chunks_mut(row * CHUNK)
            .enumerate()
            .for_each(|(c, rows)| {
                for (r, row) in rows.chunks_exact_mut(row).enumerate() {
                    let at = position(c * CHUNK + r) * self.half;
                    let cosines = &self.cosines[at..][..self.half];
                    let sines = &self.sines[at..][..self.half];
                    for head in row.chunks_exact_mut(2 * self.half) {
                        let (first, second) = head.split_at_mut(self.half);
                        let pairs = first.iter_mut().zip(second).zip(cosines.iter().zip(sines));
                        for ((a, b), (cosine, sine)) in pairs {
                            let sine = sine * sign;
                            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                        }
                    }
                }
            });
    }
}
