//! The head on the CPU: matmul and online softmax in one pass, so that logits never reach memory.
//!
//! ```text
//! for a block of rows (fits the L2 cache, packed in groups of R rows)           parallel over blocks
//!   for a panel of C columns of the weights (packed [hidden][C])
//!     for a group of R rows:  tile [R, C] = group x panel      in registers
//!                             steps (scale, bias, soft cap)    tile in the L1 cache
//!                             maximum, sum, dot                per row and lane
//! ```
//!
//! For each row and lane it keeps `m` (running maximum of the logits x), `sum = Σ exp(x - m)` and
//! `dot = Σ exp(x - m) (x - m)`. When the maximum grows by δ, both are rescaled: `dot ← (dot - δ sum) exp(-δ)`,
//! `sum ← sum exp(-δ)`. At the end the lanes are merged in f64, and `loss = m + ln sum - x[target]`,
//! `entropy = ln sum - dot / sum` (equations 1 and 8 of the paper, with the maximum factored out).
//!
//! The most likely tokens, if any are requested, are kept in a short sorted list per row. A vector comparison with the
//! list's last entry decides whether the logits of a tile's row are looked at one by one, which soon is rare.
#![expect(unsafe_code, reason = "raw pointers in the inner loops")]

use rayon::prelude::*;
use rho_graph::{GraphError, Head, Layout, Step};

use rho_kernels::{
    Aligned, OnLanes,
    lanes::{EXP_MIN, Lanes},
    matmul_tile,
    softmax::LOWEST,
};

pub use rho_kernels::Instructions;

use super::{plain::RowScores, top::Candidates};
use crate::Top;

/// Floats of packed hidden states per block of rows: half of a 1 MiB L2 cache. The other half is for the panel.
const BLOCK_FLOATS: usize = 128 * 1024;

/// A head whose weights are packed for the kernel: `vocab_size x hidden_size` floats, rounded up to whole panels.
pub struct Kernel {
    instructions: Instructions,
    hidden: usize,
    vocabulary: usize,
    steps: Vec<PackedStep>,
    panels: Vec<Aligned>,
    /// How many of the most likely tokens are returned for each row.
    top: usize,
}

enum PackedStep {
    Scale(f32),
    Shift(f32),
    /// Padded to whole panels.
    Bias(Vec<f32>),
    Tanh,
}

impl Kernel {
    /// Packs the weights on the threads of the current rayon pool.
    ///
    /// # Errors
    /// If the head's weights cannot be read as floats.
    pub fn new(head: &Head, instructions: Instructions) -> Result<Self, GraphError> {
        let columns = instructions.tile().1;
        let count = head.vocabulary.div_ceil(columns);
        let panels = (0..count)
            .into_par_iter()
            .map(|p| pack_panel(head, p * columns, columns));
        let panels = panels.collect::<Result<Vec<_>, _>>()?;
        let steps = head.steps.iter().map(|step| match step {
            Step::Scale(by) => PackedStep::Scale(*by),
            Step::Shift(by) => PackedStep::Shift(*by),
            Step::Bias(bias) => {
                let mut padded = bias.clone();
                padded.resize(count * columns, 0.0);
                PackedStep::Bias(padded)
            }
            Step::Tanh => PackedStep::Tanh,
        });
        Ok(Self {
            instructions,
            hidden: head.hidden,
            vocabulary: head.vocabulary,
            steps: steps.collect(),
            panels,
            top: 0,
        })
    }

    /// Also returns this many of the most likely tokens of each row, at most vocab_size.
    #[must_use]
    pub fn with_top(mut self, top: usize) -> Self {
        self.top = top;
        self
    }

