//! AdamW in one pass over memory, on all threads: weights, gradients and moments are each read and written once.

use rayon::prelude::*;
use rho_kernels::{Instructions, OnLanes, lanes::Lanes};

use super::Factors;
use crate::model::Architecture;

/// Elements per task: fixed, so that the norm's sums are the same for any number of threads.
const PART: usize = 32 * 1024;

/// The norm of all gradients together.
pub(super) fn norm(gradients: &[Vec<f32>]) -> f64 {
    let instructions = Instructions::detect();
    let parts: Vec<&[f32]> = gradients.iter().flat_map(|g| g.chunks(PART)).collect();
    let squares = parts
        .into_par_iter()
        .map(|part| instructions.run(Square(part)));
    squares.collect::<Vec<f64>>().iter().sum::<f64>().sqrt()
}

/// One step of all parameters. Sets the gradients to zero.
pub(super) fn update(
    (architecture, weights, gradients): (&Architecture, &mut [Vec<f32>], &mut [Vec<f32>]),
    mean: &mut [Vec<f32>],
    square: &mut [Vec<f32>],
    factors: Factors,
) {
    let instructions = Instructions::detect();
    let vectors = weights
        .iter_mut()
        .zip(gradients)
        .zip(mean.iter_mut().zip(square));
    let parts = vectors.zip(&architecture.parameters);
    let parts = parts.flat_map(|(((weights, gradient), (mean, square)), parameter)| {
        let decay = if parameter.decays() {
            factors.weight_decay
        } else {
            0.0
        };
        let weights = weights.chunks_mut(PART).zip(gradient.chunks_mut(PART));
        let moments = mean.chunks_mut(PART).zip(square.chunks_mut(PART));
        weights
            .zip(moments)
            .map(move |((weights, gradient), (mean, square))| Part {
                weights,
                gradient,
                mean,
                square,
                factors,
                decay,
            })
    });
    let parts: Vec<Part<'_>> = parts.collect();
    parts
        .into_par_iter()
        .for_each(|part| instructions.run(part));
}

struct Square<'a>(&'a [f32]);

impl OnLanes for Square<'_> {
    type Output = f64;

    #[inline(always)]
    #[expect(unsafe_code, reason = "the trait's contract; the body is plain")]
    unsafe fn run<L: Lanes, const R: usize>(self) -> f64 {
        // A fixed number of lanes, so that the sums are the same on every CPU.
        let mut sums = [0.0f64; 16];
        let chunks = self.0.chunks_exact(16);
        let rest = chunks
            .remainder()
            .iter()
            .map(|&x| f64::from(x).powi(2))
            .sum::<f64>();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

struct Part<'a> {
    weights: &'a mut [f32],
    gradient: &'a mut [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    factors: Factors,
    decay: f64,
}

impl OnLanes for Part<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(unsafe_code, reason = "the trait's contract; the body is plain")]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let f = self.factors;
        let keep = (1.0 - f.learning_rate * self.decay) as f32;
        let step = (f.learning_rate / f.correction1) as f32;
        let root = (1.0 / f.correction2.sqrt()) as f32;
        let (beta1, rest1) = (f.beta1 as f32, (1.0 - f.beta1) as f32);
        let (beta2, rest2) = (f.beta2 as f32, (1.0 - f.beta2) as f32);
        let (epsilon, scale) = (f.epsilon as f32, f.scale as f32);
        let numbers = self.weights.iter_mut().zip(self.gradient);
        let moments = self.mean.iter_mut().zip(self.square);
        for ((w, g), (m, v)) in numbers.zip(moments) {
            let gradient = *g * scale;
            *g = 0.0;
            *m = beta1 * *m + rest1 * gradient;
            *v = beta2 * *v + rest2 * gradient * gradient;
            *w = *w * keep - step * *m / (v.sqrt() * root + epsilon);
        }
    }
}
