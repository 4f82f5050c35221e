//! The feed-forward layers' activations and their gradients, a vector at a time.
//!
//! * gated: `y = silu(g) u`, `silu(g) = g σ(g)`; `dg = dy u σ (1 + g (1 - σ))`, `du = dy silu(g)`.
//! * GELU, tanh approximation: `y = x (1 + t) / 2`, `t = tanh(c (x + a x³))`;
//!   `dx = dy ((1 + t) + x (1 - t²) c (1 + 3 a x²)) / 2`.
#![expect(unsafe_code, reason = "vectors from and to pointers")]

use rayon::prelude::*;
use rho_kernels::{
    Instructions, OnLanes,
    lanes::{EXP_MIN, Lanes},
};

/// Elements per task.
const PART: usize = 16 * 1024;

/// sqrt(2 / π) and the cubic coefficient of GELU's tanh approximation.
const GELU: (f32, f32) = (0.797_884_6, 0.044_715);

/// `y = silu(gate) * up`.
pub(super) fn gated(instructions: Instructions, gate: &[f32], up: &[f32], y: &mut [f32]) {
    let operands = gate.par_chunks(PART).zip(up.par_chunks(PART));
    y.par_chunks_mut(PART)
        .zip(operands)
        .for_each(|(y, (gate, up))| instructions.run(Gated { gate, up, y }));
}

/// Recomputes `y`, replaces `dy` by the gradient of `gate`, and writes `d_up`.
pub(super) fn gated_backward(
    instructions: Instructions,
    gate: &[f32],
    up: &[f32],
    y: &mut [f32],
    dy: &mut [f32],
    d_up: &mut [f32],
) {
    let operands = gate.par_chunks(PART).zip(up.par_chunks(PART));
    let gradients = dy.par_chunks_mut(PART).zip(d_up.par_chunks_mut(PART));
    y.par_chunks_mut(PART)
        .zip(operands.zip(gradients))
        .for_each(|(y, ((gate, up), (dy, d_up)))| {
            instructions.run(GatedBackward {
                gate,
                up,
                y,
                dy,
                d_up,
            });
        });
}

/// `y = gelu(x)`.
pub(super) fn gelu(instructions: Instructions, x: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(PART)
        .zip(x.par_chunks(PART))
        .for_each(|(y, x)| instructions.run(Gelu { x, y }));
}

/// Recomputes `y`, and replaces `dy` by the gradient of `x`.
pub(super) fn gelu_backward(instructions: Instructions, x: &[f32], y: &mut [f32], dy: &mut [f32]) {
    y.par_chunks_mut(PART)
        .zip(x.par_chunks(PART).zip(dy.par_chunks_mut(PART)))
        .for_each(|(y, (x, dy))| instructions.run(GeluBackward { x, y, dy }));
}

/// An element-wise operation on vectors: from N inputs and the old values of M outputs to M outputs. Not a closure:
/// code that is not inlined is compiled without the CPU's features.
trait Elementwise<const N: usize, const M: usize> {
    /// # Safety
    /// The CPU has the features of `L`.
    unsafe fn apply<L: Lanes>(given: [L; N], was: [L; M]) -> [L; M];
}

/// Applies the operation vector by vector; the remainder is padded to a whole vector.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn each<L: Lanes, E: Elementwise<N, M>, const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    mut outputs: [&mut [f32]; M],
) {
    let length = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == length) && outputs.iter().all(|x| x.len() == length));
    let whole = length / L::WIDTH * L::WIDTH;
    // SAFETY: every slice has `length` elements, and `padded` holds a whole vector.
    unsafe {
        let zero = L::splat(0.0);
        let (mut given, mut was) = ([zero; N], [zero; M]);
        for at in (0..whole).step_by(L::WIDTH) {
            for (vector, input) in given.iter_mut().zip(&inputs) {
                *vector = L::load(input.as_ptr().add(at));
            }
            for (vector, output) in was.iter_mut().zip(&outputs) {
                *vector = L::load(output.as_ptr().add(at));
            }
            let made = E::apply(given, was);
            for (vector, output) in made.iter().zip(&mut outputs) {
                vector.store(output.as_mut_ptr().add(at));
            }
        }
        if whole < length {
            let rest = length - whole;
            let mut padded = [0.0f32; 16];
            for (vector, input) in given.iter_mut().zip(&inputs) {
                padded[..rest].copy_from_slice(&input[whole..]);
                *vector = L::load(padded.as_ptr());
            }
            for (vector, output) in was.iter_mut().zip(&outputs) {
                padded[..rest].copy_from_slice(&output[whole..]);
                *vector = L::load(padded.as_ptr());
            }
            let made = E::apply(given, was);
            for (vector, output) in made.iter().zip(&mut outputs) {
                vector.store(padded.as_mut_ptr());
                output[whole..].copy_from_slice(&padded[..rest]);
            }
        }
    }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
