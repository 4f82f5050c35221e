//! Counts how far the columns of the same documents agree.

use super::documents::{Columns, Document};

/// The agreement of some documents.
#[derive(Debug, Clone, Default)]
pub(super) struct Agreement {
    /// Documents that both have, and their tokens.
    pub(super) documents: u64,
    pub(super) tokens: u64,
    /// Documents that only one side has, and their tokens.
    pub(super) only: [u64; 2],
    pub(super) only_tokens: [u64; 2],
    /// Documents that both have with other token ids: their columns cannot be compared.
    pub(super) other_tokens: u64,
    /// Documents with another id or another source.
    pub(super) other_id: u64,
    pub(super) other_source: u64,
    pub(super) masks: Vec<Bits>,
    pub(super) numbers: Vec<Numbers>,
}

/// The agreement of a mask column: tokens by the sides that keep them.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    pub(super) both: u64,
    pub(super) only: [u64; 2],
    pub(super) neither: u64,
}

/// The agreement of a column of scores or weights.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    /// Tokens that have a number on both sides, or only on one.
    pub(super) both: u64,
    pub(super) only: [u64; 2],
    /// Tokens with the same number on both sides; -0 is 0.
    pub(super) equal: u64,
    /// Tokens with two different numbers, one of them infinite. The differences do not include them.
    pub(super) infinite: u64,
    pub(super) most: f64,
    moments: Moments,
}

/// Sums over pairs of finite numbers, by Welford's method: subtracting large sums would lose the small differences.
#[derive(Debug, Clone, Default)]
struct Moments {
    count: f64,
    difference: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

impl Agreement {
    pub(super) fn new(columns: &Columns) -> Self {
        Self {
            masks: vec![Bits::default(); columns.masks.len()],
            numbers: vec![Numbers::default(); columns.numbers.len()],
            ..Self::default()
        }
    }

    /// Whether nothing differs.
    pub(super) fn is_whole(&self) -> bool {
        let differ = [self.other_tokens, self.other_id, self.other_source];
        let masks = self.masks.iter().all(|bits| bits.only == [0, 0]);
        let numbers = self.numbers.iter();
        self.only == [0, 0]
            && differ == [0; 3]
            && masks
            && numbers.into_iter().all(Numbers::is_whole)
    }

    pub(super) fn add_only(&mut self, side: usize, document: &Document) {
        self.only[side] += 1;
        self.only_tokens[side] += document.tokens as u64;
    }

    /// Adds a document that both sides have. `named`: whether ids and sources must be equal.
    pub(super) fn add(&mut self, a: &Document, b: &Document, named: [bool; 2]) {
        self.documents += 1;
        self.other_id += u64::from(named[0] && a.id != b.id);
        self.other_source += u64::from(named[1] && a.source != b.source);
        if (a.token_hash, a.tokens) != (b.token_hash, b.tokens) {
            self.other_tokens += 1;
            return;
        }
        self.tokens += a.tokens as u64;
        for (bits, (a, b)) in self.masks.iter_mut().zip(a.masks.iter().zip(&b.masks)) {
            bits.add(a, b);
        }
        let pairs = a.numbers.iter().zip(&b.numbers);
        for (numbers, (a, b)) in self.numbers.iter_mut().zip(pairs) {
            numbers.add(a, b);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.other_tokens += other.other_tokens;
        self.other_id += other.other_id;
        self.other_source += other.other_source;
        add(&mut self.only, other.only);
        add(&mut self.only_tokens, other.only_tokens);
        for (bits, other) in self.masks.iter_mut().zip(&other.masks) {
            bits.both += other.both;
            bits.neither += other.neither;
            add(&mut bits.only, other.only);
        }
        for (numbers, other) in self.numbers.iter_mut().zip(&other.numbers) {
            numbers.both += other.both;
            numbers.equal += other.equal;
            numbers.infinite += other.infinite;
            numbers.most = numbers.most.max(other.most);
            add(&mut numbers.only, other.only);
            numbers.moments.merge(&other.moments);
        }
    }
}

fn add(sum: &mut [u64; 2], other: [u64; 2]) {
    sum[0] += other[0];
    sum[1] += other[1];
}

impl Bits {
    fn add(&mut self, a: &[bool], b: &[bool]) {
        for pair in a.iter().zip(b) {
            match pair {
                (true, true) => self.both += 1,
                (true, false) => self.only[0] += 1,
                (false, true) => self.only[1] += 1,
                (false, false) => self.neither += 1,
            }
        }
    }

    /// Tokens with the same bit.
    pub(super) fn equal(&self) -> u64 {
        self.both + self.neither
    }

    /// The tokens that both keep, as a share of those that one keeps; none if nothing is kept.
    pub(super) fn jaccard(&self) -> Option<f64> {
        let either = self.both + self.only[0] + self.only[1];
        (either > 0).then(|| self.both as f64 / either as f64)
    }
}

impl Numbers {
    fn add(&mut self, a: &[f32], b: &[f32]) {
        for (&a, &b) in a.iter().zip(b) {
            match (a.is_nan(), b.is_nan()) {
                (true, true) => continue,
                (false, true) => self.only[0] += 1,
                (true, false) => self.only[1] += 1,
                (false, false) => {
                    self.both += 1;
                    self.equal += u64::from(a == b);
                    if a.is_finite() && b.is_finite() {
                        let difference = (f64::from(a) - f64::from(b)).abs();
                        self.most = self.most.max(difference);
                        self.moments.add(a.into(), b.into(), difference);
                    } else if a != b {
                        self.infinite += 1;
                    }
                }
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.only == [0, 0] && self.equal == self.both
    }

    /// The mean difference of the finite pairs; none without any.
    pub(super) fn mean_difference(&self) -> Option<f64> {
        (self.moments.count > 0.0).then_some(self.moments.difference)
    }

    /// The greatest difference of the finite pairs; none without any.
    pub(super) fn max_difference(&self) -> Option<f64> {
        (self.moments.count > 0.0).then_some(self.most)
    }

    /// Pearson's correlation of the finite pairs; none if one side is constant.
    pub(super) fn correlation(&self) -> Option<f64> {
        let Moments { aa, bb, ab, .. } = self.moments;
        // The root of the product: for equal sides it is exact, and the correlation is 1.
        let product = aa * bb;
        (product > 0.0).then(|| (ab / product.sqrt()).clamp(-1.0, 1.0))
    }
}

impl Moments {
    fn add(&mut self, a: f64, b: f64, difference: f64) {
        self.count += 1.0;
        self.difference += (difference - self.difference) / self.count;
        let (from_a, from_b) = (a - self.a, b - self.b);
        self.a += from_a / self.count;
        self.b += from_b / self.count;
        self.aa += from_a * (a - self.a);
        self.bb += from_b * (b - self.b);
        self.ab += from_a * (b - self.b);
    }

    fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let (a, b) = (other.a - self.a, other.b - self.b);
        let (share, both) = (other.count / count, self.count * other.count / count);
        self.difference += (other.difference - self.difference) * share;
        self.a += a * share;
        self.b += b * share;
        self.aa += other.aa + a * a * both;
        self.bb += other.bb + b * b * both;
        self.ab += other.ab + a * b * both;
        self.count = count;
    }
}
