//! The exact cut of a whole corpus, in constant memory: two passes over the keys.
//!
//! 1. [`Coarse`] counts the upper 16 bits of the keys. Counts of parts of the corpus can be added up in any order.
//! 2. Each rank that bounds the kept range is in one of these buckets. [`Fine`] counts the lower 16 bits of the keys in
//!    those buckets. This gives the exact key, how many tokens are below it and how many share it.
//!
//! Which of the tokens that share it are kept follows from their order: see [`Cut::see`].

use crate::{Cut, RankPosition, Share, Span, UNSCORED};

/// One bucket for each value of half a key.
const BUCKETS: usize = 1 << 16;

/// Counts of the upper halves of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coarse {
    counts: Vec<u64>,
}

impl Default for Coarse {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
        }
    }
}

impl Coarse {
    /// Counts tokens. Unscored ones are not counted.
    pub fn add(&mut self, keys: &[u32]) {
        let mut unscored = 0;
        for &key in keys {
            self.counts[(key >> 16) as usize] += 1;
            unscored += u64::from(key == UNSCORED);
        }
        self.counts[(UNSCORED >> 16) as usize] -= unscored;
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        merge(&mut self.counts, &other.counts);
    }

    /// Number of tokens counted.
    pub fn scored(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The empty histogram for the second pass.
    pub fn fine(&self, share: Share) -> Fine {
        let span = share.of(self.scored());
        let mut ranks = Vec::new();
        if span.count > 0 {
            ranks.push(span.first);
            ranks.push(span.first + span.count - 1);
        }
        let mut buckets: Vec<Bucket> = Vec::new();
        for rank in ranks {
            let (top, below) = find(&self.counts, rank);
            if buckets.iter().all(|bucket| bucket.top != top) {
                buckets.push(Bucket {
                    top,
                    below,
                    counts: vec![0; BUCKETS],
                });
            }
        }
        Fine { span, buckets }
    }
}

/// Counts of the lower halves of keys, in the buckets that contain a boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fine {
    span: Span,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    /// The upper half of the bucket's keys.
    top: u32,
    /// Number of tokens in lower buckets.
    below: u64,
    counts: Vec<u64>,
}

impl Fine {
    /// Counts tokens. All calls together must count the same tokens as the first pass.
    pub fn add(&mut self, keys: &[u32]) {
        for bucket in &mut self.buckets {
            for &key in keys {
                if key >> 16 == bucket.top && key != UNSCORED {
                    bucket.counts[(key & 0xffff) as usize] += 1;
                }
            }
        }
    }

    /// Adds another histogram's counts. It must come from [`Coarse::fine`] of the same counts.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, other) in self.buckets.iter_mut().zip(&other.buckets) {
            merge(&mut bucket.counts, &other.counts);
        }
    }

    /// The cut over all counted tokens.
    pub fn cut(&self) -> Cut {
        Cut::at(self.span, |rank| self.place(rank))
    }

    fn place(&self, rank: u64) -> RankPosition {
        // The rank is in the last bucket that starts at or before it.
        let holds = self.buckets.iter().filter(|bucket| bucket.below <= rank);
        let Some(bucket) = holds.max_by_key(|bucket| bucket.below) else {
            // Unreachable if both passes saw the same tokens.
            return RankPosition {
                key: UNSCORED,
                below: rank,
                equal: 1,
            };
        };
        let (low, below) = find(&bucket.counts, rank - bucket.below);
        RankPosition {
            key: bucket.top << 16 | low,
            below: bucket.below + below,
            equal: bucket.counts[low as usize],
        }
    }
}

/// The bucket that contains a rank, and the number of tokens in lower buckets.
fn find(counts: &[u64], rank: u64) -> (u32, u64) {
    let mut below = 0;
    for (bucket, &count) in (0..).zip(counts) {
        if rank < below + count {
            return (bucket, below);
        }
        below += count;
    }
    (BUCKETS as u32 - 1, below)
}

