//! Counts of each token id: a row per entry of the vocabulary.

use std::collections::BTreeMap;

use super::Sum;

/// Ids below this are rows of one table. Others, which no current tokenizer has, are in a map.
const DENSE: usize = 1 << 20;

/// Counts by token id.
#[derive(Debug, Clone)]
pub(crate) struct TokenTypes {
    masks: usize,
    /// For each id how often it is scored, then how often each mask keeps it.
    counts: Vec<u64>,
    /// For each id the sum of its first scores.
    losses: Vec<Sum>,
    others: BTreeMap<u32, (Vec<u64>, Sum)>,
}

/// The counts of one token id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenType {
    pub(crate) id: u32,
    pub(crate) scored: u64,
    /// How often the requested mask keeps it.
    pub(crate) kept: u64,
    /// The mean of its first score, usually the loss.
    pub(crate) mean: Option<f64>,
}

impl TokenType {
    /// The share that is kept.
    pub(crate) fn share(&self) -> f64 {
        self.kept as f64 / self.scored.max(1) as f64
    }
}

impl TokenTypes {
    pub(super) fn new(masks: usize) -> Self {
        Self {
            masks,
            counts: Vec::new(),
            losses: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    fn row(&mut self, id: u32) -> (&mut [u64], &mut Sum) {
        let width = self.masks + 1;
        let at = id as usize;
        if at >= DENSE {
            let row = self.others.entry(id);
            let (counts, loss) = row.or_insert_with(|| (vec![0; width], Sum::default()));
            return (counts, loss);
        }
        if at >= self.losses.len() {
            let rows = (at + 1).next_power_of_two().min(DENSE);
            self.counts.resize(rows * width, 0);
            self.losses.resize(rows, Sum::default());
        }
        let counts = &mut self.counts[at * width..(at + 1) * width];
        (counts, &mut self.losses[at])
    }

    /// Counts a scored token.
    pub(super) fn add(&mut self, id: u32, loss: f32, kept: impl Iterator<Item = bool>) {
        let (counts, sum) = self.row(id);
        counts[0] += 1;
        for (count, kept) in counts[1..].iter_mut().zip(kept) {
            *count += u64::from(kept);
        }
        if loss.is_finite() {
            sum.add(loss);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let width = self.masks + 1;
        let dense = other.counts.chunks(width).zip(&other.losses);
        let dense = (0..)
            .zip(dense)
            .map(|(id, (counts, loss))| (id, counts, loss));
        let others = other.others.iter();
        let others = others.map(|(&id, (counts, loss))| (id, counts.as_slice(), loss));
        for (id, counts, loss) in dense.chain(others).filter(|(_, counts, _)| counts[0] > 0) {
            let (row, sum) = self.row(id);
            for (count, other) in row.iter_mut().zip(counts) {
                *count += other;
            }
            sum.merge(loss);
        }
    }

    /// The number of ids that were scored at least `least` times.
    pub(crate) fn different(&self, least: u64) -> usize {
        let dense = self.counts.chunks(self.masks + 1);
        let all = dense.chain(self.others.values().map(|(counts, _)| counts.as_slice()));
        all.filter(|counts| counts[0] >= least.max(1)).count()
    }

    /// All ids that were scored at least `least` times, with what a mask keeps of them.
    pub(crate) fn of_mask(&self, mask: usize, least: u64) -> Vec<TokenType> {
        let width = self.masks + 1;
        let dense = (0..).zip(self.counts.chunks(width).zip(&self.losses));
        let others = self.others.iter();
        let others = others.map(|(&id, (counts, loss))| (id, (counts.as_slice(), loss)));
        let frequent = dense
            .chain(others)
            .filter(|(_, (counts, _))| counts[0] >= least.max(1));
        let types = frequent.map(|(id, (counts, loss))| TokenType {
            id,
            scored: counts[0],
            kept: counts[mask + 1],
            mean: loss.mean(),
        });
        types.collect()
    }

    /// The ids of which a mask keeps the largest and the smallest share, at most `count` of each. Ties are in order of
    /// frequency. No id is in both.
    pub(crate) fn most_and_least(
        &self,
        mask: usize,
        least: u64,
        count: usize,
    ) -> (Vec<TokenType>, Vec<TokenType>) {
        let mut types = self.of_mask(mask, least);
        let order = |a: &TokenType, b: &TokenType| {
            // Compares the shares as fractions, by cross-multiplication.
            let (left, right) = (
                u128::from(a.kept) * u128::from(b.scored),
                u128::from(b.kept) * u128::from(a.scored),
            );
            left.cmp(&right)
        };
        let frequent = |a: &TokenType, b: &TokenType| b.scored.cmp(&a.scored).then(a.id.cmp(&b.id));
        types.sort_by(|a, b| order(b, a).then(frequent(a, b)));
        let count_most = count.min(types.len().div_ceil(2));
        let mut rest = types.split_off(count_most);
        rest.sort_by(|a, b| order(a, b).then(frequent(a, b)));
        rest.truncate(count);
        (types, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_and_least_kept() {
        let mut types = TokenTypes::new(2);
        let mut other = TokenTypes::new(2);
        for (id, times, kept) in [
            (3, 10, 10),
            (5, 20, 20),
            (7, 10, 1),
            (900, 10, 5),
            (2_000_000_000, 30, 0),
        ] {
            for i in 0..times {
                let part = if i % 2 == 0 { &mut types } else { &mut other };
                part.add(id, 2.0, [false, i < kept].into_iter());
            }
        }
        types.add(1, 1.0, [true, true].into_iter());
        types.merge(&other);
        let (most, least) = types.most_and_least(1, 2, 2);
        let told = |types: &[TokenType]| -> Vec<(u32, u64, u64)> {
            types.iter().map(|t| (t.id, t.scored, t.kept)).collect()
        };
        assert_eq!(told(&most), [(5, 20, 20), (3, 10, 10)]);
        assert_eq!(told(&least), [(2_000_000_000, 30, 0), (7, 10, 1)]);
        assert_eq!(least[0].mean, Some(2.0));
        let (most, least) = types.most_and_least(0, 1, 9);
        assert_eq!(most[0].id, 1);
        assert_eq!(most.len() + least.len(), 6);
    }
}
