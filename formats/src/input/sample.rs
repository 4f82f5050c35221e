//! Decides which rows of a corpus belong to a sample of it, each by a hash. So a sample is the same whatever reads the
//! corpus, in which order and from where it resumes, and a larger sample contains a smaller one.
//!
//! A row belongs to the sample if the XXH3 (64 bits, with the seed) of its shard's name in UTF-8 and its row number as 8
//! bytes, little-endian, is below `rate * 2^64`.

use xxhash_rust::xxh3::Xxh3;

/// A share of all rows, by a hash of seed, shard and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// `rate * 2^64`.
    below: u128,
    seed: u64,
}

impl Sample {
    /// A sample of this share of all rows; `None` if it is not above 0 and at most 1.
    pub fn new(rate: f64, seed: u64) -> Option<Self> {
        // Exact: the factor is a power of two.
        let below = (rate * 2_f64.powi(64)) as u128;
        (rate > 0.0 && rate <= 1.0).then_some(Self { below, seed })
    }

    /// Whether a row belongs to it.
    pub fn contains(&self, shard: &str, row: i64) -> bool {
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(shard.as_bytes());
        hash.update(&row.to_le_bytes());
        u128::from(hash.digest()) < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_above_0_and_at_most_1() {
        for rate in [0.0, -0.5, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sample::new(rate, 0), None, "{rate}");
        }
        let all = Sample::new(1.0, 7).unwrap();
        assert!((0..1000).all(|row| all.contains("a.jsonl", row)));
    }

    #[test]
    fn a_larger_sample_contains_a_smaller_one() {
        let [small, large] = [0.1, 0.4].map(|rate| Sample::new(rate, 3).unwrap());
        let rows = |sample: Sample| -> Vec<i64> {
            (0..10_000)
                .filter(|&row| sample.contains("b/c.txt", row))
                .collect()
        };
        let (small, large) = (rows(small), rows(large));
        // Four standard deviations of a binomial distribution.
        assert!(small.len().abs_diff(1000) < 120, "{}", small.len());
        assert!(large.len().abs_diff(4000) < 196, "{}", large.len());
        assert!(small.iter().all(|row| large.contains(row)));
        assert_ne!(rows(Sample::new(0.1, 4).unwrap()), small);
    }

    /// `xxhash.xxh3_64_intdigest(b"b/c.txt" + (12).to_bytes(8, "little"), seed=3) / 2**64` is 0.032227...
    #[test]
    fn the_hash_is_that_of_other_programs() {
        let [without, with] = HASH.map(|rate| Sample::new(rate, 3).unwrap());
        assert!(!without.contains("b/c.txt", 12));
        assert!(with.contains("b/c.txt", 12));
    }

    /// Just below and just above that hash.
    const HASH: [f64; 2] = [0.032_227, 0.032_228];
}
