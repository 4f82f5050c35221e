//! The learning rate schedule of a run: warm-up, then constant or one of three decays.

use crate::{Result, TrainerError};

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// Half a cosine from the peak to the final rate (Loshchilov and Hutter, arXiv 1608.03983).
    Cosine,
    /// Linear.
    Linear,
    /// Warm-up, stable, decay (Hu et al., arXiv 2404.06395): constant at the peak, then linear over the last steps.
    Wsd {
        /// Number of steps of the decay.
        decay_steps: u64,
    },
    /// Constant at the peak.
    Constant,
}

/// The learning rate of each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// The final rate, as a share of the peak.
    pub floor: f64,
    /// Number of warm-up steps.
    pub warmup_steps: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The decay after warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the peak is negative or not finite, the floor is not a share from 0 to 1, or warm-up and decay take more
    /// steps than the run has.
    pub fn check(&self) -> Result<()> {
        let refuse = |setting, expected, got| {
            Err(TrainerError::Setting {
                setting,
                expected,
                got,
            })
        };
        if !(self.peak.is_finite() && self.peak >= 0.0) {
            return refuse("peak", "a rate of at least 0", self.peak);
        }
        if !(0.0..=1.0).contains(&self.floor) {
            return refuse("floor", "a share from 0 to 1", self.floor);
        }
        let decay = if let Decay::Wsd { decay_steps } = self.decay {
            decay_steps
        } else {
            0
        };
        if self.warmup_steps.saturating_add(decay) > self.steps {
            let parts = self.warmup_steps.saturating_add(decay) as f64;
            return refuse("warm-up and decay", "no more steps than the run has", parts);
        }
        Ok(())
    }

    /// The rate of a step, counted from 0. In a warm-up of n steps, the first has 1/n of the peak and the n-th all of
    /// it. The floor would be reached one step after the last.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let from = match self.decay {
            Decay::Wsd { decay_steps } => self
                .steps
                .saturating_sub(decay_steps)
                .max(self.warmup_steps),
            _ => self.warmup_steps,
        };
        let length = self.steps.saturating_sub(from).max(1) as f64;
        let done = (step.saturating_sub(from) as f64 / length).min(1.0);
        let left = match self.decay {
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Decay::Linear | Decay::Wsd { .. } => 1.0 - done,
            Decay::Constant => 1.0,
        };
        self.peak * (self.floor + (1.0 - self.floor) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, steps: &[u64]) -> Vec<f64> {
        let schedule = Schedule {
            peak: 2.0,
            floor: 0.1,
            warmup_steps: 4,
            steps: 12,
            decay,
        };
        schedule.check().unwrap();
        let rounded = |&step: &u64| (schedule.rate(step) * 1e6).round() / 1e6;
        steps.iter().map(rounded).collect()
    }

    #[test]
    fn rises_and_falls() {
        assert_eq!(
            rates(Decay::Constant, &[0, 1, 3, 4, 11]),
            [0.5, 1.0, 2.0, 2.0, 2.0]
        );
        assert_eq!(
            rates(Decay::Linear, &[3, 4, 8, 12, 99]),
            [2.0, 2.0, 1.1, 0.2, 0.2]
        );
        // 0.2 + 1.8 * (1 + cos(pi x)) / 2 at x = 0, 1/4, 1/2, 1.
        assert_eq!(
            rates(Decay::Cosine, &[4, 6, 8, 12]),
            [2.0, 1.736396, 1.1, 0.2]
        );
        let wsd = Decay::Wsd { decay_steps: 4 };
        assert_eq!(rates(wsd, &[4, 8, 9, 10, 12]), [2.0, 2.0, 1.55, 1.1, 0.2]);
    }

    #[test]
    fn parts_fit_the_whole() {
        let decay = Decay::Wsd { decay_steps: 10 };
        let schedule = Schedule {
            peak: 1.0,
            floor: 0.0,
            warmup_steps: 4,
            steps: 12,
            decay,
        };
        assert!(schedule.check().is_err());
        assert!(
            Schedule {
                floor: 2.0,
                decay: Decay::Linear,
                ..schedule
            }
            .check()
            .is_err()
        );
        assert!(
            Schedule {
                peak: f64::NAN,
                decay: Decay::Linear,
                ..schedule
            }
            .check()
            .is_err()
        );
    }
}
