//! Which ranks are kept, as numbers of tokens.

use crate::KeepRatio;

/// The ranks that are kept: `count` of them from `first` on, the best token having rank 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first rank kept: so many tokens before it are dropped.
    pub first: u64,
    /// How many are kept.
    pub count: u64,
}

/// Which share of the ranks is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// The best: `round(ratio * scored)` tokens.
    Best(KeepRatio),
    /// All but `round(easiest * scored)` at the low end of the ranking and `round(hardest * scored)` at the other. Where both
    /// roundings together come to more than there is, the second drops what is left.
    Between {
        /// The share that is dropped at the beginning.
        easiest: KeepRatio,
        /// The share that is dropped at the end.
        hardest: KeepRatio,
    },
}

impl Share {
    /// The ranks kept among so many scored tokens.
    pub fn of(self, scored: u64) -> Span {
        let part = |ratio: KeepRatio| (ratio.get() * scored as f64).round() as u64;
        match self {
            Self::Best(ratio) => Span {
                first: 0,
                count: part(ratio),
            },
            Self::Between { easiest, hardest } => {
                let first = part(easiest);
                let count = (scored - first).saturating_sub(part(hardest));
                Span { first, count }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_rounded() {
        let ratio = |r| KeepRatio::new(r).unwrap();
        let between = |easiest, hardest, scored| {
            let share = Share::Between {
                easiest: ratio(easiest),
                hardest: ratio(hardest),
            };
            let span = share.of(scored);
            (span.first, span.count)
        };
        assert_eq!(between(0.1, 0.25, 10), (1, 6));
        assert_eq!(between(0.5, 0.5, 1), (1, 0));
        assert_eq!(between(0.0, 0.0, 3), (0, 3));
        assert_eq!(between(1.0, 1.0, 3), (3, 0));
        let best = Share::Best(ratio(0.5)).of(5);
        assert_eq!((best.first, best.count), (0, 3));
    }
}