    /// hidden_size.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The instructions in use.
    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// The scores of `targets.len()` rows; `row(i, out)` writes the `hidden_size` numbers of row `i`. Runs on the
    /// current rayon pool. Besides the weights it uses memory for one block of rows per thread.
    pub fn score(&self, row: impl Fn(usize, &mut [f32]) + Sync, targets: &[u32]) -> RowScores {
        let (rows, _) = self.instructions.tile();
        // Blocks of equal size, their number a multiple of the threads, so that all threads stay busy to the end.
        let most = (BLOCK_FLOATS / self.hidden / rows).clamp(1, 16) * rows;
        let blocks = targets
            .len()
            .div_ceil(most)
            .next_multiple_of(rayon::current_num_threads());
        let block = targets.len().div_ceil(blocks).next_multiple_of(rows);
        let mut scores = RowScores {
            loss: vec![0.0; targets.len()],
            entropy: vec![0.0; targets.len()],
            top: Top::default(),
        };
        let outputs = scores
            .loss
            .par_chunks_mut(block)
            .zip(scores.entropy.par_chunks_mut(block));
        let outputs = outputs.zip(targets.par_chunks(block)).enumerate();
        let tops = outputs.map(|(i, ((loss, entropy), targets))| {
            let mut work = Block::new(self, targets, |r, out| row(i * block + r, out));
            self.instructions.run(Work {
                kernel: self,
                block: &mut work,
            });
            work.finish(loss, entropy)
        });
        for top in tops.collect::<Vec<Top>>() {
            scores.top.append(top);
        }
        scores
    }
}

/// Packs columns `from..from + columns` of the weights as `[hidden][columns]`, zero beyond vocab_size.
fn pack_panel(head: &Head, from: usize, columns: usize) -> Result<Aligned, GraphError> {
    let mut packed = Aligned::zeroed(head.hidden * columns);
    let panel = packed.as_mut_slice();
    let width = columns.min(head.vocabulary - from);
    let mut numbers = Vec::new();
    match head.layout {
        Layout::HiddenFirst => {
            for k in 0..head.hidden {
                let at = k * head.vocabulary + from;
                head.weights.read_f32(at..at + width, &mut numbers)?;
                panel[k * columns..][..width].copy_from_slice(&numbers);
            }
        }
        Layout::VocabularyFirst => {
            for column in 0..width {
                let at = (from + column) * head.hidden;
                head.weights.read_f32(at..at + head.hidden, &mut numbers)?;
                for (k, &number) in numbers.iter().enumerate() {
                    panel[k * columns + column] = number;
                }
            }
        }
    }
    Ok(packed)
}

/// A block of rows and its state while all panels are processed.
struct Block<'a> {
    targets: &'a [u32],
    /// `[groups][hidden][rows]`.
    packed: Aligned,
    rows: usize,
    groups: usize,
    /// Per row and lane: maximum, sum, dot.
    state: Vec<[f32; 16 * 3]>,
    target_logits: Vec<f32>,
    /// Per row; empty if no tokens are requested.
    top: Vec<Candidates>,
}

impl<'a> Block<'a> {
    fn new(kernel: &Kernel, targets: &'a [u32], row: impl Fn(usize, &mut [f32])) -> Self {
        let rows = kernel.instructions.tile().0;
        let groups = targets.len().div_ceil(rows);
        let mut packed = Aligned::zeroed(groups * rows * kernel.hidden);
        let mut numbers = vec![0.0; kernel.hidden];
        for r in 0..targets.len() {
            row(r, &mut numbers);
            let group = &mut packed.as_mut_slice()[r / rows * rows * kernel.hidden..];
            for (k, &number) in numbers.iter().enumerate() {
                group[k * rows + r % rows] = number;
            }
        }
        let mut start = [0.0; 48];
        start[..16].fill(LOWEST);
        let state = vec![start; groups * rows];
        Self {
            targets,
            packed,
            rows,
            groups,
            state,
            target_logits: vec![f32::NAN; groups * rows],
            top: match kernel.top {
                0 => Vec::new(),
                top => vec![Candidates::new(top); groups * rows],
            },
        }
    }

    /// Merges the lanes of each row. Returns the most likely tokens.
    fn finish(&self, loss: &mut [f32], entropy: &mut [f32]) -> Top {
        let mut tokens = Top::default();
        for r in 0..self.targets.len() {
            let (max, rest) = self.state[r].split_at(16);
            let (sum, dot) = rest.split_at(16);
            let top = max.iter().copied().fold(LOWEST, f32::max);
            let (mut total, mut weighted) = (0.0f64, 0.0f64);
            for lane in 0..16 {
                let shift = f64::from(max[lane]) - f64::from(top);
                let scale = shift.exp();
                total += f64::from(sum[lane]) * scale;
                weighted += (f64::from(dot[lane]) + f64::from(sum[lane]) * shift) * scale;
            }
            let log_total = total.ln();
            // Subtract the large numbers first: their difference is small.
            loss[r] = (f64::from(top) - f64::from(self.target_logits[r]) + log_total) as f32;
            entropy[r] = (log_total - weighted / total) as f32;
            if let Some(candidates) = self.top.get(r) {
                candidates.finish(f64::from(top), log_total, &mut tokens);
            }
        }
        tokens
    }
}

