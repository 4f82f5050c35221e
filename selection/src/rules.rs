//! The rules that are more than the lowest or the highest of one score.

/// Excess loss (eq. 3 of the paper) of one model over another: `base[i] - reference[i]`, in nats. NaN where one of them is
/// not scored, and where the difference of two infinities is no number.
pub fn excess(base: &[f32], reference: &[f32]) -> Vec<f32> {
    base.iter().zip(reference).map(|(b, r)| b - r).collect()
}

/// Tokens that both selections keep.
pub fn intersect(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(&a, &b)| a && b).collect()
}

/// Tokens that either selection keeps.
pub fn unite(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(&a, &b)| a || b).collect()
}

/// Absolute bounds of a score, in its own unit, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Scores below it are dropped.
    pub least: f32,
    /// Scores above it are dropped.
    pub most: f32,
}

impl Bounds {
    /// Whether a score lies between them; NaN does not.
    pub fn hold(self, score: f32) -> bool {
        score >= self.least && score <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_of_what_is_scored() {
        let got = excess(
            &[2.0, f32::NAN, 1.0, f32::INFINITY, f32::INFINITY],
            &[0.5, 1.0, f32::NAN, f32::INFINITY, 1.0],
        );
        assert_eq!((got[0], got[4]), (1.5, f32::INFINITY));
        assert!(got[1..4].iter().all(|e| e.is_nan()));
    }

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
