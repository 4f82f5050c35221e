//! One block of the decoder, forward and backward, over row-major `[tokens, width]`.
//!
//! Kept from forward: the block's input, rotated queries and keys, values, attention's output and log-sum-exps, the
//! residual stream between attention and feed-forward, and the activation's inputs. Norms and the activation are
//! recomputed in backward.

use rayon::prelude::*;
use rho_kernels::{Instructions, matrix::Store};

use super::{activation, attention, buffers::Buffers, linear, norm, rotary::Angles};
use crate::model::{Block, Mlp};

/// What a block reads besides its input.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) instructions: Instructions,
    pub(super) parameters: &'a [Vec<f32>],
    pub(super) shape: attention::Shape<'a>,
    pub(super) angles: Option<&'a Angles>,
    pub(super) buffers: &'a Buffers,
}

/// What backward needs from forward.
pub(super) struct Kept {
    input: Vec<f32>,
    /// Queries and keys before the norms of heads, if there are any.
    raw: Option<[Vec<f32>; 2]>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    log_sums: Vec<f32>,
    middle: Vec<f32>,
    /// The activation's inputs: gate and up, or only up.
    inner: Vec<Vec<f32>>,
}

impl Kept {
    /// Only the input; returns all other memory to the buffers.
    pub(super) fn into_input(mut self, buffers: &Buffers) -> Vec<f32> {
        let input = std::mem::take(&mut self.input);
        self.release(buffers);
        input
    }

    /// Returns all memory to the buffers.
    pub(super) fn release(self, buffers: &Buffers) {
        let vectors = [
            self.input,
            self.q,
            self.k,
            self.v,
            self.attended,
            self.log_sums,
            self.middle,
        ];
        let more = self.raw.into_iter().flatten().chain(self.inner);
        let all = vectors.into_iter().chain(more);
        all.filter(|vector| !vector.is_empty())
            .for_each(|vector| buffers.give(vector));
    }
}

/// Computes the residual stream after the block from the one before it.
pub(super) fn forward(context: Context<'_>, block: &Block, input: Vec<f32>) -> (Vec<f32>, Kept) {
    let Context {
        instructions,
        parameters,
        shape,
        buffers,
        ..
    } = context;
    let tokens = shape.rows * shape.length;
    let make = |linear: &_, x: &[f32]| {
        let linear: &crate::model::Linear = linear;
        let mut y = buffers.take(tokens * linear.outputs);
        linear::forward(instructions, linear, parameters, x, &mut y, Store::Replace);
        y
    };
    let add = |linear: &_, x: &[f32], stream: &[f32]| {
        let mut y = copy(buffers, stream);
        linear::forward(instructions, linear, parameters, x, &mut y, Store::Add);
        y
    };
    let mut normed = buffers.take(input.len());
    norm::forward(
        instructions,
        &block.attention_norm,
        parameters,
        &input,
        &mut normed,
    );
    let (mut q, mut k) = (make(&block.query, &normed), make(&block.key, &normed));
    let v = make(&block.value, &normed);
    let raw = block.head_norms.map(|(query_norm, key_norm)| {
        let raw = [copy(buffers, &q), copy(buffers, &k)];
        norm::forward(instructions, &query_norm, parameters, &raw[0], &mut q);
        norm::forward(instructions, &key_norm, parameters, &raw[1], &mut k);
        raw
    });
    turn(context, &mut q, &mut k, false);
    let mut attended = buffers.take(q.len());
    let mut log_sums = buffers.take(tokens * shape.heads);
    attention::forward(
        instructions,
        &shape,
        [&q, &k, &v],
        &mut attended,
        &mut log_sums,
    );
    let middle = add(&block.output, &attended, &input);
    norm::forward(
        instructions,
        &block.mlp_norm,
        parameters,
        &middle,
        &mut normed,
    );
    let (output, inner) = match &block.mlp {
        Mlp::Gated { gate, up, down } => {
            let (gate, up) = (make(gate, &normed), make(up, &normed));
            let mut active = buffers.take(gate.len());
            activation::gated(instructions, &gate, &up, &mut active);
            let output = add(down, &active, &middle);
            buffers.give(active);
            (output, vec![gate, up])
        }
        Mlp::Gelu { up, down } => {
            let up = make(up, &normed);
            let mut active = buffers.take(up.len());
            activation::gelu(instructions, &up, &mut active);
            let output = add(down, &active, &middle);
            buffers.give(active);
            (output, vec![up])
        }
    };
    buffers.give(normed);
    let kept = Kept {
        input,
        raw,
        q,
        k,
        v,
        attended,
        log_sums,
        middle,
        inner,
    };
    (output, kept)
}

/// Replaces the residual stream's gradient after the block by the one before it, and adds to the parameters' gradients.
pub(super) fn backward(
    context: Context<'_>,
    block: &Block,
    gradients: &mut [Vec<f32>],
    kept: &Kept,
    stream: &mut [f32],
) {
    feed_forward_backward(
        context,
        &block.mlp_norm,
        &block.mlp,
        gradients,
        kept,
        stream,
    );
    attention_backward(context, block, gradients, kept, stream);
}

