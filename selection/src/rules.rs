//! Rules beyond the lowest or highest of a single score.

/// The tokens that both selections keep.
pub fn intersect(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(&a, &b)| a && b).collect()
}

/// The tokens that either selection keeps.
pub fn unite(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(&a, &b)| a || b).collect()
}

/// Absolute, inclusive bounds of a score, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Lower scores are dropped.
    pub least: f32,
    /// Higher scores are dropped.
    pub most: f32,
}

impl Bounds {
    /// Whether a score is within the bounds; false for NaN.
    pub fn hold(self, score: f32) -> bool {
        score >= self.least && score <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_and_either() {
        let (a, b) = ([false, true, false, true], [false, false, true, true]);
        assert_eq!(intersect(&a, &b), [false, false, false, true]);
        assert_eq!(unite(&a, &b), [false, true, true, true]);
    }

    #[test]
    fn bounds_hold_their_ends() {
        let at_most = Bounds {
            least: f32::NEG_INFINITY,
            most: 2.0,
        };
        let held = [2.0, 2.0000002, f32::NEG_INFINITY, f32::NAN, -0.0].map(|s| at_most.hold(s));
        assert_eq!(held, [true, false, true, false, true]);
    }
}