/// Processes one block with all panels.
struct Work<'a, 'b> {
    kernel: &'a Kernel,
    block: &'a mut Block<'b>,
}

impl OnLanes for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize>(self) {
        // Compiled twice, so that the most likely tokens cost nothing where none are requested.
        // SAFETY: the caller's promise; the kernel packed its panels, and the block its rows, for these tiles.
        unsafe {
            match self.kernel.top {
                0 => run::<L, R, false>(self.kernel, self.block),
                _ => run::<L, R, true>(self.kernel, self.block),
            }
        }
    }
}

/// Processes one block with all panels. A tile has `R` rows and two vectors of columns. `TOP`: whether the most likely
/// tokens are requested.
///
/// # Safety
/// The CPU has the features of `L`; kernel and block are packed for tiles of `R` rows and two vectors of columns.
#[inline(always)]
unsafe fn run<L: Lanes, const R: usize, const TOP: bool>(kernel: &Kernel, block: &mut Block<'_>) {
    let columns = 2 * L::WIDTH;
    debug_assert_eq!((R, columns), kernel.instructions.tile());
    debug_assert_eq!(R, block.rows);
    let mut tile = Aligned::zeroed(R * columns);
    let tile = tile.as_mut_slice();
    for (p, panel) in kernel.panels.iter().enumerate() {
        let from = p * columns;
        let width = columns.min(kernel.vocabulary - from);
        for group in 0..block.groups {
            let packed = &block.packed.as_slice()[group * R * kernel.hidden..][..R * kernel.hidden];
            // SAFETY: the operands hold `hidden` steps of R and of `columns` floats, the tile holds R x columns.
            unsafe { matmul_tile::<L, R>(kernel.hidden, packed, panel.as_slice(), tile) };
            for step in &kernel.steps {
                // SAFETY: a bias is padded to whole panels.
                unsafe { apply::<L>(step, from, columns, tile) };
            }
            for row in tile.chunks_exact_mut(columns) {
                row[width..].fill(LOWEST);
            }
            let rows = block.targets[group * R..].iter().take(R);
            for (r, &target) in rows.enumerate() {
                let at = group * R + r;
                let logits = &tile[r * columns..][..columns];
                if let Some(&logit) = (target as usize)
                    .checked_sub(from)
                    .and_then(|c| logits.get(c))
                {
                    block.target_logits[at] = logit;
                }
                // SAFETY: two vectors of logits, three of state.
                unsafe { update::<L>(logits, &mut block.state[at]) };
                if TOP {
                    let top = &mut block.top[at];
                    // SAFETY: two vectors of logits.
                    if !top.is_full() || unsafe { any_above::<L>(logits, top.least()) } {
                        // Not the columns beyond the vocabulary.
                        for (token, &logit) in (from as u32..).zip(&logits[..width]) {
                            top.offer(token, logit);
                        }
                    }
                }
            }
        }
    }
}

/// Applies one step to a tile whose first column is token `from` of the vocabulary.
#[inline(always)]
unsafe fn apply<L: Lanes>(step: &PackedStep, from: usize, columns: usize, tile: &mut [f32]) {
    // SAFETY: the tile is whole vectors, and so is a panel of the bias.
    unsafe {
        for row in tile.chunks_exact_mut(columns) {
            for (c, part) in row.chunks_exact_mut(L::WIDTH).enumerate() {
                let x = L::load(part.as_ptr());
                let y = match step {
                    PackedStep::Scale(by) => x.mul(L::splat(*by)),
                    PackedStep::Shift(by) => x.add(L::splat(*by)),
                    PackedStep::Bias(bias) => {
                        x.add(L::load(bias[from + c * L::WIDTH..][..L::WIDTH].as_ptr()))
                    }
                    PackedStep::Tanh => x.tanh(),
                };
                y.store(part.as_mut_ptr());
            }
        }
    }
}

