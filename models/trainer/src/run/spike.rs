//! Detects loss spikes: a loss far above the median of the last steps stops the run.

use std::collections::VecDeque;

/// Number of losses in the running median.
const REMEMBERED: usize = 128;
/// With fewer losses nothing counts as a spike: losses fall steeply in the first steps.
const LEAST: usize = 16;

/// The running median of the losses of the last steps.
#[derive(Debug, Clone, Default)]
pub struct Spike {
    losses: VecDeque<f64>,
    /// A loss above this many times the median is a spike; `None` turns the check off.
    times: Option<f64>,
}

impl Spike {
    /// A check with this limit, or without one.
    pub fn new(times: Option<f64>) -> Self {
        Self {
            losses: VecDeque::new(),
            times,
        }
    }

    /// Adds the loss of a step. If it is a spike, returns the median of the previous losses.
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
        // A high first loss and a steep fall are not spikes.
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
