//! RMS norm and LayerNorm with their gradients, row by row.
//!
//! With `n = (x - μ) r`, `r = 1 / sqrt(σ² + ε)` (μ = 0 and σ² the mean square for RMS) and `y = n s (+ b)`:
//! `dx = r (s dy - mean(s dy) - n mean(s dy n))`, the first mean only for LayerNorm; `ds = Σ dy n`, `db = Σ dy`.

use rayon::prelude::*;
use rho_kernels::{Instructions, OnLanes, lanes::Lanes};

use super::rows::{CHUNK, add_parts};
use crate::model::Norm;

/// Lanes of partial sums: the same on every CPU, so that results are the same.
const LANES: usize = 16;

/// A norm and its weights.
#[derive(Clone, Copy)]
struct Weights<'a> {
    scale: &'a [f32],
    bias: Option<&'a [f32]>,
    epsilon: f32,
}

impl<'a> Weights<'a> {
    fn of(norm: &Norm, parameters: &'a [Vec<f32>]) -> Self {
        Self {
            scale: &parameters[norm.scale],
            bias: norm.bias.map(|bias| parameters[bias].as_slice()),
            epsilon: norm.epsilon as f32,
        }
    }
}

/// `y = norm(x)`, row by row.
pub(super) fn forward(
    instructions: Instructions,
    norm: &Norm,
    parameters: &[Vec<f32>],
    x: &[f32],
    y: &mut [f32],
) {
    let weights = Weights::of(norm, parameters);
    let part = weights.scale.len() * CHUNK;
    y.par_chunks_mut(part)
        .zip(x.par_chunks(part))
        .for_each(|(y, x)| instructions.run(Forward { weights, x, y }));
}

/// Adds the gradient of the norm's input `x`, given `dy`, to `dx`, and adds to the gradients of its weights.
pub(super) fn backward(
    instructions: Instructions,
    norm: &Norm,
    parameters: &[Vec<f32>],
    gradients: &mut [Vec<f32>],
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let weights = Weights::of(norm, parameters);
    let width = weights.scale.len();
    let part = width * CHUNK;
    let parts = dx
        .par_chunks_mut(part)
        .zip(x.par_chunks(part).zip(dy.par_chunks(part)))
        .map(|(dx, (x, dy))| {
            let mut scale = vec![0.0; width];
            let mut bias = vec![0.0; if weights.bias.is_some() { width } else { 0 }];
            instructions.run(Backward {
                weights,
                x,
                dy,
                dx,
                scale_gradient: &mut scale,
                bias_gradient: &mut bias,
            });
            (scale, bias)
        });
    let (scales, biases): (Vec<_>, Vec<_>) = parts.collect::<Vec<_>>().into_iter().unzip();
    add_parts(&scales, &mut gradients[norm.scale]);
    if let Some(bias) = norm.bias {
        add_parts(&biases, &mut gradients[bias]);
    }
}

struct Forward<'a> {
    weights: Weights<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl OnLanes for Forward<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(unsafe_code, reason = "the trait's contract; the body is plain")]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let width = self.weights.scale.len();
        for (x, y) in self
            .x
            .chunks_exact(width)
            .zip(self.y.chunks_exact_mut(width))
        {
            let (mean, r) = moments(self.weights, x);
            let scaled = y.iter_mut().zip(x).zip(self.weights.scale);
            match self.weights.bias {
                None => scaled.for_each(|((y, x), s)| *y = x * r * s),
                Some(bias) => scaled
                    .zip(bias)
                    .for_each(|(((y, x), s), b)| *y = (x - mean) * r * s + b),
            }
        }
    }
}

struct Backward<'a> {
    weights: Weights<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    scale_gradient: &'a mut [f32],
    bias_gradient: &'a mut [f32],
}

impl OnLanes for Backward<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(unsafe_code, reason = "the trait's contract; the body is plain")]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let scale = self.weights.scale;
        let width = scale.len();
        let rows = self.x.chunks_exact(width).zip(self.dy.chunks_exact(width));
        for ((x, dy), dx) in rows.zip(self.dx.chunks_exact_mut(width)) {
            let (mean, r) = moments(self.weights, x);
            let along = lane_sums(width, |i| scale[i] * dy[i] * (x[i] - mean)) * r / width as f32;
            let even = match self.weights.bias {
                Some(_) => lane_sums(width, |i| scale[i] * dy[i]) / width as f32,
                None => 0.0,
            };
            let columns = dx.iter_mut().zip(self.scale_gradient.iter_mut());
            for (((dx, ds), (x, dy)), s) in columns.zip(x.iter().zip(dy)).zip(scale) {
                let n = (x - mean) * r;
                *dx += r * (s * dy - even - n * along);
                *ds += dy * n;
            }
            self.bias_gradient
                .iter_mut()
                .zip(dy)
                .for_each(|(db, dy)| *db += dy);
        }
    }
}

/// Mean and 1 / sqrt(variance + ε); the mean is 0 for RMS norm.
#[inline(always)]
fn moments(weights: Weights<'_>, x: &[f32]) -> (f32, f32) {
    let width = x.len() as f32;
    let mean = match weights.bias {
        Some(_) => lane_sums(x.len(), |i| x[i]) / width,
        None => 0.0,
    };
    let variance = lane_sums(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / width;
    (mean, 1.0 / (variance + weights.epsilon).sqrt())
}

/// `Σ term(i)`: a partial sum per lane, then the lanes in order.
#[inline(always)]
fn lane_sums(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let whole = count / LANES * LANES;
    for from in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(from + lane);
        }
    }
    for i in whole..count {
        sums[i - whole] += term(i);
    }
    sums.iter().sum()
}
