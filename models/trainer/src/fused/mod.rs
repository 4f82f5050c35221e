//! The network on the CPU in f32: every operation has a hand-written forward and backward pass and uses all threads.
//! Its oracle is `plain`, the same model by candle's operations and autograd.
//!
//! ```text
//! Batch ─► embedding ─► block ─► ... ─► norm ─► Forward ─► losses ─► (selection) ─► backward ─► gradients
//! ```
//!
//! Gradients accumulate until the optimiser takes them. Results do not depend on the number of threads, to the bit:
//! sums over tokens are split at fixed positions and added in one order.

mod activation;
mod attention;
mod block;
mod buffers;
mod cross_entropy;
mod linear;
mod norm;
mod rotary;
mod rows;
#[cfg(test)]
mod tests;

use rayon::prelude::*;
use rho_kernels::Instructions;

use self::{block::Context, buffers::Buffers, rotary::Angles};
use crate::{
    Batch,
    model::{Architecture, Mlp},
    network::{RowLoss, WeightedRow},
};

/// A model on the CPU with its gradients.
pub struct Network {
    architecture: Architecture,
    instructions: Instructions,
    weights: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    angles: Option<Angles>,
    buffers: Buffers,
    checkpointing: bool,
    /// Rows and length of the last batch. Buffers for other sizes are freed.
    last: (usize, usize),
}

/// A forward pass: what backward needs, and the hidden states that the head reads.
pub struct Forward {
    rows: usize,
    length: usize,
    input_ids: Vec<u32>,
    starts: Vec<u32>,
    blocks: Vec<KeptBlock>,
    /// After the last block.
    last: Vec<f32>,
    /// After the last norm.
    states: Vec<f32>,
}

impl Forward {
    /// Number of tokens of its batch.
    pub(crate) fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether backward is possible.
    pub(crate) fn is_kept(&self) -> bool {
        !self
            .blocks
            .iter()
            .any(|block| matches!(block, KeptBlock::Nothing))
    }
}

enum KeptBlock {
    All(Box<block::Kept>),
    /// With gradient checkpointing, only the input.
    Input(Vec<f32>),
    Nothing,
}

impl Network {
    /// A network with these weights, in the order of [`Architecture::parameters`].
    pub fn new(architecture: Architecture, weights: Vec<Vec<f32>>) -> Self {
        let config = &architecture.config;
        let angles = config
            .rotary_base
            .map(|base| Angles::new(base, config.head_width, config.positions));
        let gradients = weights
            .iter()
            .map(|numbers| vec![0.0; numbers.len()])
            .collect();
        Self {
            architecture,
            instructions: Instructions::detect(),
            weights,
            gradients,
            angles,
            buffers: Buffers::default(),
            checkpointing: false,
            last: (0, 0),
        }
    }

    /// Turns gradient checkpointing on or off: blocks keep only their input and recompute the rest in backward.
    pub fn set_checkpointing(&mut self, on: bool) {
        self.checkpointing = on;
    }

    /// The model's architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The weights.
    pub fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// The gradients so far.
    pub fn gradients(&self) -> &[Vec<f32>] {
        &self.gradients
    }

    /// Weights and gradients, for the optimiser.
    pub fn parts_mut(&mut self) -> (&Architecture, &mut [Vec<f32>], &mut [Vec<f32>]) {
        (&self.architecture, &mut self.weights, &mut self.gradients)
    }

    /// Sets all gradients to zero.
    pub fn clear_gradients(&mut self) {
        self.gradients
            .iter_mut()
            .for_each(|gradient| fill_zero(gradient));
    }

    /// Bytes that a forward pass over `tokens` tokens keeps until backward.
    pub fn kept_bytes(&self, tokens: usize) -> usize {
        let config = &self.architecture.config;
        let inner = self
            .architecture
            .blocks
            .first()
            .map_or(0, |block| match block.mlp {
                Mlp::Gated { .. } => 2,
                Mlp::Gelu { .. } => 1,
            });
        let wide = config.heads * config.head_width;
        let narrow = config.key_value_heads * config.head_width;
        let raw = if self
            .architecture
            .blocks
            .iter()
            .any(|b| b.head_norms.is_some())
        {
            wide + narrow
        } else {
            0
        };
        let all = 2 * config.hidden
            + 2 * wide
            + 2 * narrow
            + raw
            + config.heads
            + inner * config.intermediate;
        let block = if self.checkpointing {
            config.hidden
        } else {
            all
        };
        (config.layers * block + 2 * config.hidden) * tokens * 4
    }

    /// Computes the hidden states of a batch. With `keep`, the activations that backward needs are kept; without, only
    /// losses can be computed.
    pub(crate) fn forward(&mut self, batch: &Batch, keep: bool) -> Forward {
        if self.last != (batch.rows, batch.length) {
            self.buffers.clear();
            self.last = (batch.rows, batch.length);
        }
        let starts = &batch.document_starts;
        let context = self.context(batch.rows, batch.length, starts);
        let mut stream = self.embed(&batch.input_ids, starts, batch.length);
        let mut blocks = Vec::with_capacity(self.architecture.blocks.len());
        for block in &self.architecture.blocks {
            let (output, kept) = block::forward(context, block, stream);
            stream = output;
            blocks.push(match (keep, self.checkpointing) {
                (true, false) => KeptBlock::All(Box::new(kept)),
                (true, true) => KeptBlock::Input(kept.into_input(&self.buffers)),
                (false, _) => {
                    kept.release(&self.buffers);
                    KeptBlock::Nothing
                }
            });
        }
        let mut states = self.buffers.take(stream.len());
        norm::forward(
            self.instructions,
            &self.architecture.norm,
            &self.weights,
            &stream,
            &mut states,
        );
        Forward {
            rows: batch.rows,
            length: batch.length,
            input_ids: batch.input_ids.clone(),
            starts: starts.clone(),
            blocks,
            last: stream,
            states,
        }
    }

