//! Means with their intervals. From the numerators and denominators of documents (such as nats and tokens) it computes
//! the ratio of their sums, and how much the ratio depends on the choice of documents.
//!
//! The bootstrap (Efron 1979) draws as many documents as there are, with replacement, many times. The interval is from
//! the 2.5th to the 97.5th percentile of the ratios; the standard error is their standard deviation. SplitMix64 draws
//! resample `r` from `seed` and `r` alone, so that all numbers of a set use the same draws.

use serde::Serialize;

/// The share of the resamples within the interval.
const LEVEL: f64 = 0.95;

/// A number and its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    /// Standard deviation of the resamples; None for fewer than two documents.
    pub(crate) standard_error: Option<f64>,
    /// The interval's ends.
    pub(crate) interval: Option<(f64, f64)>,
}

impl Estimate {
    /// The estimate of an increasing function of the number. The function maps the interval, but not the standard
    /// error.
    pub(crate) fn through(self, function: impl Fn(f64) -> f64) -> Self {
        Self {
            value: function(self.value),
            standard_error: None,
            interval: self.interval.map(|(a, b)| (function(a), function(b))),
        }
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            standard_error: self.standard_error.map(|error| error * factor),
            ..self.through(|x| x * factor)
        }
    }
}

/// How documents are resampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bootstrap {
    pub(crate) resamples: usize,
    pub(crate) seed: u64,
}

impl Bootstrap {
    /// The ratio of the sums; None if all denominators are 0. Documents with denominator 0 do not belong to this
    /// measure and are not drawn.
    pub(crate) fn ratio(&self, pairs: &[(f64, f64)]) -> Option<Estimate> {
        let pairs: Vec<(f64, f64)> = pairs.iter().copied().filter(|p| p.1 > 0.0).collect();
        let ratio = |drawn: &mut dyn Iterator<Item = (f64, f64)>| {
            let sum = drawn.fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            sum.0 / sum.1
        };
        if pairs.is_empty() {
            return None;
        }
        let value = ratio(&mut pairs.iter().copied());
        if pairs.len() < 2 || self.resamples < 2 {
            return Some(Estimate {
                value,
                standard_error: None,
                interval: None,
            });
        }
        let mut ratios: Vec<f64> = (0..self.resamples as u64)
            .map(|resample| {
                let mut random = SplitMix::new(self.seed, resample);
                let mut drawn = (0..pairs.len()).map(|_| pairs[random.below(pairs.len())]);
                ratio(&mut drawn)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        let tail = (1.0 - LEVEL) / 2.0;
        Some(Estimate {
            value,
            standard_error: Some((squares / (count - 1.0)).sqrt()),
            interval: Some((percentile(&ratios, tail), percentile(&ratios, 1.0 - tail))),
        })
    }
}

/// A percentile of sorted numbers, interpolated linearly between the two nearest, as NumPy does by default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
pub(crate) struct SplitMix(u64);

impl SplitMix {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The stream with this number.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Self::mix(seed ^ Self::mix(stream.wrapping_add(1))))
    }

    fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GOLDEN);
        Self::mix(self.0)
    }

    /// A random number below `count`. Its bias is at most `count / 2^64`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: Bootstrap = Bootstrap {
        resamples: 1000,
        seed: 3,
    };

    #[test]
    fn a_mean_has_the_standard_error_of_theory() {
        let mut random = SplitMix::new(1, 0);
        let pairs: Vec<(f64, f64)> = (0..400).map(|_| (random.below(1000) as f64, 1.0)).collect();
        let mean = pairs.iter().map(|p| p.0).sum::<f64>() / 400.0;
        let variance = pairs.iter().map(|p| (p.0 - mean).powi(2)).sum::<f64>() / 399.0;
        let expected = (variance / 400.0).sqrt();
        let got = DRAWS.ratio(&pairs).unwrap();
        assert!((got.value - mean).abs() < 1e-9);
        let error = got.standard_error.unwrap();
        // 1,000 resamples give a standard deviation to a relative error of about 1 / sqrt(2,000).
        assert!((error / expected - 1.0).abs() < 0.1, "{error} {expected}");
        let (low, high) = got.interval.unwrap();
        assert!((low - (mean - 1.96 * expected)).abs() < 0.4 * expected);
        assert!((high - (mean + 1.96 * expected)).abs() < 0.4 * expected);
        assert_eq!(DRAWS.ratio(&pairs), Some(got));
    }

    #[test]
    fn what_is_not_measured_is_not_drawn() {
        assert_eq!(DRAWS.ratio(&[]), None);
        assert_eq!(DRAWS.ratio(&[(1.0, 0.0)]), None);
        let one = DRAWS.ratio(&[(6.0, 3.0), (1.0, 0.0)]).unwrap();
        assert_eq!((one.value, one.interval), (2.0, None));
        let same = DRAWS.ratio(&[(2.0, 1.0); 9]).unwrap();
        assert_eq!(same.interval, Some((2.0, 2.0)));
        assert_eq!(same.standard_error, Some(0.0));
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // >>> np.percentile([1., 2., 4., 8.], [2.5, 50, 97.5])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let got = [0.025, 0.5, 0.975].map(|share| percentile(&sorted, share));
        assert!((got[0] - 1.075).abs() < 1e-12 && (got[2] - 7.7).abs() < 1e-12);
        assert_eq!(got[1], 3.0);
    }
}
