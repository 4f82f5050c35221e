//! The head and its loss, over blocks of rows and blocks of the vocabulary: `[tokens, vocab_size]` is never in memory.
//!
//! ```text
//! losses    for a block of rows, for a block of the vocabulary: logits [rows, block], running maximum and sum per row
//! gradient  the same logits again;  dl = w (exp(l - log-sum-exp) - [l is the target's]);
//!           dx += dl W,  dW += dlᵀ x
//! ```
//!
//! Ranking needs the losses of all rows; the gradient is computed only for the kept rows. Computing logits twice
//! costs a third of the gradient's matmuls, but a block of logits stays in the cache, where whole rows would not.
#![expect(unsafe_code, reason = "vectors from and to pointers")]

use rayon::prelude::*;
use rho_kernels::{
    Instructions, OnLanes,
    lanes::{EXP_MIN, Lanes},
    matrix::{Matrix, MatrixMut, Store, multiply},
    softmax::shifted_exp,
};

use super::rows::Shared;
use crate::network::{RowLoss, WeightedRow};

/// Rows and columns of a block of logits: 4 MiB.
const BLOCK: (usize, usize) = (1024, 1024);

/// The head's weights and the hidden states that it reads.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) instructions: Instructions,
    /// `[vocab_size, hidden_size]`.
    pub(super) weights: &'a [f32],
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
    /// `[tokens, hidden_size]`.
    pub(super) states: &'a [f32],
}

/// The running softmax of a row.
#[derive(Clone, Copy)]
struct Running {
    top: f32,
    /// Sum of exp(logit - top).
    sum: f64,
    target: f32,
}

/// The unweighted losses of rows.
pub(super) fn losses(head: Head<'_>, rows: &[WeightedRow]) -> Vec<RowLoss> {
    let mut scored = Vec::with_capacity(rows.len());
    let mut memory = Memory::new(head, rows.len());
    for rows in rows.chunks(BLOCK.0) {
        let start = Running {
            top: f32::NEG_INFINITY,
            sum: 0.0,
            target: f32::NAN,
        };
        let mut running = vec![start; rows.len()];
        memory.gather(head, rows);
        for from in (0..head.vocabulary).step_by(BLOCK.1) {
            let (logits, columns) = memory.logits(head, rows.len(), from);
            let work = running
                .par_iter_mut()
                .zip(rows)
                .zip(logits.par_chunks_mut(columns));
            work.with_min_len(16).for_each(|((running, row), logits)| {
                if let Some(at) = (row.target.token as usize).checked_sub(from) {
                    running.target = logits.get(at).copied().unwrap_or(running.target);
                }
                head.instructions.run(Update { logits, running });
            });
        }
        scored.extend(running.into_iter().map(|row| {
            let log_sum = row.sum.ln();
            RowLoss {
                // Subtract the large numbers first: their difference is small.
                loss: (f64::from(row.top) - f64::from(row.target) + log_sum) as f32,
                log_sum: (f64::from(row.top) + log_sum) as f32,
            }
        }));
    }
    scored
}

/// Adds the head's gradient of `Σ weight loss` to `weight_gradient`, and writes that of the hidden states to
/// `state_gradient [tokens, hidden_size]`, zero for states that no row reads. `scored` is the result of [`losses`]
/// for the same rows; no two rows read the same state.
pub(super) fn gradient(
    head: Head<'_>,
    rows: &[WeightedRow],
    scored: &[RowLoss],
    weight_gradient: &mut [f32],
    state_gradient: &mut [f32],
) {
    let hidden = head.hidden;
    state_gradient
        .par_chunks_mut(1 << 16)
        .for_each(|part| part.fill(0.0));
    let mut memory = Memory::new(head, rows.len());
    let mut answer = vec![0.0; rows.len().min(BLOCK.0) * hidden];
    for (rows, scored) in rows.chunks(BLOCK.0).zip(scored.chunks(BLOCK.0)) {
        memory.gather(head, rows);
        let answer = &mut answer[..rows.len() * hidden];
        for from in (0..head.vocabulary).step_by(BLOCK.1) {
            let (logits, columns) = memory.logits(head, rows.len(), from);
            let work = rows
                .par_iter()
                .zip(scored)
                .zip(logits.par_chunks_mut(columns));
            work.with_min_len(16).for_each(|((row, scored), logits)| {
                head.instructions.run(Differentiate {
                    logits,
                    log_sum: scored.log_sum,
                    weight: row.weight,
                });
                if let Some(at) = (row.target.token as usize).checked_sub(from)
                    && let Some(logit) = logits.get_mut(at)
                {
                    *logit -= row.weight;
                }
            });
            let weights = &head.weights[from * hidden..][..columns * hidden];
            let store = if from == 0 {
                Store::Replace
            } else {
                Store::Add
            };
            let gradients = Matrix::new(&memory.logits, rows.len(), columns);
            multiply(
                head.instructions,
                gradients,
                Matrix::new(weights, columns, hidden),
                MatrixMut::new(answer, rows.len(), hidden),
                store,
            );
            multiply(
                head.instructions,
                gradients.transposed(),
                Matrix::new(&memory.states, rows.len(), hidden),
                MatrixMut::new(&mut weight_gradient[from * hidden..], columns, hidden),
                Store::Add,
            );
        }
        let states = Shared::new(state_gradient);
        let work = rows.par_iter().zip(answer.par_chunks(hidden));
        work.with_min_len(64).for_each(|(row, answer)| {
            // SAFETY: no two rows read the same state.
            unsafe { states.part(row.target.state * hidden, hidden) }.copy_from_slice(answer);
        });
    }
}