/// Whether any of two vectors of logits is above a limit; NaN is not.
#[inline(always)]
unsafe fn any_above<L: Lanes>(logits: &[f32], limit: f32) -> bool {
    let logits = logits.as_ptr();
    // SAFETY: `logits` holds two vectors.
    unsafe {
        let limit = L::splat(limit);
        L::load(logits).any_greater(limit) || L::load(logits.add(L::WIDTH)).any_greater(limit)
    }
}

/// Updates a row's maximum, sum and dot with two vectors of logits.
#[inline(always)]
unsafe fn update<L: Lanes>(logits: &[f32], state: &mut [f32; 48]) {
    let state = state.as_mut_ptr();
    // SAFETY: `logits` holds two vectors; `state` three of at most 16 lanes.
    unsafe {
        let (x0, x1) = (
            L::load(logits.as_ptr()),
            L::load(logits.as_ptr().add(L::WIDTH)),
        );
        let (mut max, mut sum, mut dot) = (
            L::load(state),
            L::load(state.add(16)),
            L::load(state.add(32)),
        );
        let least = L::splat(EXP_MIN);
        let higher = x0.max(x1).max(max);
        if higher.any_greater(max) {
            let shift = least.max(max.sub(higher));
            let scale = shift.exp();
            dot = sum.mul_add(shift, dot).mul(scale);
            sum = sum.mul(scale);
            max = higher;
            max.store(state);
        }
        // The limit is the receiver of `max`, so a NaN reaches the sums and is seen.
        let (d0, d1) = (least.max(x0.sub(max)), least.max(x1.sub(max)));
        let (e0, e1) = (d0.exp(), d1.exp());
        sum = sum.add(e0).add(e1);
        dot = e0.mul_add(d0, e1.mul_add(d1, dot));
        sum.store(state.add(16));
        dot.store(state.add(32));
    }
}

#[cfg(test)]
mod tests {
    use rho_graph::{DataType, Tensor};

    use super::*;
    use crate::head::plain;

