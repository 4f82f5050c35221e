//! The keep ratio over the steps: constant, or linear from one ratio to another.

use std::{fmt, str::FromStr};

use rho_selection::KeepRatio;

/// How the keep ratio changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeepSchedule {
    /// Constant.
    Constant(KeepRatio),
    /// Linear from `from` to `to` over `steps` steps, then constant.
    Linear {
        /// The ratio of the first step.
        from: KeepRatio,
        /// The final ratio.
        to: KeepRatio,
        /// Number of steps.
        steps: u64,
    },
}

/// A text that is not a keep schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("expected constant or linear:FROM:TO:STEPS, such as linear:1.0:0.6:1000, got {got}")]
pub struct KeepScheduleError {
    got: String,
}

impl KeepSchedule {
    /// The ratio of a step, counted from 0.
    pub fn at(self, step: u64) -> KeepRatio {
        match self {
            Self::Constant(ratio) => ratio,
            Self::Linear { to, steps, .. } if step >= steps => to,
            Self::Linear { from, to, steps } => {
                let done = step as f64 / steps as f64;
                let ratio = from.get() + (to.get() - from.get()) * done;
                // Clamped against rounding; a number between two ratios is a ratio.
                KeepRatio::new(ratio.clamp(0.0, 1.0)).unwrap_or(to)
            }
        }
    }

    /// Parses a schedule; `constant` uses `ratio`.
    ///
    /// # Errors
    /// If the text is not a schedule.
    pub fn parse(text: &str, ratio: KeepRatio) -> Result<Self, KeepScheduleError> {
        if text == "constant" {
            return Ok(Self::Constant(ratio));
        }
        text.parse()
    }
}

/// Parses a linear schedule.
impl FromStr for KeepSchedule {
    type Err = KeepScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || KeepScheduleError {
            got: text.to_owned(),
        };
        let parts: Vec<&str> = text.split(':').collect();
        let [kind, from, to, steps] = parts[..] else {
            return Err(wrong());
        };
        let steps = steps.parse().ok().filter(|&steps| steps > 0);
        match (kind, from.parse(), to.parse(), steps) {
            ("linear", Ok(from), Ok(to), Some(steps)) => Ok(Self::Linear { from, to, steps }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for KeepSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(ratio) => write!(f, "constant:{ratio}"),
            Self::Linear { from, to, steps } => write!(f, "linear:{from}:{to}:{steps}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_in_a_straight_line_and_stays() {
        let schedule: KeepSchedule = "linear:1.0:0.6:1000".parse().unwrap();
        let at = |step| (schedule.at(step).get() * 1e6).round() / 1e6;
        assert_eq!([0, 250, 500, 1000, 5000].map(at), [1.0, 0.9, 0.8, 0.6, 0.6]);
        assert_eq!(schedule.to_string().parse(), Ok(schedule));
    }

    #[test]
    fn refuses_what_is_none() {
        let ratio = KeepRatio::new(0.6).unwrap();
        assert_eq!(
            KeepSchedule::parse("constant", ratio),
            Ok(KeepSchedule::Constant(ratio))
        );
        for text in [
            "",
            "linear",
            "linear:1:0.6:0",
            "linear:2:0.6:9",
            "cosine:1:0:9",
        ] {
            let error = KeepSchedule::parse(text, ratio).unwrap_err();
            assert!(error.to_string().ends_with(&format!("got {text}")));
        }
    }
}
