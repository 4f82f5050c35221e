//! The range of ranks that is kept.

use crate::KeepRatio;

/// The kept ranks: `count` of them starting at `first`. The best token has rank 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first kept rank, which is also the number of tokens dropped before it.
    pub first: u64,
    /// Number of tokens kept.
    pub count: u64,
}

/// The share of the ranks that is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// The best `round(ratio * scored)` tokens.
    Best(KeepRatio),
    /// All but the first `round(easiest * scored)` and the last `round(hardest * scored)` of the ranking. If together
    /// they exceed the number of tokens, nothing is kept.
    Between {
        /// The share dropped at the start of the ranking.
        easiest: KeepRatio,
        /// The share dropped at its end.
        hardest: KeepRatio,
    },
}

impl Share {
    /// The ranks kept among `scored` tokens.
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
