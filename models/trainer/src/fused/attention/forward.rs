//! Scores, softmax and the weighted sum of values, a tile of rows at a time.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

use rayon::prelude::*;
use rho_kernels::{
    Instructions, OnLanes, Strides,
    lanes::Lanes,
    scratch,
    softmax::{LOWEST, exponentials, raise, weigh},
    sums, transpose,
};

use super::{super::rows::Shared, Shape, clear_outside, pack_rows, visible};

/// Computes `out [tokens, heads * head_dim]` and the log-sum-exps `[rows, heads, length]` from
/// `q [tokens, heads * head_dim]` and `k, v [tokens, kv_heads * head_dim]`.
pub(in super::super) fn forward(
    instructions: Instructions,
    shape: &Shape<'_>,
    [q, k, v]: [&[f32]; 3],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let out = Shared::new(out);
    let heads = log_sums.par_chunks_mut(shape.length).enumerate();
    heads.for_each(|(i, log_sums)| {
        instructions.run(Head {
            instructions,
            shape,
            row: i / shape.heads,
            head: i % shape.heads,
            q,
            k,
            v,
            out: &out,
            log_sums,
        });
    });
}

struct Head<'a> {
    instructions: Instructions,
    shape: &'a Shape<'a>,
    row: usize,
    head: usize,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a Shared<'a>,
    log_sums: &'a mut [f32],
}

impl OnLanes for Head<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let Shape { length, width, .. } = *self.shape;
        let panel = 2 * L::WIDTH;
        let (query_stride, key_stride) = (self.shape.query_stride(), self.shape.key_stride());
        let first_query = self.row * length * query_stride + self.head * width;
        let first_key = self.row * length * key_stride + self.head / self.shape.group() * width;
        let starts = self.shape.starts_of(self.row);
        let (key_panels, value_panels) = (length.div_ceil(panel), width.div_ceil(panel));
        let sizes = [
            key_panels * width * panel,
            value_panels * length * panel,
            width * R,
            key_panels * R * panel,
        ];
        let mut memory = scratch::take(sizes.iter().sum());
        let (keys, rest) = memory.as_mut_slice().split_at_mut(sizes[0]);
        let (values, rest) = rest.split_at_mut(sizes[1]);
        let (queries, rest) = rest.split_at_mut(sizes[2]);
        let scores = &mut rest[..sizes[3]];
        for (p, to) in keys.chunks_exact_mut(width * panel).enumerate() {
            let rows = &self.k[first_key + p * panel * key_stride..];
            let there = panel.min(length - p * panel);
            transpose(self.instructions, rows, key_stride, there, panel, to);
        }
        pack_rows(
            &self.v[first_key..],
            key_stride,
            length,
            width,
            panel,
            values,
        );
        let scale = self.shape.scale();
        for from in (0..length).step_by(R) {
            let rows = R.min(length - from);
            let numbers = &self.q[first_query + from * query_stride..];
            transpose(self.instructions, numbers, query_stride, rows, R, queries);
            // Document starts never decrease within a row of the batch: the first token sees furthest back.
            let panels = starts[from] as usize / panel..(from + rows).div_ceil(panel);
            let row_starts: [usize; R] =
                std::array::from_fn(|r| starts[from + r.min(rows - 1)] as usize);
            let range = |p: usize, r: usize| {
                visible(p * panel, panel, row_starts[r], from + r.min(rows - 1))
            };
            // SAFETY: every panel and tile has the length given by its sizes, and vectors stay within them.
            unsafe {
                let mut highest = [L::splat(LOWEST); R];
                for p in panels.clone() {
                    let tile = sums::<L, R>(
                        width,
                        queries.as_ptr(),
                        Strides { step: R, row: 1 },
                        keys[p * width * panel..].as_ptr(),
                    );
                    let to = &mut scores[(p - panels.start) * R * panel..][..R * panel];
                    for (r, (sum, to)) in tile.iter().zip(to.chunks_exact_mut(panel)).enumerate() {
                        let at = to.as_mut_ptr();
                        sum[0].mul(L::splat(scale)).store(at);
                        sum[1].mul(L::splat(scale)).store(at.add(L::WIDTH));
                        let seen = range(p, r);
                        if seen != (0..panel) {
                            to[seen.end..].fill(LOWEST);
                            to[..seen.start].fill(LOWEST);
                        }
                    }
                    raise(&mut highest, to);
                }
                let scores = &mut scores[..panels.len() * R * panel];
                let totals = exponentials(scores, &highest, |p, r, row| {
                    let seen = range(panels.start + p, r);
                    if seen != (0..panel) {
                        clear_outside(row, seen);
                    }
                });
                for (log_sum, row) in self.log_sums[from..from + rows].iter_mut().zip(&totals) {
                    *log_sum = row.top + row.total.ln();
                }
                let before = panels.start * panel;
                let columns = (panels.end * panel).min(length) - before;
                for column in 0..value_panels {
                    let values = &values[(column * length + before) * panel..];
                    let answer = weigh::<L, R>(columns, scores, values);
                    let there = panel.min(width - column * panel);
                    let mut numbers = [0.0f32; 32];
                    for (r, sum) in answer.iter().enumerate().take(rows) {
                        let factor = L::splat(1.0 / totals[r].total);
                        sum[0].mul(factor).store(numbers.as_mut_ptr());
                        sum[1].mul(factor).store(numbers.as_mut_ptr().add(L::WIDTH));
                        let at = first_query + (from + r) * query_stride + column * panel;
                        // These columns of these rows belong to this head.
                        self.out.part(at, there).copy_from_slice(&numbers[..there]);
                    }
                }
            }
        }
        scratch::give(memory);
    }
}
