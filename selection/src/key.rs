//! Scores as integers in the same order, so that ranking is exact and works by counting.

/// Which end of the ranking is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The lowest scores: reference loss, entropy (self-reference, appendix H of the paper).
    Low,
    /// The highest scores: excess loss.
    High,
}

/// The key of an unscored token. No score has this key: it would be that of a NaN.
pub const UNSCORED: u32 = u32::MAX;

impl Direction {
    /// The key of a score; lower keys rank first. [`UNSCORED`] for NaN; -0 counts as 0.
    ///
    /// Inverts all bits of a negative number and sets the top bit of a positive one. [`High`](Self::High) then
    /// inverts all bits once more.
    pub fn key(self, score: f32) -> u32 {
        if score.is_nan() {
            return UNSCORED;
        }
        let bits = (score + 0.0).to_bits();
        // All ones for a negative number, else only the top bit.
        let turn = (bits.cast_signed() >> 31).cast_unsigned() | 1 << 31;
        let ordered = bits ^ turn;
        match self {
            Self::Low => ordered,
            Self::High => !ordered,
        }
    }

    /// Appends the keys of `scores` to `keys`.
    pub fn keys(self, scores: &[f32], keys: &mut Vec<u32>) {
        keys.extend(scores.iter().map(|&score| self.key(score)));
    }

    /// The score with this key.
    pub fn score(self, key: u32) -> f32 {
        let ordered = match self {
            Self::Low => key,
            Self::High => !key,
        };
        let turn = if ordered >> 31 == 1 {
            1 << 31
        } else {
            u32::MAX
        };
        f32::from_bits(ordered ^ turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_scores_do() {
        let scores = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -f32::MIN_POSITIVE,
            -1e-45,
            0.0,
            1e-45,
            1.0,
            1.0000001,
            f32::MAX,
            f32::INFINITY,
        ];
        for direction in [Direction::Low, Direction::High] {
            let keys = scores.map(|s| direction.key(s));
            let ascending = match direction {
                Direction::Low => keys.is_sorted_by(|a, b| a < b),
                Direction::High => keys.is_sorted_by(|a, b| a > b),
            };
            assert!(ascending, "{direction:?}: {keys:?}");
            assert!(keys.iter().all(|&k| k < UNSCORED));
            for (score, key) in scores.into_iter().zip(keys) {
                assert_eq!(direction.score(key).to_bits(), score.to_bits());
            }
            assert_eq!(direction.key(-0.0), direction.key(0.0));
            assert_eq!(direction.key(f32::NAN), UNSCORED);
            assert_eq!(direction.key(-f32::NAN), UNSCORED);
        }
    }
}
