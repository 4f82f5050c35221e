//! Causal grouped-query attention, as our own exports have it: rows of all heads in, rows of all heads out. Rotary
//! embedding, scale, soft cap and causal masking are fused, without a mask tensor, repeated kv_heads or transposed
//! copies.
//!
//! ```text
//! keys    [t, head_dim] of a head ─ rotate ─► panels [head_dim][C]     once for all query heads of the group
//! values  [t, head_dim] of a head ──────────► panels [t][C]
//! for R rows of a query head: rotate, scale ─► scores ─ cap ─ exp ─ sum ─ weigh ─► out     `attend`
//! ```
//!
//! The columns that a row sees follow from its index: all up to itself or, with a sliding window, the window's last
//! ones. Only the panels at both ends need masking. The scores of a tile stay in the L2 cache.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

use rho_kernels::{
    Aligned, Instructions, OnLanes,
    lanes::Lanes,
    matmul_tile,
    softmax::{LOWEST, exponentials, raise, weigh},
};

use super::divide;

/// The parameters that all heads share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Sequence length.
    pub(crate) length: usize,
    /// head_dim.
    pub(crate) width: usize,
    /// The factor on scores.
    pub(crate) scale: f32,
    /// Soft cap: `cap * tanh(score / cap)`.
    pub(crate) cap: Option<f32>,
    /// Sliding window: a row sees this many columns, including its own.
    pub(crate) window: Option<usize>,
}

/// Cosines and sines `[length, pairs]`: pair `i` is elements `i` and `i + pairs` of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables<'a> {
    pub(crate) cosine: &'a [f32],
    pub(crate) sine: &'a [f32],
    pub(crate) pairs: usize,
}

/// The rows of one head, within rows of all heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadRows<'a> {
    /// Starts at the head's first element in the first row.
    pub(crate) numbers: &'a [f32],
    /// Distance from one row to the next.
    pub(crate) stride: usize,
}

impl HeadRows<'_> {
    /// Writes a row with rotary embedding to `out`.
    fn turned(&self, row: usize, width: usize, tables: Option<Tables<'_>>, out: &mut [f32]) {
        let x = &self.numbers[row * self.stride..][..width];
        out.copy_from_slice(x);
        let Some(Tables {
            cosine,
            sine,
            pairs,
        }) = tables
        else {
            return;
        };
        let cosine = &cosine[row * pairs..][..pairs];
        let sine = &sine[row * pairs..][..pairs];
        let (first, second) = out.split_at_mut(pairs);
        let (a, b) = (&x[..pairs], &x[pairs..2 * pairs]);
        for i in 0..pairs {
            first[i] = a[i] * cosine[i] - b[i] * sine[i];
            second[i] = b[i] * cosine[i] + a[i] * sine[i];
        }
    }
}

/// Number of floats of one head's packed keys and of its packed values.
pub(crate) fn packed_size(instructions: Instructions, rule: &Rule) -> [usize; 2] {
    let panel = panel(instructions);
    [
        rule.length.next_multiple_of(panel) * rule.width,
        rule.width.next_multiple_of(panel) * rule.length,
    ]
}

/// Columns per panel: two vectors.
fn panel(instructions: Instructions) -> usize {
    instructions.tile().1
}

/// Packs the rotated keys of one head in panels `[head_dim][C]` of C rows each, zero beyond the last row.
pub(crate) fn pack_keys(
    instructions: Instructions,
    rule: &Rule,
    keys: HeadRows<'_>,
    tables: Option<Tables<'_>>,
    out: &mut [f32],
) {
    let panel = panel(instructions);
    let mut row = vec![0.0; rule.width];
    for (p, to) in out.chunks_exact_mut(rule.width * panel).enumerate() {
        let from = p * panel;
        let there = panel.min(rule.length - from);
        for c in 0..there {
            keys.turned(from + c, rule.width, tables, &mut row);
            for (x, to) in row.iter().zip(to[c..].iter_mut().step_by(panel)) {
                *to = *x;
            }
        }
        for to in to.chunks_exact_mut(panel) {
            to[there..].fill(0.0);
        }
    }
}

/// Packs the values of one head in panels `[length][C]` of C elements of each row, zero beyond the last element.
pub(crate) fn pack_values(
    instructions: Instructions,
    rule: &Rule,
    values: HeadRows<'_>,
    out: &mut [f32],
) {
    let panel = panel(instructions);
    for (p, to) in out.chunks_exact_mut(rule.length * panel).enumerate() {
        let from = p * panel;
        let there = panel.min(rule.width - from);
        for (r, to) in to.chunks_exact_mut(panel).enumerate() {
            let row = &values.numbers[r * values.stride + from..][..there];
            to[..there].copy_from_slice(row);
            to[there..].fill(0.0);
        }
    }
}

