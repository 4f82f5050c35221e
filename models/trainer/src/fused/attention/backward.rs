//! The gradient of attention, a block of rows at a time.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

use rayon::prelude::*;
use rho_kernels::{
    Instructions, OnLanes, Strides, accumulate,
    lanes::{EXP_MIN, Lanes},
    scratch, sums, transpose,
};

use super::{super::rows::Shared, Shape, clear_outside, pack_rows, visible};

/// Most elements of `p`, and of `ds`, per block of rows: together half of the L2 cache.
const BLOCK: usize = 64 * 1024;

/// The inputs and outputs of forward.
#[derive(Clone, Copy)]
pub(in super::super) struct Kept<'a> {
    pub(in super::super) q: &'a [f32],
    pub(in super::super) k: &'a [f32],
    pub(in super::super) v: &'a [f32],
    pub(in super::super) out: &'a [f32],
    pub(in super::super) log_sums: &'a [f32],
}

/// Writes the gradients of q, k and v, given that of `out`.
pub(in super::super) fn backward(
    instructions: Instructions,
    shape: &Shape<'_>,
    kept: Kept<'_>,
    d_out: &[f32],
    [dq, dk, dv]: [&mut [f32]; 3],
) {
    let (dq, dk, dv) = (Shared::new(dq), Shared::new(dk), Shared::new(dv));
    let heads = (0..shape.rows * shape.key_value_heads).into_par_iter();
    heads.for_each(|i| {
        instructions.run(Group {
            instructions,
            shape,
            kept,
            row: i / shape.key_value_heads,
            head: i % shape.key_value_heads,
            d_out,
            dq: &dq,
            dk: &dk,
            dv: &dv,
        });
    });
}

/// The query heads that share a kv_head, in one row of the batch.
struct Group<'a> {
    instructions: Instructions,
    shape: &'a Shape<'a>,
    kept: Kept<'a>,
    row: usize,
    head: usize,
    d_out: &'a [f32],
    dq: &'a Shared<'a>,
    dk: &'a Shared<'a>,
    dv: &'a Shared<'a>,
}

impl OnLanes for Group<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        let Shape { length, width, .. } = *self.shape;
        let panel = 2 * L::WIDTH;
        let key_stride = self.shape.key_stride();
        let first_key = self.row * length * key_stride + self.head * width;
        let (key_panels, panels) = (length.div_ceil(panel), width.div_ceil(panel));
        // A tile of keys may extend beyond the last panel.
        let stride = (key_panels * panel + R).next_multiple_of(16);
        let rows = (BLOCK / stride / R).clamp(1, 8) * R;
        let wide = panels * panel;
        let tall = length.next_multiple_of(R);
        let sizes = [
            key_panels * width * panel,
            key_panels * width * panel,
            panels * length * panel,
            2 * width * R,
            2 * panels * rows * panel,
            (rows + 1) * stride,
            (rows + 1) * stride,
            key_panels * R * panel,
            tall * wide,
            tall * wide,
        ];
        let mut memory = scratch::take(sizes.iter().sum());
        let mut rest = memory.as_mut_slice();
        let [
            keys,
            values,
            key_rows,
            tiles,
            blocks,
            p,
            ds,
            ds_tiles,
            dk,
            dv,
        ] = sizes.map(|size| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(size);
            rest = after;
            part
        });
        for (i, (keys, values)) in keys
            .chunks_exact_mut(width * panel)
            .zip(values.chunks_exact_mut(width * panel))
            .enumerate()
        {
            let from = first_key + i * panel * key_stride;
            let there = panel.min(length - i * panel);
            let (k, v) = (&self.kept.k[from..], &self.kept.v[from..]);
            transpose(self.instructions, k, key_stride, there, panel, keys);
            transpose(self.instructions, v, key_stride, there, panel, values);
        }
        let k = &self.kept.k[first_key..];
        pack_rows(k, key_stride, length, width, panel, key_rows);
        dk.fill(0.0);
        dv.fill(0.0);
        // Tiles at the end of a block read some elements that are never written.
        p.fill(0.0);
        ds.fill(0.0);
        let mut work = Work {
            group: &self,
            keys,
            values,
            key_rows,
            tiles,
            blocks,
            p,
            ds,
            ds_tiles,
            dk,
            dv,
            stride,
            rows,
        };
        for head in 0..self.shape.group() {
            for from in (0..length).step_by(rows) {
                // SAFETY: the caller's promise.
                unsafe { work.block::<L, R>(self.head * self.shape.group() + head, from) };
            }
        }
        for index in 0..length {
            let at = first_key + index * key_stride;
            // SAFETY: these columns of these rows belong to this kv_head.
            unsafe {
                self.dk
                    .part(at, width)
                    .copy_from_slice(&work.dk[index * wide..][..width]);
                self.dv
                    .part(at, width)
                    .copy_from_slice(&work.dv[index * wide..][..width]);
            }
        }
        scratch::give(memory);
    }
}