fn feed_forward_backward(
    context: Context<'_>,
    mlp_norm: &crate::model::Norm,
    mlp: &Mlp,
    gradients: &mut [Vec<f32>],
    kept: &Kept,
    stream: &mut [f32],
) {
    let Context {
        instructions,
        parameters,
        buffers,
        ..
    } = context;
    let mut normed = buffers.take(kept.middle.len());
    norm::forward(
        instructions,
        mlp_norm,
        parameters,
        &kept.middle,
        &mut normed,
    );
    let mut d_normed = buffers.take(kept.middle.len());
    let mut d_inner = buffers.take(kept.inner[0].len());
    let mut active = buffers.take(kept.inner[0].len());
    let back = |linear: &crate::model::Linear, dy: &[f32], dx: &mut [f32], store| {
        linear::input_gradient(instructions, linear, parameters, dy, dx, store);
    };
    let (Mlp::Gated { down, .. } | Mlp::Gelu { down, .. }) = mlp;
    back(down, stream, &mut d_inner, Store::Replace);
    match mlp {
        Mlp::Gated { gate, up, .. } => {
            let mut d_up = buffers.take(d_inner.len());
            let [gate_input, up_input] = [&kept.inner[0], &kept.inner[1]];
            activation::gated_backward(
                instructions,
                gate_input,
                up_input,
                &mut active,
                &mut d_inner,
                &mut d_up,
            );
            linear::weight_gradient(instructions, gate, gradients, &normed, &d_inner);
            linear::weight_gradient(instructions, up, gradients, &normed, &d_up);
            back(gate, &d_inner, &mut d_normed, Store::Replace);
            back(up, &d_up, &mut d_normed, Store::Add);
            buffers.give(d_up);
        }
        Mlp::Gelu { up, .. } => {
            activation::gelu_backward(instructions, &kept.inner[0], &mut active, &mut d_inner);
            linear::weight_gradient(instructions, up, gradients, &normed, &d_inner);
            back(up, &d_inner, &mut d_normed, Store::Replace);
        }
    }
    linear::weight_gradient(instructions, down, gradients, &active, stream);
    norm::backward(
        instructions,
        mlp_norm,
        parameters,
        gradients,
        &kept.middle,
        &d_normed,
        stream,
    );
    let used = [normed, d_normed, d_inner, active];
    used.into_iter().for_each(|vector| buffers.give(vector));
}

fn attention_backward(
    context: Context<'_>,
    block: &Block,
    gradients: &mut [Vec<f32>],
    kept: &Kept,
    stream: &mut [f32],
) {
    let Context {
        instructions,
        parameters,
        shape,
        buffers,
        ..
    } = context;
    let mut d_attended = buffers.take(kept.attended.len());
    linear::weight_gradient(
        instructions,
        &block.output,
        gradients,
        &kept.attended,
        stream,
    );
    let back = |linear: &crate::model::Linear, dy: &[f32], dx: &mut [f32], store| {
        linear::input_gradient(instructions, linear, parameters, dy, dx, store);
    };
    back(&block.output, stream, &mut d_attended, Store::Replace);
    let mut dq = buffers.take(kept.q.len());
    let (mut dk, mut dv) = (buffers.take(kept.k.len()), buffers.take(kept.v.len()));
    attention::backward(
        instructions,
        &shape,
        attention::Kept {
            q: &kept.q,
            k: &kept.k,
            v: &kept.v,
            out: &kept.attended,
            log_sums: &kept.log_sums,
        },
        &d_attended,
        [&mut dq, &mut dk, &mut dv],
    );
    turn(context, &mut dq, &mut dk, true);
    if let (Some((query_norm, key_norm)), Some(raw)) = (block.head_norms, &kept.raw) {
        for (norm, raw, d) in [(query_norm, &raw[0], &mut dq), (key_norm, &raw[1], &mut dk)] {
            let mut dx = buffers.take(d.len());
            fill(&mut dx);
            norm::backward(instructions, &norm, parameters, gradients, raw, d, &mut dx);
            buffers.give(std::mem::replace(d, dx));
        }
    }
    let mut normed = buffers.take(kept.input.len());
    norm::forward(
        instructions,
        &block.attention_norm,
        parameters,
        &kept.input,
        &mut normed,
    );
    let mut d_normed = buffers.take(kept.input.len());
    for (linear, d, store) in [
        (&block.query, &dq, Store::Replace),
        (&block.key, &dk, Store::Add),
        (&block.value, &dv, Store::Add),
    ] {
        linear::weight_gradient(instructions, linear, gradients, &normed, d);
        back(linear, d, &mut d_normed, store);
    }
    norm::backward(
        instructions,
        &block.attention_norm,
        parameters,
        gradients,
        &kept.input,
        &d_normed,
        stream,
    );
    let used = [d_attended, dq, dk, dv, normed, d_normed];
    used.into_iter().for_each(|vector| buffers.give(vector));
}

/// Rotates queries and keys by their positions, which restart with each document.
fn turn(context: Context<'_>, q: &mut [f32], k: &mut [f32], back: bool) {
    let shape = context.shape;
    if let Some(angles) = context.angles {
        let position = |place: usize| place % shape.length - shape.starts[place] as usize;
        angles.turn(q, shape.heads * shape.width, back, position);
        angles.turn(k, shape.key_value_heads * shape.width, back, position);
    }
}

/// Elements per task.
const PART: usize = 1 << 16;

fn copy(buffers: &Buffers, from: &[f32]) -> Vec<f32> {
    let mut to = buffers.take(from.len());
    to.par_chunks_mut(PART)
        .zip(from.par_chunks(PART))
        .for_each(|(to, from)| to.copy_from_slice(from));
    to
}

fn fill(numbers: &mut [f32]) {
    numbers.par_chunks_mut(PART).for_each(|part| part.fill(0.0));
}
