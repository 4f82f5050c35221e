//! Counts by bin: pairs while there are few, a list of consecutive bins from then on. A corpus may have 100,000 sources
//! of a few tokens each, and a list for each of them would take gigabytes.

/// The most pairs.
const FEW: usize = 64;

/// Counts by bin.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bins {
    /// Bins with their counts, in order.
    Few(Vec<(i32, u64)>),
    /// The counts of consecutive bins, and the first of these bins.
    Many(i32, Vec<u64>),
}

impl Default for Bins {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Bins {
    /// Adds to the count of a bin.
    pub(super) fn add(&mut self, bin: i32, count: u64) {
        match self {
            Self::Few(pairs) => match pairs.binary_search_by_key(&bin, |&(bin, _)| bin) {
                Ok(at) => pairs[at].1 += count,
                Err(at) if pairs.len() < FEW => pairs.insert(at, (bin, count)),
                Err(_) => {
                    let mut many = Self::Many(bin, Vec::new());
                    for (bin, count) in std::mem::take(pairs) {
                        many.add(bin, count);
                    }
                    many.add(bin, count);
                    *self = many;
                }
            },
            Self::Many(first, counts) => {
                if bin < *first {
                    let more = (*first - bin) as usize;
                    counts.splice(0..0, std::iter::repeat_n(0, more));
                    *first = bin;
                }
                let at = (bin - *first) as usize;
                if at >= counts.len() {
                    counts.resize(at + 1, 0);
                }
                counts[at] += count;
            }
        }
    }

    /// The bins that have a count, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, u64)> {
        let (few, (first, many)) = match self {
            Self::Few(pairs) => (&pairs[..], (0, &[][..])),
            Self::Many(first, counts) => (&[][..], (*first, &counts[..])),
        };
        let many = (first..).zip(many).map(|(bin, &count)| (bin, count));
        let all = few.iter().copied().chain(many);
        all.filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn as_a_map_says_on_both_sides_of_the_bound() {
        let mut state = 1_u32;
        let (mut bins, mut map) = (Bins::default(), BTreeMap::new());
        for step in 0..1000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bin = (state >> 20).cast_signed() - 2000;
            bins.add(bin, 3);
            *map.entry(bin).or_insert(0) += 3;
            assert_eq!(matches!(bins, Bins::Few(_)), map.len() <= FEW, "{step}");
            if step % 50 == 0 {
                assert!(bins.iter().eq(map.clone()));
            }
        }
        assert!(bins.iter().eq(map));
    }
}