/// The queries of one head, and the packed keys and values of its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) queries: HeadRows<'a>,
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
    pub(crate) tables: Option<Tables<'a>>,
}

/// Computes the rows from `first` on of one head, one for each slice of `out`.
pub(crate) fn attend(
    instructions: Instructions,
    rule: &Rule,
    operands: Operands<'_>,
    first: usize,
    out: &mut [&mut [f32]],
) {
    instructions.run(Work {
        rule,
        operands,
        first,
        out,
    });
}

/// Some rows of one head, and their output.
struct Work<'a, 'b> {
    rule: &'a Rule,
    operands: Operands<'a>,
    first: usize,
    out: &'a mut [&'b mut [f32]],
}

impl OnLanes for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe { run::<L, R>(self.rule, self.operands, self.first, self.out) }
    }
}

/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn run<L: Lanes, const R: usize>(
    rule: &Rule,
    operands: Operands<'_>,
    first: usize,
    out: &mut [&mut [f32]],
) {
    let panel = 2 * L::WIDTH;
    let width = rule.width;
    // The first column that a row sees.
    let begin = |row: usize| {
        rule.window
            .map_or(0, |window| (row + 1).saturating_sub(window))
    };
    let most = (first + out.len()).div_ceil(panel);
    let mut queries = Aligned::zeroed(width * R);
    let mut row = vec![0.0; width];
    let mut scores = Aligned::zeroed(most * R * panel);
    let mut answer = Aligned::zeroed(R * panel);
    for (i, tile_out) in out.chunks_mut(R).enumerate() {
        let from = first + i * R;
        let rows = tile_out.len();
        let last = from + rows - 1;
        for r in 0..R {
            operands
                .queries
                .turned(from + r.min(rows - 1), width, operands.tables, &mut row);
            let to = queries.as_mut_slice()[r..].iter_mut().step_by(R);
            for (x, to) in row.iter().zip(to) {
                *to = x * rule.scale;
            }
        }
        let panels = begin(from) / panel..last / panel + 1;
        // SAFETY: the caller's promise.
        let mut highest = [unsafe { L::splat(LOWEST) }; R];
        for (p, number) in panels.clone().enumerate() {
            let tile = &mut scores.as_mut_slice()[p * R * panel..][..R * panel];
            let keys = &operands.keys[number * width * panel..][..width * panel];
            let columns = number * panel..(number + 1) * panel;
            // SAFETY: `queries` holds `width` steps of R, `keys` as many of two vectors, and the tile R x two vectors.
            unsafe {
                matmul_tile::<L, R>(width, queries.as_slice(), keys, tile);
                if let Some(cap) = rule.cap {
                    let (cap, factor) = (L::splat(cap), L::splat(1.0 / cap));
                    for x in tile.chunks_exact_mut(L::WIDTH) {
                        let x = x.as_mut_ptr();
                        L::load(x).mul(factor).tanh().mul(cap).store(x);
                    }
                }
            }
            // All rows see all of a panel, except at both ends.
            if columns.end > from + 1 || columns.start < begin(last) {
                for (r, scores) in tile.chunks_exact_mut(panel).enumerate() {
                    let row = from + r.min(rows - 1);
                    let seen = begin(row)..row + 1;
                    for (column, score) in columns.clone().zip(scores) {
                        if !seen.contains(&column) {
                            *score = f32::NEG_INFINITY;
                        }
                    }
                }
            }
            // SAFETY: the caller's promise.
            unsafe { raise(&mut highest, tile) };
        }
        // SAFETY: the caller's promise.
        let sums = unsafe {
            let scores = &mut scores.as_mut_slice()[..panels.len() * R * panel];
            exponentials(scores, &highest, |_, _, _| {})
        };
        let before = panels.start * panel;
        for (p, from_number) in (0..width).step_by(panel).enumerate() {
            let values = &operands.values[(p * rule.length + before) * panel..];
            // SAFETY: the caller's promise.
            unsafe {
                let weighed = weigh::<L, R>(last + 1 - before, scores.as_slice(), values);
                divide(&weighed, &sums, answer.as_mut_slice());
            }
            let there = panel.min(width - from_number);
            for (row, out) in answer
                .as_slice()
                .chunks_exact(panel)
                .zip(tile_out.iter_mut())
            {
                out[from_number..from_number + there].copy_from_slice(&row[..there]);
            }
        }
    }
}
