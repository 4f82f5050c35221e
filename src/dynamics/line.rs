//! The line through a token's losses (eq. 6), and the token's category, one of four (appendix D.1).
//!
//! ```text
//! loss   │ ×  ×                 l_start ┐
//!        │    ╲ ×  ×                    │ change = l_end - l_start
//!        │     ──────×──× l_end         ┘
//!        └─────────────────── x: the positions of the checkpoints
//! ```
//!
//! In double precision, from the stored losses.

/// The categories, in the order of their codes in column `category`: from a high (H) to a low (L) loss, and so on.
pub(crate) const CATEGORIES: [&str; 4] = ["H->L", "L->L", "H->H", "L->H"];

/// The paper's share of each, from training a model of 1B parameters on OpenWebMath (section 2.1).
pub(crate) const PAPER_SHARES: [f64; 4] = [0.26, 0.51, 0.11, 0.12];

/// The positions of the checkpoints, prepared for the lines of all tokens.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The distance of each checkpoint from the mean position.
    from_middle: Vec<f64>,
    /// The sum of the squared distances.
    spread: f64,
}

/// The line of one token, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Nats per unit of x.
    pub(super) slope: f64,
    /// Its value at the first checkpoint.
    pub(super) start: f64,
    /// Its value at the last one.
    pub(super) end: f64,
    /// The mean squared distance of the losses from the line, in nats squared.
    pub(super) variance: f64,
}

impl Places {
    /// From the positions, which must rise and not all be equal.
    pub(super) fn new(x: &[f64]) -> Self {
        let middle = x.iter().sum::<f64>() / x.len() as f64;
        let from_middle: Vec<f64> = x.iter().map(|x| x - middle).collect();
        Self {
            spread: from_middle.iter().map(|d| d * d).sum(),
            from_middle,
        }
    }

    /// The least-squares line through the losses, one for each position; None if one is not finite.
    pub(super) fn line(&self, losses: &[f64]) -> Option<Line> {
        if !losses.iter().all(|loss| loss.is_finite()) {
            return None;
        }
        let count = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / count;
        let pairs = || self.from_middle.iter().zip(losses);
        let slope = pairs().map(|(d, loss)| d * (loss - mean)).sum::<f64>() / self.spread;
        let at = |d: f64| mean + slope * d;
        let squares = pairs().map(|(&d, loss)| (loss - at(d)).powi(2));
        Some(Line {
            slope,
            start: at(*self.from_middle.first()?),
            end: at(*self.from_middle.last()?),
            variance: squares.sum::<f64>() / count,
        })
    }
}

impl Line {
    /// How much the line rises, in nats.
    pub(super) fn change(&self) -> f64 {
        self.end - self.start
    }

    /// The token's index in [`CATEGORIES`]: by its change if that exceeds the threshold, else by whether its last loss
    /// is at most the mean of all tokens' last losses.
    pub(super) fn category(&self, threshold: f64, last: f64, mean_of_last: f64) -> u8 {
        match self.change() {
            change if change < -threshold => 0,
            change if change > threshold => 3,
            _ if last <= mean_of_last => 1,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // numpy.polyfit([0, 1, 2, 3], [3, 2.5, 2.75, 1], 1) and the mean of squared residuals.
    #[test]
    fn the_line_that_numpy_fits() {
        let line = Places::new(&[0.0, 1.0, 2.0, 3.0]).line(&[3.0, 2.5, 2.75, 1.0]);
        let line = line.unwrap();
        let expected = [-0.575, 3.175, 1.45, 0.192_187_5];
        let got = [line.slope, line.start, line.end, line.variance];
        for (got, expected) in got.into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn categories_by_change_then_by_the_last_loss() {
        let of = |change: f64, last: f64| {
            let line = Line {
                slope: 0.0,
                start: 1.0,
                end: 1.0 + change,
                variance: 0.0,
            };
            CATEGORIES[usize::from(line.category(0.25, last, 2.0))]
        };
        assert_eq!(of(-0.5, 9.0), "H->L");
        assert_eq!(of(0.5, 0.0), "L->H");
        // A change equal to the threshold is none; a loss equal to the mean is low.
        assert_eq!(of(-0.25, 2.0), "L->L");
        assert_eq!(of(0.25, 2.1), "H->H");
        assert!((PAPER_SHARES.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_line_through_what_is_no_number() {
        let places = Places::new(&[0.0, 1.0, 2.0]);
        assert_eq!(places.line(&[1.0, f64::NAN, 1.0]), None);
        assert_eq!(places.line(&[1.0, f64::INFINITY, 1.0]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        /// No other line is nearer, and points on a line give that line.
        #[test]
        fn nothing_is_nearer(
            losses in prop::collection::vec(0.0..12.0f64, 3..9),
            steps in prop::collection::vec(1.0..50.0f64, 9),
            tilt in -0.3..0.3f64,
            lift in -0.3..0.3f64,
        ) {
            let x: Vec<f64> = steps[..losses.len()].iter().scan(0.0, |at, step| { *at += step; Some(*at) }).collect();
            let places = Places::new(&x);
            let line = places.line(&losses).unwrap();
            let first = x[0];
            let at = |slope: f64, start: f64| -> f64 {
                let far = x.iter().zip(&losses).map(|(x, loss)| (loss - start - slope * (x - first)).powi(2));
                far.sum::<f64>() / losses.len() as f64
            };
            prop_assert!((at(line.slope, line.start) - line.variance).abs() < 1e-9);
            prop_assert!(at(line.slope + tilt, line.start + lift) >= line.variance - 1e-9);
            let on: Vec<f64> = x.iter().map(|x| line.start + line.slope * (x - first)).collect();
            let again = places.line(&on).unwrap();
            prop_assert!((again.slope - line.slope).abs() < 1e-9 && again.variance < 1e-15);
            prop_assert!((again.end - line.end).abs() < 1e-9);
        }
    }
}