fn merge(counts: &mut [u64], others: &[u64]) {
    for (count, other) in counts.iter_mut().zip(others) {
        *count += other;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Direction, KeepRatio, Seen};

    fn score() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -3.0f32..3.0,
            // All in one bucket of the first pass.
            3 => (0u32..9).prop_map(|n| f32::from_bits(1.5f32.to_bits() + n)),
            2 => (0u8..4).prop_map(f32::from),
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MIN_POSITIVE, -f32::NAN]),
        ]
    }

    fn share() -> impl Strategy<Value = Share> {
        let ratio = || {
            prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64].prop_map(|r| KeepRatio::new(r).unwrap())
        };
        prop_oneof![
            ratio().prop_map(Share::Best),
            (ratio(), ratio()).prop_map(|(easiest, hardest)| Share::Between { easiest, hardest }),
        ]
    }

    /// Selects from a corpus of these shards, counted in the given order.
    fn counted(shards: &[Vec<u32>], share: Share, order: &[usize]) -> (Cut, Vec<bool>) {
        let mut coarse = Coarse::default();
        for &i in order {
            let mut one = Coarse::default();
            one.add(&shards[i]);
            coarse.merge(&one);
        }
        let mut fine = coarse.fine(share);
        for &i in order.iter().rev() {
            let mut one = coarse.fine(share);
            one.add(&shards[i]);
            fine.merge(&one);
        }
        let cut = fine.cut();
        let (mut seen, mut kept) = (Seen::default(), Vec::new());
        for shard in shards {
            // Each shard is marked by itself, from the counts of the shards before it alone.
            cut.marker(seen).mark(shard, &mut kept);
            cut.see(shard, &mut seen);
        }
        (cut, kept)
    }

    fn check(scores: &[f32], share: Share, direction: Direction, ends: &[usize], swap: usize) {
        let mut keys = Vec::new();
        direction.keys(scores, &mut keys);
        let whole = Cut::of(&keys, share);
        let mut expected = Vec::new();
        whole.marker(Seen::default()).mark(&keys, &mut expected);

        let mut ends: Vec<usize> = ends.iter().map(|end| end % (keys.len() + 1)).collect();
        ends.extend([0, keys.len()]);
        ends.sort_unstable();
        let shards: Vec<Vec<u32>> = ends
            .windows(2)
            .map(|ends| keys[ends[0]..ends[1]].to_vec())
            .collect();
        let mut order: Vec<usize> = (0..shards.len()).collect();
        order.rotate_left(swap % shards.len());
        let (cut, kept) = counted(&shards, share, &order);
        assert_eq!(cut, whole);
        assert_eq!(kept, expected);
        let scored = scores.iter().filter(|s| !s.is_nan()).count() as u64;
        let count = kept.iter().filter(|&&k| k).count() as u64;
        assert_eq!(count, share.of(scored).count);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        #[test]
        fn counting_shards_equals_selecting_all_at_once(
            scores in prop::collection::vec(score(), 0..120),
            share in share(),
            high in any::<bool>(),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            swap in 0usize..5,
        ) {
            let ends: Vec<usize> = ends.iter().map(|end| end.index(1000)).collect();
            let direction = if high { Direction::High } else { Direction::Low };
            check(&scores, share, direction, &ends, swap);
        }
    }

    #[test]
    fn the_cases_at_the_edges() {
        let ratio = |r| Share::Best(KeepRatio::new(r).unwrap());
        for scores in [
            &[][..],
            &[1.0],
            &[f32::NAN],
            &[2.5; 9],
            &[f32::INFINITY, f32::NAN, -0.0, 0.0, f32::NEG_INFINITY],
        ] {
            for share in [0.0, 0.3, 0.5, 1.0].map(ratio) {
                for direction in [Direction::Low, Direction::High] {
                    check(scores, share, direction, &[1, 2], 1);
                }
            }
        }
    }

    /// Keys that no score has: the random rule's keys go up to the last one before `UNSCORED`.
    #[test]
    fn every_key_but_one_counts() {
        let keys = [UNSCORED - 1, UNSCORED, UNSCORED - 1, 0];
        let share = Share::Best(KeepRatio::new(0.67).unwrap());
        let (cut, kept) = counted(&[keys.to_vec()], share, &[0]);
        assert_eq!(cut, Cut::of(&keys, share));
        assert_eq!(kept, [true, false, false, true]);
    }
}
