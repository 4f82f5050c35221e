//! Counts over the tokens of a shard, and their totals over several shards.

use serde::{Deserialize, Serialize};

/// Counts of tokens and sums of losses, in double precision and always in the order of the corpus: identical whether or
/// not the run was interrupted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) tokens: u64,
    /// Tokens that have a line, because all checkpoints scored them.
    pub(super) fitted: u64,
    /// Tokens of each category.
    pub(super) categories: [u64; 4],
    /// For each category, the sums of its tokens' losses under each checkpoint.
    pub(super) curves: [Vec<f64>; 4],
    /// For each checkpoint, the tokens it would select.
    pub(super) selected: Vec<Selected>,
    pub(super) fluctuating: Top,
}

/// The tokens that one checkpoint would select: their number, and the sums of their losses under each checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Selected {
    pub(super) tokens: u64,
    pub(super) losses: Vec<f64>,
}

/// The tokens that fluctuate most: highest variance first, ties in the order of the corpus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Top {
    /// The maximum number of tokens.
    most: usize,
    pub(super) tokens: Vec<Fluctuating>,
}

/// A fluctuating token with the token ids around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fluctuating {
    pub(super) document: String,
    pub(super) shard: String,
    pub(super) row: i64,
    /// Its index in the document.
    pub(super) token: usize,
    pub(super) before: Vec<u32>,
    pub(super) id: u32,
    pub(super) after: Vec<u32>,
    pub(super) category: u8,
    pub(super) variance: f64,
    pub(super) slope: f64,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) losses: Vec<f32>,
}

impl Counts {
    /// Zero counts. `selecting`: whether to count what checkpoints would select; `most`: how many fluctuating tokens to
    /// keep.
    pub(super) fn new(checkpoints: usize, selecting: bool, most: usize) -> Self {
        let zeros = || vec![0.0; checkpoints];
        let selected = Selected {
            tokens: 0,
            losses: zeros(),
        };
        Self {
            curves: [(); 4].map(|()| zeros()),
            selected: vec![selected; if selecting { checkpoints } else { 0 }],
            fluctuating: Top {
                most,
                tokens: Vec::new(),
            },
            ..Self::default()
        }
    }

    /// Adds a token with a line.
    pub(super) fn token(&mut self, category: u8, losses: &[f64]) {
        let category = usize::from(category);
        self.fitted += 1;
        self.categories[category] += 1;
        add(&mut self.curves[category], losses);
    }

    /// Adds the counts of the next shard.
    pub(super) fn add(&mut self, next: &Self) {
        self.documents += next.documents;
        self.tokens += next.tokens;
        self.fitted += next.fitted;
        for (sum, next) in self.categories.iter_mut().zip(next.categories) {
            *sum += next;
        }
        for (sums, next) in self.curves.iter_mut().zip(&next.curves) {
            add(sums, next);
        }
        for (sums, next) in self.selected.iter_mut().zip(&next.selected) {
            sums.tokens += next.tokens;
            add(&mut sums.losses, &next.losses);
        }
        for token in &next.fluctuating.tokens {
            self.fluctuating.offer(token.variance, || token.clone());
        }
    }
}

impl Selected {
    /// Adds a selected token.
    pub(super) fn token(&mut self, losses: &[f64]) {
        self.tokens += 1;
        add(&mut self.losses, losses);
    }
}

impl Top {
    /// Inserts the next token if its variance is high enough.
    pub(super) fn offer(&mut self, variance: f64, token: impl FnOnce() -> Fluctuating) {
        let place = self.tokens.partition_point(|t| t.variance >= variance);
        if place < self.most {
            self.tokens.insert(place, token());
            self.tokens.truncate(self.most);
        }
    }
}

fn add(sums: &mut [f64], more: &[f64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(variance: f64, token: usize) -> Fluctuating {
        Fluctuating {
            document: String::new(),
            shard: String::new(),
            row: 0,
            token,
            before: vec![],
            id: 0,
            after: vec![],
            category: 0,
            variance,
            slope: 0.0,
            start: 0.0,
            end: 0.0,
            losses: vec![],
        }
    }

    #[test]
    fn the_highest_variances_and_of_equals_the_earlier() {
        let variances = [1.0, 3.0, 2.0, 3.0, 0.5, 2.0];
        let top = |parts: &[&[usize]]| {
            let mut all = Counts::new(3, false, 3);
            for part in parts {
                let mut counts = Counts::new(3, false, 3);
                for &i in *part {
                    let top = &mut counts.fluctuating;
                    top.offer(variances[i], || token(variances[i], i));
                }
                all.add(&counts);
            }
            let tokens = all.fluctuating.tokens.iter();
            tokens.map(|t| t.token).collect::<Vec<_>>()
        };
        assert_eq!(top(&[&[0, 1, 2, 3, 4, 5]]), [1, 3, 2]);
        assert_eq!(top(&[&[0, 1], &[2, 3, 4], &[5]]), [1, 3, 2]);
        assert!(Counts::new(3, true, 0).fluctuating.tokens.is_empty());
    }
}