    /// The loss of each row, in nats.
    pub(crate) fn losses(&self, forward: &Forward, rows: &[WeightedRow]) -> Vec<RowLoss> {
        cross_entropy::losses(self.head(&forward.states), rows)
    }

    /// Adds the gradient of `Σ weight loss` over these rows to the gradients. `losses` is the result of
    /// [`losses`](Self::losses) for them.
    pub(crate) fn backward(&mut self, forward: Forward, rows: &[WeightedRow], losses: &[RowLoss]) {
        let head = self.architecture.head;
        let mut stream = self.buffers.take(forward.states.len());
        fill_zero(&mut stream);
        let mut states = self.buffers.take(forward.states.len());
        let mut weight_gradient = std::mem::take(&mut self.gradients[head]);
        let operand = self.head(&forward.states);
        cross_entropy::gradient(operand, rows, losses, &mut weight_gradient, &mut states);
        self.gradients[head] = weight_gradient;
        norm::backward(
            self.instructions,
            &self.architecture.norm,
            &self.weights,
            &mut self.gradients,
            &forward.last,
            &states,
            &mut stream,
        );
        self.buffers.give(states);
        self.buffers.give(forward.states);
        self.buffers.give(forward.last);
        let mut gradients = std::mem::take(&mut self.gradients);
        let context = self.context(forward.rows, forward.length, &forward.starts);
        let blocks = forward.blocks.into_iter().zip(&self.architecture.blocks);
        for (kept, block) in blocks.rev() {
            let kept = match kept {
                KeptBlock::All(kept) => *kept,
                KeptBlock::Input(input) => {
                    let (output, kept) = block::forward(context, block, input);
                    self.buffers.give(output);
                    kept
                }
                // Refused by the caller.
                KeptBlock::Nothing => continue,
            };
            block::backward(context, block, &mut gradients, &kept, &mut stream);
            kept.release(&self.buffers);
        }
        self.gradients = gradients;
        self.embed_backward(&forward.input_ids, &forward.starts, forward.length, &stream);
        self.buffers.give(stream);
    }

    /// Frees the memory of a forward pass that needs no backward.
    pub(crate) fn release(&self, forward: Forward) {
        self.buffers.give(forward.states);
        self.buffers.give(forward.last);
        for block in forward.blocks {
            match block {
                KeptBlock::All(kept) => kept.release(&self.buffers),
                KeptBlock::Input(input) => self.buffers.give(input),
                KeptBlock::Nothing => {}
            }
        }
    }

    fn context<'a>(&'a self, rows: usize, length: usize, starts: &'a [u32]) -> Context<'a> {
        let config = &self.architecture.config;
        Context {
            instructions: self.instructions,
            parameters: &self.weights,
            shape: attention::Shape {
                rows,
                length,
                heads: config.heads,
                key_value_heads: config.key_value_heads,
                width: config.head_width,
                starts,
            },
            angles: self.angles.as_ref(),
            buffers: &self.buffers,
        }
    }

    fn head<'a>(&'a self, states: &'a [f32]) -> cross_entropy::Head<'a> {
        cross_entropy::Head {
            instructions: self.instructions,
            weights: &self.weights[self.architecture.head],
            vocabulary: self.architecture.config.vocabulary,
            hidden: self.architecture.config.hidden,
            states,
        }
    }

    fn embed(&self, ids: &[u32], starts: &[u32], length: usize) -> Vec<f32> {
        let hidden = self.architecture.config.hidden;
        let table = &self.weights[self.architecture.embedding];
        let positions = self.architecture.positions.map(|p| &self.weights[p]);
        let mut stream = self.buffers.take(ids.len() * hidden);
        let rows = stream.par_chunks_mut(hidden).with_min_len(64).enumerate();
        rows.for_each(|(place, row)| {
            row.copy_from_slice(&table[ids[place] as usize * hidden..][..hidden]);
            if let Some(positions) = positions {
                let position = place % length - starts[place] as usize;
                let added = &positions[position * hidden..][..hidden];
                row.iter_mut().zip(added).for_each(|(x, p)| *x += p);
            }
        });
        stream
    }

    /// Runs on one thread: several tokens may add to the same row of the table, and their order must be fixed.
    fn embed_backward(&mut self, ids: &[u32], starts: &[u32], length: usize, stream: &[f32]) {
        let hidden = self.architecture.config.hidden;
        let mut add = |parameter: usize, row: usize, gradient: &[f32]| {
            let to = &mut self.gradients[parameter][row * hidden..][..hidden];
            to.iter_mut().zip(gradient).for_each(|(to, g)| *to += g);
        };
        for (place, gradient) in stream.chunks_exact(hidden).enumerate() {
            add(self.architecture.embedding, ids[place] as usize, gradient);
            if let Some(positions) = self.architecture.positions {
                let position = place % length - starts[place] as usize;
                add(positions, position, gradient);
            }
        }
    }
}

fn fill_zero(numbers: &mut [f32]) {
    numbers
        .par_chunks_mut(1 << 16)
        .for_each(|part| part.fill(0.0));
}
