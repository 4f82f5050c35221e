//! The exact n-th of many 64-bit keys, in constant memory: the keys are read four times, and each time 16 more bits of
//! the n-th are known. A key is a 64-bit score in the same order, as the 32-bit keys of [`Direction`] are.

use crate::Direction;

/// The wide key of what has no score. No score has this key: it would be that of a NaN.
pub const WIDE_UNSCORED: u64 = u64::MAX;

const BITS: u32 = 16;
const BUCKETS: usize = 1 << BITS;

impl Direction {
    /// The wide key of a score; lower keys rank first. [`WIDE_UNSCORED`] for NaN; -0 counts as 0.
    pub fn wide_key(self, score: f64) -> u64 {
        if score.is_nan() {
            return WIDE_UNSCORED;
        }
        let bits = (score + 0.0).to_bits();
        // All ones for a negative number, else only the top bit.
        let turn = (bits.cast_signed() >> 63).cast_unsigned() | 1 << 63;
        match self {
            Self::Low => bits ^ turn,
            Self::High => !(bits ^ turn),
        }
    }

    /// The score with this wide key.
    pub fn wide_score(self, key: u64) -> f64 {
        let ordered = match self {
            Self::Low => key,
            Self::High => !key,
        };
        let turn = if ordered >> 63 == 1 {
            1 << 63
        } else {
            u64::MAX
        };
        f64::from_bits(ordered ^ turn)
    }
}

/// Searches for the key with a rank, counted from 0, among keys that are counted several times over.
#[derive(Debug, Clone)]
pub struct WideRank {
    /// The rank among the keys that begin with `prefix`.
    rank: u64,
    prefix: u64,
    known_bits: u32,
    counts: Vec<u64>,
}

impl WideRank {
    /// Starts the search.
    pub fn new(rank: u64) -> Self {
        Self {
            rank,
            prefix: 0,
            known_bits: 0,
            counts: vec![0; BUCKETS],
        }
    }

    /// Counts keys. Each pass must count the same ones; those without a score are not counted.
    pub fn count(&mut self, keys: &[u64]) {
        let shift = 64 - BITS - self.known_bits;
        for &key in keys {
            let above = key.checked_shr(64 - self.known_bits).unwrap_or(0);
            if above == self.prefix && key != WIDE_UNSCORED {
                self.counts[(key >> shift) as usize & (BUCKETS - 1)] += 1;
            }
        }
    }

    /// Ends a pass. After the last one: the key with the rank, and the rank among the keys equal to it.
    pub fn end_pass(&mut self) -> Option<(u64, u64)> {
        let mut bucket = 0;
        while bucket < BUCKETS - 1 && self.rank >= self.counts[bucket] {
            self.rank -= self.counts[bucket];
            bucket += 1;
        }
        self.prefix = self.prefix << BITS | bucket as u64;
        self.known_bits += BITS;
        self.counts.fill(0);
        (self.known_bits == 64).then_some((self.prefix, self.rank))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_order_as_scores_do() {
        let scores = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -f64::MIN_POSITIVE,
            0.0,
            5e-324,
            1.0,
            1.000_000_000_000_000_2,
            f64::INFINITY,
        ];
        for direction in [Direction::Low, Direction::High] {
            let keys = scores.map(|score| direction.wide_key(score));
            assert!(match direction {
                Direction::Low => keys.is_sorted_by(|a, b| a < b),
                Direction::High => keys.is_sorted_by(|a, b| a > b),
            });
            for (score, key) in scores.into_iter().zip(keys) {
                assert_eq!(direction.wide_score(key).to_bits(), score.to_bits());
            }
            assert_eq!(direction.wide_key(-0.0), direction.wide_key(0.0));
            assert_eq!(direction.wide_key(-f64::NAN), WIDE_UNSCORED);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        #[test]
        fn the_rank_is_that_of_sorting(
            keys in prop::collection::vec(
                prop_oneof![any::<u64>(), 0u64..4, (0u64..4).prop_map(|low| 7 << 48 | low), Just(WIDE_UNSCORED)],
                1..80,
            ),
            rank in any::<prop::sample::Index>(),
        ) {
            let mut sorted: Vec<u64> = keys.iter().copied().filter(|&key| key != WIDE_UNSCORED).collect();
            prop_assume!(!sorted.is_empty());
            sorted.sort_unstable();
            let rank = rank.index(sorted.len());
            let mut search = WideRank::new(rank as u64);
            let found = loop {
                keys.chunks(7).for_each(|some| search.count(some));
                if let Some(found) = search.end_pass() {
                    break found;
                }
            };
            let below = sorted.iter().filter(|&&key| key < sorted[rank]).count();
            prop_assert_eq!(found, (sorted[rank], (rank - below) as u64));
        }
    }
}
