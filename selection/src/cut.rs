//! The boundary between kept and dropped tokens, found from their keys or from counts of keys, and its application
//! token by token.
//!
//! Ties go to the earlier token at both ends: at the start of the ranking the later tokens of a tie are dropped, at its
//! end the earlier ones are kept.

use crate::{Share, Span, UNSCORED};

/// The position of a rank among the sorted keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankPosition {
    /// The key of the token with this rank.
    pub key: u32,
    /// Number of tokens with a lower key.
    pub below: u64,
    /// Number of tokens with this key.
    pub equal: u64,
}

/// One boundary of the kept keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    key: u32,
    /// How many tokens with this key are on the kept side: the first ones.
    kept: u64,
    /// Number of tokens with this key.
    equal: u64,
}

/// The range of keys that one scope keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Lower keys are dropped; `None`: no lower boundary.
    floor: Option<Edge>,
    /// Higher keys are dropped; `None`: nothing is kept.
    ceiling: Option<Edge>,
}

/// How many earlier tokens had the keys of a cut's boundaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Tokens with the key of the lower boundary.
    pub floor: u64,
    /// Tokens with the key of the upper boundary.
    pub ceiling: u64,
}

impl Cut {
    /// The cut that keeps these ranks; `place` finds the position of a rank.
    pub fn at(span: Span, mut place: impl FnMut(u64) -> RankPosition) -> Self {
        if span.count == 0 {
            return Self {
                floor: None,
                ceiling: None,
            };
        }
        let floor = (span.first > 0).then(|| {
            let RankPosition { key, below, equal } = place(span.first);
            let kept = equal - (span.first - below);
            Edge { key, kept, equal }
        });
        let RankPosition { key, below, equal } = place(span.first + span.count - 1);
        let kept = match floor {
            Some(floor) if floor.key == key => span.count,
            _ => span.first + span.count - below,
        };
        Self {
            floor,
            ceiling: Some(Edge { key, kept, equal }),
        }
    }

    /// The cut of one scope. Takes time linear in the number of keys, and copies them.
    pub fn of(keys: &[u32], share: Share) -> Self {
        let mut scored: Vec<u32> = Vec::with_capacity(keys.len());
        scored.extend(keys.iter().filter(|&&key| key != UNSCORED));
        let span = share.of(scored.len() as u64);
        Self::at(span, |rank| place(&mut scored, rank as usize))
    }

    /// Whether a boundary splits a tie, so that the order of the tied tokens matters.
    pub fn divides_equals(&self) -> bool {
        let divides = |edge: Edge| edge.kept < edge.equal;
        self.floor.is_some_and(divides) || self.ceiling.is_some_and(divides)
    }

    /// Counts the boundaries' keys among `keys` and adds them to `seen`.
    pub fn see(&self, keys: &[u32], seen: &mut Seen) {
        let count = |edge: Option<Edge>| {
            edge.map_or(0, |edge| {
                keys.iter().filter(|&&key| key == edge.key).count()
            })
        };
        seen.floor += count(self.floor) as u64;
        seen.ceiling += count(self.ceiling) as u64;
    }

    /// The keys of the lower and the upper boundary; `None` for a boundary that does not exist.
    pub fn bounds(&self) -> (Option<u32>, Option<u32>) {
        (
            self.floor.map(|edge| edge.key),
            self.ceiling.map(|edge| edge.key),
        )
    }

    /// Returns a marker that applies the cut to the scope's tokens in order, starting after those in `seen`.
    pub fn marker(&self, seen: Seen) -> Marker {
        Marker { cut: *self, seen }
    }
}

/// Applies a cut token by token.
#[derive(Debug, Clone)]
pub struct Marker {
    cut: Cut,
    seen: Seen,
}