/// Buffers for a block, reused for all blocks.
struct Memory {
    /// `[rows, hidden_size]`.
    states: Vec<f32>,
    /// `[rows, columns]`.
    logits: Vec<f32>,
}

impl Memory {
    fn new(head: Head<'_>, rows: usize) -> Self {
        let rows = rows.min(BLOCK.0);
        Self {
            states: vec![0.0; rows * head.hidden],
            logits: vec![0.0; rows * BLOCK.1.min(head.vocabulary)],
        }
    }

    fn gather(&mut self, head: Head<'_>, rows: &[WeightedRow]) {
        let hidden = head.hidden;
        let work = self.states.par_chunks_mut(hidden).zip(rows);
        work.with_min_len(64).for_each(|(to, row)| {
            to.copy_from_slice(&head.states[row.target.state * hidden..][..hidden]);
        });
    }

    /// The logits of the gathered rows for a block of the vocabulary starting at `from`, and their number of columns.
    fn logits(&mut self, head: Head<'_>, rows: usize, from: usize) -> (&mut [f32], usize) {
        let columns = BLOCK.1.min(head.vocabulary - from);
        let weights = &head.weights[from * head.hidden..][..columns * head.hidden];
        multiply(
            head.instructions,
            Matrix::new(&self.states, rows, head.hidden),
            Matrix::new(weights, columns, head.hidden).transposed(),
            MatrixMut::new(&mut self.logits, rows, columns),
            Store::Replace,
        );
        (&mut self.logits[..rows * columns], columns)
    }
}

/// Updates a row's running softmax with a block of its logits.
struct Update<'a> {
    logits: &'a [f32],
    running: &'a mut Running,
}

impl OnLanes for Update<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let (vectors, rest) = self
            .logits
            .split_at(self.logits.len() / L::WIDTH * L::WIDTH);
        let mut lanes = [f32::NEG_INFINITY; 16];
        let mut sums = [0.0f32; 16];
        // SAFETY: vectors are whole, and a vector has at most 16 lanes.
        let (top, sum) = unsafe {
            let mut highest = L::splat(f32::NEG_INFINITY);
            for x in vectors.chunks_exact(L::WIDTH) {
                // `max` returns its argument where the receiver is NaN; the NaN then appears in the sum.
                highest = L::load(x.as_ptr()).max(highest);
            }
            highest.store(lanes.as_mut_ptr());
            let top = lanes
                .iter()
                .chain(rest)
                .copied()
                .fold(f32::NEG_INFINITY, f32::max);
            let mut sum = L::splat(0.0);
            for x in vectors.chunks_exact(L::WIDTH) {
                sum = sum.add(shifted_exp(L::load(x.as_ptr()), L::splat(top)));
            }
            sum.store(sums.as_mut_ptr());
            (top, sums.iter().map(|&s| f64::from(s)).sum::<f64>())
        };
        let rest = rest.iter().map(|x| f64::from(x - top).exp());
        let sum = sum + rest.sum::<f64>();
        let running = self.running;
        let higher = running.top.max(top);
        let scale = |from: f32| f64::from(from - higher).exp();
        let before = if running.sum > 0.0 {
            running.sum * scale(running.top)
        } else {
            running.sum
        };
        running.sum = before + sum * scale(top);
        running.top = higher;
    }
}

/// `weight * exp(logit - log_sum)` in place.
struct Differentiate<'a> {
    logits: &'a mut [f32],
    log_sum: f32,
    weight: f32,
}

impl OnLanes for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let whole = self.logits.len() / L::WIDTH * L::WIDTH;
        let (vectors, rest) = self.logits.split_at_mut(whole);
        for x in vectors.chunks_exact_mut(L::WIDTH) {
            // SAFETY: vectors are whole.
            unsafe {
                let shifted = L::load(x.as_ptr()).sub(L::splat(self.log_sum));
                // Above 0 only by rounding. The limits are the receivers of `min` and `max`, so a NaN is kept.
                let shifted = L::splat(1.0).min(L::splat(EXP_MIN).max(shifted));
                shifted
                    .exp()
                    .mul(L::splat(self.weight))
                    .store(x.as_mut_ptr());
            }
        }
        for x in rest {
            *x = (*x - self.log_sum).exp() * self.weight;
        }
    }
}
