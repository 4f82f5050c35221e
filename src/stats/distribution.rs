//! The distribution of the scores of many tokens in bounded memory: count, mean, percentiles, histograms.
//!
//! Scores are counted in narrow bins: from 1/64 on, 256 per doubling (the upper bits of the floating-point number);
//! nearer to zero, bins of width 2^-14. A percentile is interpolated in the bin of its rank, so it is off by less than
//! the width of that bin: [`RELATIVE_ERROR`] of its value or [`ABSOLUTE_ERROR`], whichever is more. Counts are exact,
//! and means are exact to 2^-32 nats: sums are sums of integers, so they do not depend on the order.

use super::bins::Bins;

/// A percentile is off by less than this share of its value ...
pub(crate) const RELATIVE_ERROR: f64 = 1.0 / 256.0;
/// ... or by less than this, if that is more.
pub(crate) const ABSOLUTE_ERROR: f64 = 1.0 / 16_384.0;

/// The lowest score that is counted by its bits: 1/64.
const LOWEST: f32 = 0.015_625;
/// Bits dropped from a score: 8 of the 23 bits of its fraction stay.
const SHIFT: u32 = 15;
/// Bins below [`LOWEST`].
const LINEAR: u32 = 256;

/// A sum of finite scores, and their number.
///
/// In units of 2^-32, in 128 bits: 2^64 scores of up to 2^31 nats fit. Greater scores count as 2^31.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    units: i128,
    pub(crate) count: u64,
}

impl Sum {
    const UNIT: f64 = 1.0 / 4_294_967_296.0;

    /// Adds a finite score.
    pub(crate) fn add(&mut self, score: f32) {
        // The cast saturates at the bounds of 64 bits.
        self.units += i128::from((f64::from(score) / Self::UNIT) as i64);
        self.count += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.units += other.units;
        self.count += other.count;
    }

    /// None without scores.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.units as f64 * Self::UNIT / self.count as f64)
    }

    /// The mean of these scores without `others`, which must be among them.
    pub(crate) fn mean_without(&self, others: &Self) -> Option<f64> {
        let rest = Self {
            units: self.units - others.units,
            count: self.count.saturating_sub(others.count),
        };
        rest.mean()
    }
}

/// The distribution of a score.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Distribution {
    pub(crate) sum: Sum,
    /// The number of scores that are -infinity, and +infinity.
    infinite: (u64, u64),
    range: Option<(f32, f32)>,
    bins: Bins,
}

impl Distribution {
    /// Counts a score that is not NaN.
    pub(crate) fn add(&mut self, score: f32) {
        if score.is_infinite() {
            match score > 0.0 {
                true => self.infinite.1 += 1,
                false => self.infinite.0 += 1,
            }
            return;
        }
        self.sum.add(score);
        match &mut self.range {
            Some((least, most)) => {
                *least = least.min(score);
                *most = most.max(score);
            }
            none => *none = Some((score, score)),
        }
        self.bins.add(bin(score), 1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.infinite.0 += other.infinite.0;
        self.infinite.1 += other.infinite.1;
        self.range = match (self.range, other.range) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        for (bin, count) in other.bins.iter() {
            self.bins.add(bin, count);
        }
    }

    /// The number of scores, including infinite ones.
    pub(crate) fn count(&self) -> u64 {
        self.sum.count + self.infinite()
    }

    /// The number of infinite scores.
    pub(crate) fn infinite(&self) -> u64 {
        self.infinite.0 + self.infinite.1
    }

    /// The lowest and the highest finite score.
    pub(crate) fn range(&self) -> Option<(f32, f32)> {
        self.range
    }

    /// The score of rank `ceil(share * n)` among `n`, counted from 1 (NumPy's `inverted_cdf`), within the error of this
    /// module. None without scores.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1)) - 1;
        if count == 0 {
            return None;
        }
        if rank < self.infinite.0 {
            return Some(f64::NEG_INFINITY);
        }
        let mut below = self.infinite.0;
        for (bin, inside) in self.bins.iter() {
            if rank < below + inside {
                let (low, high) = (low(bin), low(bin + 1));
                let place = (rank - below) as f64 + 0.5;
                let score = low + (high - low) * place / inside as f64;
                let (least, most) = self.range?;
                return Some(score.clamp(f64::from(least), f64::from(most)));
            }
            below += inside;
        }
        Some(f64::INFINITY)
    }

    /// Counts scores in `bins` intervals of `width` starting at `from`, and those below and above. Exact for scores
    /// from 0 to 64 if the intervals end at multiples of 1/4. Otherwise a score within the error of this module from
    /// the end of an interval may count in its neighbour.
    pub(crate) fn histogram(&self, from: f64, width: f64, bins: usize) -> Histogram {
        let mut histogram = Histogram {
            from,
            width,
            counts: vec![0; bins],
            below: self.infinite.0,
            above: self.infinite.1,
        };
        for (bin, count) in self.bins.iter() {
            let middle = (low(bin) + low(bin + 1)) / 2.0;
            let place = ((middle - from) / width).floor();
            match histogram.counts.get_mut(place.max(0.0) as usize) {
                _ if place < 0.0 => histogram.below += count,
                Some(here) => *here += count,
                None => histogram.above += count,
            }
        }
        histogram
    }
}

