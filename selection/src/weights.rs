//! Weights from 0 to 1 in place of mask bits (the paper's reweighting): how much to learn from a token. An unscored
//! token has weight 0, as its bit would be 0.

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
    /// `w = min(max(x / T, 0), 1)` for a score `x` and a temperature `T`, both in nats: 0 for `x <= 0`, 1 for `x >= T`.
    Clipped {
        /// `T`.
        temperature: f64,
    },
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
            Formula::Clipped { temperature } => {
                each(weights, &|x| (x / temperature).clamp(0.0, 1.0));
            }
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