struct Work<'a> {
    group: &'a Group<'a>,
    /// `[panels of keys][head_dim][panel]`.
    keys: &'a [f32],
    /// As the keys.
    values: &'a [f32],
    /// `[panels of head_dim][length][panel]`.
    key_rows: &'a [f32],
    /// Queries and output gradients of a tile, `[2][head_dim][R]`.
    tiles: &'a mut [f32],
    /// Queries and output gradients of the block, `[2][panels of head_dim][rows][panel]`.
    blocks: &'a mut [f32],
    /// `[rows][stride]`.
    p: &'a mut [f32],
    /// `[rows][stride]`.
    ds: &'a mut [f32],
    /// `[panels of keys][R][panel]`.
    ds_tiles: &'a mut [f32],
    /// `[length][panels of head_dim * panel]`.
    dk: &'a mut [f32],
    /// As `dk`.
    dv: &'a mut [f32],
    stride: usize,
    /// Rows per block.
    rows: usize,
}

impl Work<'_> {
    /// Processes the block of rows starting at `from` of one query head.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    unsafe fn block<L: Lanes, const R: usize>(&mut self, head: usize, from: usize) {
        let Group { shape, row, .. } = *self.group;
        let panel = 2 * L::WIDTH;
        let starts = shape.starts_of(row);
        let rows = self.rows.min(shape.length - from);
        let all = starts[from] as usize / panel..(from + rows).div_ceil(panel);
        for tile in (0..rows).step_by(R) {
            // SAFETY: the caller's promise.
            unsafe { self.tile::<L, R>(head, from, tile, rows, all.clone()) };
        }
        let stride = shape.query_stride();
        let first = row * shape.length * stride + head * shape.width + from * stride;
        let panels = shape.width.div_ceil(panel);
        let (queries, gradients) = self.blocks.split_at_mut(panels * self.rows * panel);
        let (queries, gradients) = (
            &mut queries[..panels * rows * panel],
            &mut gradients[..panels * rows * panel],
        );
        let (q, d_out) = (&self.group.kept.q[first..], &self.group.d_out[first..]);
        pack_rows(q, stride, rows, shape.width, panel, queries);
        pack_rows(d_out, stride, rows, shape.width, panel, gradients);
        let end = shape.length.min(all.end * panel);
        for key in (all.start * panel / R * R..end).step_by(R) {
            // Rows before the first of these keys do not see them.
            let skipped = key.saturating_sub(from).min(rows);
            for (left, right, to) in [
                (&*self.p, &*gradients, &mut *self.dv),
                (&*self.ds, &*queries, &mut *self.dk),
            ] {
                let left = left[skipped * self.stride + key..].as_ptr();
                for column in 0..panels {
                    let right = &right[(column * rows + skipped) * panel..];
                    let strides = Strides {
                        step: self.stride,
                        row: 1,
                    };
                    // SAFETY: p or ds and the panel hold `rows - skipped` rows, and the sums hold R rows.
                    unsafe {
                        let tile = sums::<L, R>(rows - skipped, left, strides, right.as_ptr());
                        for (r, sum) in tile.into_iter().enumerate() {
                            let at = (key + r) * panels * panel + column * panel;
                            let to = to[at..at + panel].as_mut_ptr();
                            sum[0].add(L::load(to)).store(to);
                            let to = to.add(L::WIDTH);
                            sum[1].add(L::load(to)).store(to);
                        }
                    }
                }
            }
        }
    }

    /// Computes p, ds and dq of the rows starting at `from + tile`, in a block that sees the panels `all`.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize>(
        &mut self,
        head: usize,
        from: usize,
        tile: usize,
        rows_of_block: usize,
        all: std::ops::Range<usize>,
    ) {
        let Group {
            shape,
            row,
            kept,
            d_out,
            instructions,
            ..
        } = *self.group;
        let (width, panel) = (shape.width, 2 * L::WIDTH);
        let starts = shape.starts_of(row);
        let rows = R.min(rows_of_block - tile);
        let index = from + tile;
        let stride = shape.query_stride();
        let first = row * shape.length * stride + head * width + index * stride;
        let (queries, gradients) = self.tiles.split_at_mut(width * R);
        transpose(instructions, &kept.q[first..], stride, rows, R, queries);
        transpose(instructions, &d_out[first..], stride, rows, R, gradients);
        let log_sums = &kept.log_sums[(row * shape.heads + head) * shape.length + index..];
        let (mut log_sum, mut delta) = ([0.0; R], [0.0; R]);
        for r in 0..rows {
            log_sum[r] = log_sums[r];
            let at = first + r * stride;
            let products = kept.out[at..at + width].iter().zip(&d_out[at..at + width]);
            delta[r] = products.map(|(o, d)| o * d).sum();
        }
        let mine = starts[index] as usize / panel..(index + rows).div_ceil(panel);
        for r in tile..tile + rows {
            for numbers in [&mut *self.p, &mut *self.ds] {
                let row = &mut numbers[r * self.stride..][..self.stride];
                row[all.start * panel..mine.start * panel].fill(0.0);
                row[mine.end * panel..].fill(0.0);
                row[all.start * panel / R * R..all.start * panel].fill(0.0);
            }
        }
        let scale = shape.scale();
        let packed = Strides { step: R, row: 1 };
        // SAFETY: every panel and tile has the length given by its sizes, and vectors stay within them.
        unsafe {
            for i in mine.clone() {
                let keys = self.keys[i * width * panel..].as_ptr();
                let tile_of_scores = sums::<L, R>(width, queries.as_ptr(), packed, keys);
                for (r, sum) in tile_of_scores.iter().enumerate().take(rows) {
                    let at = (tile + r) * self.stride + i * panel;
                    let to = &mut self.p[at..at + panel];
                    let shift = L::splat(-log_sum[r]);
                    for (half, sum) in sum.iter().enumerate() {
                        let x = sum.mul_add(L::splat(scale), shift);
                        // Above 0 only by rounding. The limits are the receivers of `min` and `max`, so a NaN is kept.
                        let x = L::splat(1.0).min(L::splat(EXP_MIN).max(x));
                        x.exp().store(to.as_mut_ptr().add(half * L::WIDTH));
                    }
                    let seen = visible(i * panel, panel, starts[index + r] as usize, index + r);
                    if seen != (0..panel) {
                        clear_outside(to, seen);
                    }
                }
                let values = self.values[i * width * panel..].as_ptr();
                let tile_of_gradients = sums::<L, R>(width, gradients.as_ptr(), packed, values);
                let ds_tile = &mut self.ds_tiles[(i - mine.start) * R * panel..][..R * panel];
                for (r, sum) in tile_of_gradients.iter().enumerate() {
                    let to_tile = ds_tile[r * panel..][..panel].as_mut_ptr();
                    if r >= rows {
                        L::splat(0.0).store(to_tile);
                        L::splat(0.0).store(to_tile.add(L::WIDTH));
                        continue;
                    }
                    let at = (tile + r) * self.stride + i * panel;
                    let p = self.p[at..at + panel].as_ptr();
                    let to = self.ds[at..at + panel].as_mut_ptr();
                    for (half, sum) in sum.iter().enumerate() {
                        let half = half * L::WIDTH;
                        let p = L::load(p.add(half)).mul(L::splat(scale));
                        let ds = p.mul(sum.sub(L::splat(delta[r])));
                        ds.store(to.add(half));
                        ds.store(to_tile.add(half));
                    }
                }
            }
            for column in 0..width.div_ceil(panel) {
                let key_rows = &self.key_rows[column * shape.length * panel..];
                let mut answer = [[L::splat(0.0); 2]; R];
                for i in mine.clone() {
                    accumulate(
                        &mut answer,
                        panel.min(shape.length - i * panel),
                        self.ds_tiles[(i - mine.start) * R * panel..].as_ptr(),
                        Strides {
                            step: 1,
                            row: 2 * L::WIDTH,
                        },
                        key_rows[i * panel * panel..].as_ptr(),
                    );
                }
                let there = panel.min(width - column * panel);
                let mut numbers = [0.0f32; 32];
                for (r, sum) in answer.iter().enumerate().take(rows) {
                    sum[0].store(numbers.as_mut_ptr());
                    sum[1].store(numbers.as_mut_ptr().add(L::WIDTH));
                    let at = first + r * stride + column * panel;
                    // These columns of these rows belong to this query head.
                    let to = self.group.dq.part(at, there);
                    to.copy_from_slice(&numbers[..there]);
                }
            }
        }
    }
}