/// Counts of intervals of equal width.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Histogram {
    /// The start of the first interval, in nats.
    pub(crate) from: f64,
    /// The width of each interval, in nats.
    pub(crate) width: f64,
    pub(crate) counts: Vec<u64>,
    /// The number of scores below the first interval.
    pub(crate) below: u64,
    /// The number of scores above the last interval.
    pub(crate) above: u64,
}

/// The bin of a finite score; bins are in the order of the scores.
fn bin(score: f32) -> i32 {
    let size = score.abs();
    let place = match size < LOWEST {
        true => (size * (LINEAR as f32 / LOWEST)) as u32,
        false => (size.to_bits() >> SHIFT) - (LOWEST.to_bits() >> SHIFT) + LINEAR,
    };
    match score < 0.0 {
        true => -1 - place.cast_signed(),
        false => place.cast_signed(),
    }
}

/// The lower bound of a bin.
fn low(bin: i32) -> f64 {
    let start = |place: u32| match place.checked_sub(LINEAR) {
        None => f64::from(place) * f64::from(LOWEST) / f64::from(LINEAR),
        Some(more) => f64::from(f32::from_bits(
            (more + (LOWEST.to_bits() >> SHIFT)) << SHIFT,
        )),
    };
    match u32::try_from(bin) {
        Ok(place) => start(place),
        // A negative bin mirrors a positive one.
        Err(_) => -start(bin.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_hold_their_scores() {
        let mut scores: Vec<f32> = (0..4000).map(|i| (i as f32).powi(3) * 1e-9).collect();
        scores.extend([
            f32::MIN_POSITIVE,
            1e-30,
            0.015_624_999,
            0.015_625,
            1.0,
            15.999_999,
            16.0,
            3e38,
        ]);
        scores.extend(scores.clone().iter().map(|score| -score));
        scores.sort_by(f32::total_cmp);
        let mut last = i32::MIN;
        for score in scores {
            let bin = bin(score);
            assert!(bin >= last, "{score}");
            last = bin;
            let (low, high, score) = (low(bin), low(bin + 1), f64::from(score));
            assert!(low <= score && score <= high, "{low} {score} {high}");
            assert!(high - low <= ABSOLUTE_ERROR.max(score.abs() * RELATIVE_ERROR) + 1e-12);
        }
    }

    #[test]
    fn of_nothing_and_of_infinities() {
        let mut distribution = Distribution::default();
        assert_eq!(distribution.percentile(0.5), None);
        assert_eq!(distribution.sum.mean(), None);
        for score in [f32::INFINITY, f32::NEG_INFINITY, 2.0] {
            distribution.add(score);
        }
        assert_eq!(distribution.sum.mean(), Some(2.0));
        let percentiles = [0.01, 0.5, 0.99].map(|share| distribution.percentile(share).unwrap());
        assert_eq!(percentiles, [f64::NEG_INFINITY, 2.0, f64::INFINITY]);
        let histogram = distribution.histogram(0.0, 0.25, 20);
        assert_eq!(
            (histogram.below, histogram.counts[8], histogram.above),
            (1, 1, 1)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        #[test]
        fn as_sorting_says(
            scores in prop::collection::vec(prop_oneof![-9.0f32..20.0, 0.0f32..0.1, (0u8..5).prop_map(f32::from)], 1..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(scores.len());
            let of = |scores: &[f32]| {
                let mut distribution = Distribution::default();
                scores.iter().for_each(|&score| distribution.add(score));
                distribution
            };
            let whole = of(&scores);
            let (mut a, b) = (of(&scores[cut..]), of(&scores[..cut]));
            a.merge(&b);
            // Empty bins at the ends may differ; results do not.
            assert_eq!(a.sum, whole.sum);
            assert_eq!(a.range(), whole.range());
            let mean = scores.iter().map(|&s| f64::from(s)).sum::<f64>() / scores.len() as f64;
            assert!((whole.sum.mean().unwrap() - mean).abs() < 1e-8);
            let mut sorted = scores.clone();
            sorted.sort_by(f32::total_cmp);
            for share in [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] {
                let rank = (share * scores.len() as f64).ceil() as usize - 1;
                let (exact, got) = (f64::from(sorted[rank]), whole.percentile(share).unwrap());
                assert!((exact - got).abs() <= ABSOLUTE_ERROR.max(exact.abs() * RELATIVE_ERROR), "{exact} {got}");
                assert_eq!(a.percentile(share), whole.percentile(share));
            }
            let histogram = whole.histogram(0.0, 0.25, 60);
            for (i, &count) in histogram.counts.iter().enumerate() {
                let (from, to) = (i as f32 * 0.25, (i + 1) as f32 * 0.25);
                let exact = scores.iter().filter(|&&s| from <= s && s < to).count() as u64;
                assert_eq!(count, exact, "{from}");
            }
        }
    }
}
