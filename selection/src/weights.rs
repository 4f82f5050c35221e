//! Weights from 0 to 1 in place of mask bits (the paper's reweighting): how much to learn from a token. An unscored
//! token has weight 0, as its bit would be 0. With a lower bound below 0, weights may be negative: such a token is to be
//! unlearned.

use crate::{Direction, UNSCORED};

/// How a score becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Formula {
    /// `w = (n - r) / n`: the best of the `n` scored tokens of a scope has rank `r = 0` and weight 1, the last one
    /// `1 / n`. Ties go to the earlier token.
    Rank(Direction),
    /// `w = 1 / (1 + exp(-x / T))` for a score `x` and a temperature `T`, both in nats: one half at 0.
    Sigmoid {
        /// `T`.
        temperature: f64,
    },
    /// `w = x / T` for a score `x` and a temperature `T`, both in nats. Only the bounds of the weights clip it.
    Clipped {
        /// `T`.
        temperature: f64,
    },
    /// `w = p^k = exp(-k x)` for a loss `x` in nats, where `p` is the probability of the token.
    Power {
        /// `k`, above 0.
        exponent: f64,
    },
}

impl Formula {
    /// Whether it yields negative weights for some scores, before they are clamped.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Clipped { .. })
    }
}

/// A formula, and the bounds its weights are clamped to: `min(max(w, least), most)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// The formula.
    pub formula: Formula,
    /// The smallest weight of a scored token.
    pub least: f32,
    /// The largest weight.
    pub most: f32,
}

impl Weights {
    /// Appends the weights of one scope's tokens to `weights`. Computes in f64 and rounds once.
    pub fn weigh(&self, scores: &[f32], weights: &mut Vec<f32>) {
        let bounded = |weight: f64| (weight as f32).max(self.least).min(self.most);
        let each = |weights: &mut Vec<f32>, formula: &dyn Fn(f64) -> f64| {
            weights.extend(scores.iter().map(|&score| {
                if score.is_nan() {
                    return 0.0;
                }
                bounded(formula(f64::from(score)))
            }));
        };
        match self.formula {
            Formula::Rank(direction) => {
                let at = weights.len();
                weights.resize(at + scores.len(), 0.0);
                let keys = scores.iter().map(|&score| direction.key(score));
                // Key and index in one number: an unstable sort keeps the order of ties.
                let mut ranked: Vec<u64> = (0u64..)
                    .zip(keys)
                    .filter(|&(_, key)| key != UNSCORED)
                    .map(|(i, key)| u64::from(key) << 32 | i)
                    .collect();
                ranked.sort_unstable();
                let n = ranked.len() as f64;
                for (r, token) in ranked.iter().enumerate() {
                    let i = (token & 0xffff_ffff) as usize;
                    weights[at + i] = bounded((n - r as f64) / n);
                }
            }
            Formula::Sigmoid { temperature } => {
                each(weights, &|x| 1.0 / (1.0 + (-x / temperature).exp()));
            }
            Formula::Clipped { temperature } => each(weights, &|x| x / temperature),
            Formula::Power { exponent } => each(weights, &|x| (-exponent * x).exp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh(formula: Formula, scores: &[f32]) -> Vec<f32> {
        let weights = Weights {
            formula,
            least: 0.0,
            most: 1.0,
        };
        let mut weighed = vec![9.0];
        weights.weigh(scores, &mut weighed);
        weighed.split_off(1)
    }

    #[test]
    fn ranks_fall_in_a_line() {
        let scores = [3.0, f32::NAN, 1.0, 2.0, 1.0];
        let low = weigh(Formula::Rank(Direction::Low), &scores);
        assert_eq!(low, [0.25, 0.0, 1.0, 0.5, 0.75]);
        let high = weigh(Formula::Rank(Direction::High), &scores);
        assert_eq!(high, [1.0, 0.0, 0.5, 0.75, 0.25]);
        assert_eq!(weigh(Formula::Rank(Direction::Low), &[]), [0.0f32; 0]);
    }

    #[test]
    fn sigmoids_and_clips() {
        let scores = [
            0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            -2000.0,
            1.0,
        ];
        let sigmoid = weigh(Formula::Sigmoid { temperature: 2.0 }, &scores);
        assert_eq!(sigmoid[..5], [0.5, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sigmoid[5], 0.622_459_35);
        let clipped = weigh(Formula::Clipped { temperature: 2.0 }, &scores);
        assert_eq!(clipped, [0.0, 1.0, 0.0, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn powers_of_the_probability() {
        let losses = [0.0, 1.0, f32::INFINITY, f32::NAN, 0.25, -0.5];
        // np.exp(-np.float64([1, .25])).astype(np.float32), and of the doubled losses. No probability exceeds 1.
        let power = weigh(Formula::Power { exponent: 1.0 }, &losses);
        assert_eq!(power, [1.0, 0.367_879_45, 0.0, 0.0, 0.778_800_8, 1.0]);
        let power = weigh(Formula::Power { exponent: 2.0 }, &losses);
        assert_eq!(power, [1.0, 0.135_335_28, 0.0, 0.0, 0.606_530_67, 1.0]);
    }

    #[test]
    fn signed_weights_below_0() {
        let weights = Weights {
            formula: Formula::Clipped { temperature: 2.0 },
            least: -1.0,
            most: 1.0,
        };
        let mut weighed = Vec::new();
        weights.weigh(&[-1.0, f32::NEG_INFINITY, 0.5, 9.0, f32::NAN], &mut weighed);
        assert_eq!(weighed, [-0.5, -1.0, 0.25, 1.0, 0.0]);
    }

    #[test]
    fn bounds_are_for_what_is_scored() {
        let weights = Weights {
            formula: Formula::Clipped { temperature: 1.0 },
            least: 0.25,
            most: 0.75,
        };
        let mut weighed = Vec::new();
        weights.weigh(&[-1.0, 0.5, 2.0, f32::NAN], &mut weighed);
        assert_eq!(weighed, [0.25, 0.5, 0.75, 0.0]);
    }
}