    /// f32 matmuls compared with f64, and an exp of 2 ulp.
    const TOLERANCE: f32 = 2e-5;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        }
    }

    fn head(
        random: &mut Random,
        hidden: usize,
        vocabulary: usize,
        layout: Layout,
        steps: Vec<Step>,
    ) -> Head {
        let bytes: Vec<u8> = (0..hidden * vocabulary)
            .flat_map(|_| (random.next() * 2.0).to_le_bytes())
            .collect();
        let dims = match layout {
            Layout::HiddenFirst => vec![hidden, vocabulary],
            Layout::VocabularyFirst => vec![vocabulary, hidden],
        };
        let weights = Tensor {
            name: "w".into(),
            dims,
            dtype: DataType::F32,
            bytes: bytes.into(),
        };
        Head {
            weights,
            layout,
            hidden,
            vocabulary,
            steps,
        }
    }

    fn assert_close(got: &[f32], expected: &[f32], what: &str) {
        assert_eq!(got.len(), expected.len());
        for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
            let limit = TOLERANCE * expected.abs().max(1.0);
            assert!(
                (got - expected).abs() <= limit,
                "{what}, row {i}: expected {expected}, got {got}"
            );
        }
    }

    #[test]
    fn equals_the_plain_head() {
        let mut random = Random(7);
        for (hidden, vocabulary, rows) in [
            (1, 1, 1),
            (8, 31, 5),
            (24, 32, 14),
            (40, 1000, 67),
            (64, 333, 200),
        ] {
            let bias: Vec<f32> = (0..vocabulary).map(|_| random.next() * 20.0).collect();
            let soft_cap = vec![Step::Scale(1.0 / 30.0), Step::Tanh, Step::Scale(30.0)];
            let all = [
                vec![],
                vec![Step::Scale(3.0), Step::Shift(1.5)],
                vec![Step::Bias(bias)],
                soft_cap,
            ];
            for (steps, layout) in all.into_iter().zip(
                [Layout::HiddenFirst, Layout::VocabularyFirst]
                    .into_iter()
                    .cycle(),
            ) {
                let head = head(&mut random, hidden, vocabulary, layout, steps);
                let states: Vec<f32> = (0..rows * hidden).map(|_| random.next() * 4.0).collect();
                let targets: Vec<u32> = (0..rows).map(|r| (r * 7919 % vocabulary) as u32).collect();
                let expected = plain::score(&head, &states, &targets).unwrap();
                for instructions in Instructions::available() {
                    let kernel = Kernel::new(&head, instructions).unwrap();
                    let got = kernel.score(
                        |r, out| out.copy_from_slice(&states[r * hidden..][..hidden]),
                        &targets,
                    );
                    let what = format!(
                        "{instructions:?} {hidden} x {vocabulary} {:?}",
                        head.steps.first()
                    );
                    assert_close(&got.loss, &expected.loss, &what);
                    assert_close(&got.entropy, &expected.entropy, &what);
                }
            }
        }
    }

    /// Weights and states are small integers, so every logit is exact, and many are equal.
    fn of_integers(
        random: &mut Random,
        hidden: usize,
        vocabulary: usize,
        steps: Vec<Step>,
    ) -> Head {
        let mut head = head(random, hidden, vocabulary, Layout::VocabularyFirst, steps);
        let bytes = (0..hidden * vocabulary).flat_map(|_| integer(random).to_le_bytes());
        head.weights.bytes = bytes.collect::<Vec<u8>>().into();
        head
    }

    fn integer(random: &mut Random) -> f32 {
        (random.next() * 5.0).round()
    }

    #[test]
    fn the_most_likely_tokens_are_those_of_sorting() {
        let mut random = Random(11);
        for (hidden, vocabulary, rows) in [(1, 1, 1), (3, 31, 5), (4, 32, 14), (6, 1000, 67)] {
            let bias: Vec<f32> = (0..vocabulary).map(|_| integer(&mut random)).collect();
            let forbidden = (0..vocabulary).map(|v| match v % 3 {
                0 if vocabulary > 1 => f32::NEG_INFINITY,
                _ => 0.0,
            });
            let all = [
                vec![],
                vec![Step::Scale(0.5), Step::Shift(-3.0)],
                vec![Step::Bias(bias)],
                vec![Step::Bias(forbidden.collect())],
                // All are equal.
                vec![Step::Scale(0.0)],
            ];
            for steps in all {
                let head = of_integers(&mut random, hidden, vocabulary, steps);
                let states: Vec<f32> = (0..rows * hidden).map(|_| integer(&mut random)).collect();
                let targets: Vec<u32> = (0..rows as u32).map(|r| r % vocabulary as u32).collect();
                for count in [1, 2, 8, 33, vocabulary] {
                    let count = count.min(vocabulary);
                    let expected = plain::top(&head, &states, count).unwrap();
                    for instructions in Instructions::available() {
                        let without = Kernel::new(&head, instructions).unwrap();
                        let row = |r: usize, out: &mut [f32]| {
                            out.copy_from_slice(&states[r * hidden..][..hidden]);
                        };
                        let scores = without.score(row, &targets);
                        assert_eq!(scores.top, Top::default());
                        let got = without.with_top(count).score(row, &targets);
                        let what = format!(
                            "{instructions:?} {hidden} x {vocabulary}, {count}, {:?}",
                            head.steps.first()
                        );
                        assert_eq!(got.top.ids, expected.ids, "{what}");
                        for (got, expected) in got.top.logprobs.iter().zip(&expected.logprobs) {
                            let limit = TOLERANCE * expected.abs().max(1.0);
                            assert!(
                                got == expected || (got - expected).abs() <= limit,
                                "{what}: expected {expected}, got {got}"
                            );
                        }
                        // Nothing else changes, and the target's own log-probability is minus its loss, to the bit.
                        assert_eq!((&got.loss, &got.entropy), (&scores.loss, &scores.entropy));
                        for (r, target) in targets.iter().enumerate() {
                            let range = r * count..(r + 1) * count;
                            let ids = &got.top.ids[range.clone()];
                            if let Some(at) = ids.iter().position(|id| id == target)
                                && got.loss[r].is_finite()
                                && got.top.logprobs[range.start + at].is_finite()
                            {
                                assert_eq!(got.top.logprobs[range.start + at], -got.loss[r]);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Logits that are rounded: the tokens may differ where two are as close as the rounding, their probabilities not.
    #[test]
    fn the_most_likely_tokens_have_their_probabilities() {
        let mut random = Random(13);
        let bias: Vec<f32> = (0..333).map(|_| random.next() * 4.0).collect();
        let soft_cap = vec![Step::Scale(1.0 / 30.0), Step::Tanh, Step::Scale(30.0)];
        for steps in [vec![], vec![Step::Bias(bias)], soft_cap] {
            let head = head(&mut random, 64, 333, Layout::HiddenFirst, steps);
            let states: Vec<f32> = (0..20 * 64).map(|_| random.next() * 4.0).collect();
            let all = plain::top(&head, &states, 333).unwrap();
            for instructions in Instructions::available() {
                let kernel = Kernel::new(&head, instructions).unwrap().with_top(8);
                let row = |r: usize, out: &mut [f32]| out.copy_from_slice(&states[r * 64..][..64]);
                let got = kernel.score(row, &[0; 20]).top;
                for r in 0..20 {
                    let (ids, logprobs) = (&got.ids[r * 8..][..8], &got.logprobs[r * 8..][..8]);
                    let (all_ids, expected) =
                        (&all.ids[r * 333..][..333], &all.logprobs[r * 333..]);
                    assert_close(
                        logprobs,
                        &expected[..8],
                        &format!("{instructions:?}, row {r}"),
                    );
                    assert!(logprobs.is_sorted_by(|a, b| a >= b), "{logprobs:?}");
                    let own: Vec<f32> = ids
                        .iter()
                        .map(|id| expected[all_ids.iter().position(|other| other == id).unwrap()])
                        .collect();
                    assert_close(logprobs, &own, &format!("{instructions:?}, row {r}, by id"));
                    let mut unique = ids.to_vec();
                    unique.sort_unstable();
                    unique.dedup();
                    assert_eq!(unique.len(), 8);
                }
            }
        }
    }

    /// Logits whose f32 sums overflow without a running maximum, and a bias that forbids tokens.
    #[test]
    fn survives_extreme_logits() {
        let mut random = Random(3);
        let forbidden: Vec<f32> = (0..100)
            .map(|v| if v % 3 == 0 { f32::NEG_INFINITY } else { 0.0 })
            .collect();
        for steps in [
            vec![Step::Scale(1e6)],
            vec![Step::Shift(-1e20)],
            vec![Step::Bias(forbidden)],
        ] {
            let head = head(&mut random, 16, 100, Layout::HiddenFirst, steps);
            let states: Vec<f32> = (0..16 * 16).map(|_| random.next()).collect();
            let targets: Vec<u32> = (0..16).map(|r| r * 3 + 1).collect();
            let expected = plain::score(&head, &states, &targets).unwrap();
            for instructions in Instructions::available() {
                let kernel = Kernel::new(&head, instructions).unwrap();
                let got = kernel.score(
                    |r, out| out.copy_from_slice(&states[r * 16..][..16]),
                    &targets,
                );
                assert_close(&got.loss, &expected.loss, &format!("{instructions:?}"));
                assert_close(
                    &got.entropy,
                    &expected.entropy,
                    &format!("{instructions:?}"),
                );
            }
        }
    }

    #[test]
    fn not_a_number_stays_visible() {
        let mut random = Random(5);
        let head = head(&mut random, 8, 50, Layout::HiddenFirst, vec![]);
        for bad in [f32::NAN, f32::INFINITY] {
            for instructions in Instructions::available() {
                let kernel = Kernel::new(&head, instructions).unwrap();
                let row = |r: usize, out: &mut [f32]| out.fill(if r == 1 { bad } else { 0.1 });
                let got = kernel.with_top(2).score(row, &[0, 1, 2]);
                assert_eq!(got.top.ids.len(), 6);
                assert!(got.top.logprobs[2..4].iter().all(|p| p.is_nan()));
                assert!(got.top.logprobs[..2].iter().all(|p| p.is_finite()));
                let numbers: Vec<bool> = got.loss.iter().map(|l| l.is_finite()).collect();
                assert_eq!(numbers, [true, false, true], "{instructions:?}");
                assert!(!got.entropy[1].is_finite() && got.entropy[0].is_finite());
            }
        }
    }
}
