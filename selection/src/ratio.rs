//! The keep ratio k and the number of tokens it keeps.

use std::{fmt, str::FromStr};

/// The share of scored tokens that a selection keeps, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct KeepRatio(f64);

/// A text or number that is not a keep ratio.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("expected a keep ratio between 0 and 1, got {got}")]
pub struct RatioError {
    got: String,
}

impl KeepRatio {
    /// A ratio between 0 and 1, inclusive.
    ///
    /// # Errors
    /// If the number is outside 0 to 1, or NaN.
    pub fn new(ratio: f64) -> Result<Self, RatioError> {
        if (0.0..=1.0).contains(&ratio) {
            Ok(Self(ratio))
        } else {
            Err(RatioError {
                got: ratio.to_string(),
            })
        }
    }

    /// The ratio as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// How many of `scored` tokens are kept: `round(ratio * scored)`, halves rounded up.
    pub fn kept(self, scored: usize) -> usize {
        (self.0 * scored as f64).round() as usize
    }
}

impl FromStr for KeepRatio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        let got = || RatioError {
            got: text.to_owned(),
        };
        text.parse()
            .map_err(|_| got())
            .and_then(|ratio| Self::new(ratio).map_err(|_| got()))
    }
}

impl fmt::Display for KeepRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_count() {
        let kept = |ratio, scored| KeepRatio::new(ratio).unwrap().kept(scored);
        assert_eq!(
            [
                kept(0.7, 4),
                kept(0.7, 5),
                kept(0.6, 10),
                kept(0.0, 9),
                kept(1.0, 9)
            ],
            [3, 4, 6, 0, 9]
        );
        assert_eq!(kept(1.0, 0), 0);
    }

    #[test]
    fn refuses_what_is_no_share() {
        for text in ["1.5", "-0.1", "NaN", "inf", "many", ""] {
            let error = text.parse::<KeepRatio>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("expected a keep ratio between 0 and 1, got {text}")
            );
        }
    }
}