impl Marker {
    /// Appends to `kept` whether each of the next tokens is kept, and returns how many are.
    pub fn mark(&mut self, keys: &[u32], kept: &mut Vec<bool>) -> u64 {
        let at = kept.len();
        let Some(ceiling) = self.cut.ceiling else {
            kept.resize(at + keys.len(), false);
            return 0;
        };
        let (floor, seen) = (self.cut.floor, &mut self.seen);
        match floor {
            None if ceiling.kept == ceiling.equal => {
                kept.extend(keys.iter().map(|&key| key <= ceiling.key));
            }
            None => kept.extend(
                keys.iter()
                    .map(|&key| key < ceiling.key || first(key, ceiling, &mut seen.ceiling)),
            ),
            Some(floor) => kept.extend(keys.iter().map(|&key| {
                // No short circuit: both count what they see.
                let above = key > floor.key || first(key, floor, &mut seen.floor);
                let below = key < ceiling.key || first(key, ceiling, &mut seen.ceiling);
                above && below
            })),
        }
        kept[at..].iter().map(|&k| u64::from(k)).sum()
    }
}

/// Whether this token has the edge's key and is among the first of those, which are kept.
fn first(key: u32, edge: Edge, seen: &mut u64) -> bool {
    if key != edge.key {
        return false;
    }
    *seen += 1;
    *seen <= edge.kept
}

/// The position of a rank among these keys. Reorders them.
fn place(keys: &mut [u32], rank: usize) -> RankPosition {
    let (lower, &mut key, higher) = keys.select_nth_unstable(rank);
    let below = lower.iter().filter(|&&k| k < key).count();
    let equal = lower.len() - below + 1 + higher.iter().filter(|&&k| k == key).count();
    RankPosition {
        key,
        below: below as u64,
        equal: equal as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeepRatio;

    /// The rule by plain sorting: drop the start of the ranking, the later tokens of a tie first; then keep the start
    /// of the rest, the earlier tokens of a tie first.
    fn by_sorting(keys: &[u32], share: Share) -> Vec<bool> {
        let mut ranked: Vec<usize> = (0..keys.len()).filter(|&i| keys[i] != UNSCORED).collect();
        let span = share.of(ranked.len() as u64);
        ranked.sort_by_key(|&i| (keys[i], std::cmp::Reverse(i)));
        let mut rest = ranked.split_off(span.first as usize);
        rest.sort_by_key(|&i| (keys[i], i));
        let mut kept = vec![false; keys.len()];
        rest[..span.count as usize]
            .iter()
            .for_each(|&i| kept[i] = true);
        kept
    }

    #[test]
    fn equals_sorting_everything() {
        let ratios = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0].map(|r| KeepRatio::new(r).unwrap());
        let mut state = 1u32;
        for length in 0..60 {
            let keys: Vec<u32> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    [0, 1, 1, 2, 7, UNSCORED - 1, UNSCORED][(state >> 16) as usize % 7]
                })
                .collect();
            for easiest in ratios {
                for hardest in ratios {
                    for share in [Share::Between { easiest, hardest }, Share::Best(easiest)] {
                        let cut = Cut::of(&keys, share);
                        let mut kept = Vec::new();
                        let count = cut.marker(Seen::default()).mark(&keys, &mut kept);
                        assert_eq!(kept, by_sorting(&keys, share), "{keys:?} {share:?}");
                        assert_eq!(count, kept.iter().filter(|&&k| k).count() as u64);
                    }
                }
            }
        }
    }

    #[test]
    fn the_earlier_of_equals_wins_at_both_ends() {
        let share = Share::Between {
            easiest: KeepRatio::new(0.2).unwrap(),
            hardest: KeepRatio::new(0.2).unwrap(),
        };
        let mut kept = Vec::new();
        let cut = Cut::of(&[5; 10], share);
        cut.marker(Seen::default()).mark(&[5; 10], &mut kept);
        assert_eq!(kept, [&[true; 6][..], &[false; 4]].concat());
        assert!(cut.divides_equals());
    }
}
