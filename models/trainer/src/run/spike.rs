//! Where a run must stop: a loss far above what it was lately.

use std::collections::VecDeque;

/// Losses that are remembered.
const REMEMBERED: usize = 128;
/// Before there are so many, nothing is a spike: losses fall steeply in the first steps.
const LEAST: usize = 16;

/// The running median of the losses of the last steps.
#[derive(Debug, Clone, Default)]
pub struct Spike {
    losses: VecDeque<f64>,
    /// How many times the median is too much; none turns it off.
    times: Option<f64>,
}

impl Spike {
    /// With a limit, or without.
    pub fn new(times: Option<f64>) -> Self {
        Self {
            losses: VecDeque::new(),
            times,
        }
    }

    /// Adds the loss of a step. The answer is the median of those before, where this one is too far above it.
    pub fn add(&mut self, loss: f64) -> Option<f64> {
        let median = self.median();
        self.losses.push_back(loss);
        if self.losses.len() > REMEMBERED {
            self.losses.pop_front();
        }
        let (median, times) = (median?, self.times?);
        (loss > median * times).then_some(median)
    }

    fn median(&self) -> Option<f64> {
        if self.losses.len() < LEAST {
            return None;
        }
        let mut sorted: Vec<f64> = self.losses.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        Some(sorted[sorted.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_above_the_median_is_a_spike() {
        let mut spike = Spike::new(Some(2.0));
        // Falling steeply at first, and high at the beginning: neither is one.
        assert!(spike.add(900.0).is_none());
        for i in 0..40 {
            assert!(spike.add(4.0 + f64::from(i % 3)).is_none());
        }
        assert!(spike.add(9.9).is_none());
        assert_eq!(spike.add(10.1), Some(5.0));
        let mut off = Spike::new(None);
        assert!((0..40).all(|i| off.add(f64::from(i * i)).is_none()));
    }
}