unsafe fn sigmoid<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's promise of features.
    unsafe {
        // The limits are the receivers of `min` and `max`, so a NaN is kept.
        let limited = L::splat(-EXP_MIN).min(L::splat(EXP_MIN).max(x));
        let e = L::splat(0.0).sub(limited).exp();
        L::splat(1.0).div(e.add(L::splat(1.0)))
    }
}

struct Gated<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
}

impl OnLanes for Gated<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let inputs = [self.gate, self.up];
        // SAFETY: the caller's promise.
        unsafe { each::<L, Self, 2, 1>(inputs, [self.y]) };
    }
}

impl Elementwise<2, 1> for Gated<'_> {
    #[inline(always)]
    unsafe fn apply<L: Lanes>([gate, up]: [L; 2], _: [L; 1]) -> [L; 1] {
        // SAFETY: the caller's promise.
        unsafe { [gate.mul(sigmoid(gate)).mul(up)] }
    }
}

struct GatedBackward<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
    dy: &'a mut [f32],
    d_up: &'a mut [f32],
}

impl OnLanes for GatedBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let inputs = [self.gate, self.up];
        // SAFETY: the caller's promise.
        unsafe { each::<L, Self, 2, 3>(inputs, [self.y, self.dy, self.d_up]) };
    }
}

impl Elementwise<2, 3> for GatedBackward<'_> {
    #[inline(always)]
    unsafe fn apply<L: Lanes>([gate, up]: [L; 2], [_, dy, _]: [L; 3]) -> [L; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let one = L::splat(1.0);
            let s = sigmoid(gate);
            let silu = gate.mul(s);
            let slope = s.mul(gate.mul_add(one.sub(s), one));
            [silu.mul(up), dy.mul(up).mul(slope), dy.mul(silu)]
        }
    }
}

/// `(1 + t, slope)` of GELU at x.
#[inline(always)]
unsafe fn gelu_parts<L: Lanes>(x: L) -> (L, L) {
    // SAFETY: the caller's promise of features.
    unsafe {
        let (c, a) = (L::splat(GELU.0), L::splat(GELU.1));
        let one = L::splat(1.0);
        let square = x.mul(x);
        let t = c.mul(x).mul(a.mul_add(square, one)).tanh();
        let inner = c.mul(L::splat(3.0).mul(a).mul_add(square, one));
        let slope = x.mul(one.sub(t.mul(t))).mul_add(inner, one.add(t));
        (one.add(t), slope)
    }
}

struct Gelu<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl OnLanes for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let inputs = [self.x];
        // SAFETY: the caller's promise.
        unsafe { each::<L, Self, 1, 1>(inputs, [self.y]) };
    }
}

impl Elementwise<1, 1> for Gelu<'_> {
    #[inline(always)]
    unsafe fn apply<L: Lanes>([x]: [L; 1], _: [L; 1]) -> [L; 1] {
        // SAFETY: the caller's promise.
        unsafe { [x.mul(L::splat(0.5)).mul(gelu_parts(x).0)] }
    }
}

struct GeluBackward<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    dy: &'a mut [f32],
}

impl OnLanes for GeluBackward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let inputs = [self.x];
        // SAFETY: the caller's promise.
        unsafe { each::<L, Self, 1, 2>(inputs, [self.y, self.dy]) };
    }
}

impl Elementwise<1, 2> for GeluBackward<'_> {
    #[inline(always)]
    unsafe fn apply<L: Lanes>([x]: [L; 1], [_, dy]: [L; 2]) -> [L; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (one_and_t, slope) = gelu_parts(x);
            let half = L::splat(0.5);
            [x.mul(half).mul(one_and_t), dy.mul(half).mul(slope)]
        }
    }
}
