//! Means over a few seeds with Student's t intervals.

use crate::results::Mean;

/// The coverage of an interval.
const LEVEL: f64 = 0.95;

impl Mean {
    /// The mean of `values`; None for no values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)?;
        let half_width = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = (squares / (count - 1.0)).sqrt();
            quantile(values.len() as u32 - 1) * deviation / count.sqrt()
        });
        Some(Self { mean, half_width })
    }

    /// Whether the interval contains 0, so that chance explains the difference. None without an interval.
    pub(super) fn holds_zero(self) -> Option<bool> {
        self.half_width.map(|half| self.mean.abs() <= half)
    }
}

/// The t that bounds the interval, for `freedom` degrees of freedom.
fn quantile(freedom: u32) -> f64 {
    let (mut low, mut high) = (0.0, 1e3);
    // Bisect until the two are neighbouring numbers.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        match within(middle, freedom) < LEVEL {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// The probability of -t to t: Abramowitz and Stegun, 26.7.3 and 26.7.4.
fn within(t: f64, freedom: u32) -> f64 {
    let n = f64::from(freedom);
    let angle = (t / n.sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // cos + 2/3 cos^3 + 2*4/(3*5) cos^5 ..., or 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 ...
    let (mut term, mut sum) = if odd { (cosine, 0.0) } else { (1.0, 0.0) };
    let (mut k, last) = if odd { (1, freedom) } else { (0, freedom - 1) };
    while k < last {
        sum += term;
        let (numerator, denominator) = (f64::from(k + 1), f64::from(k + 2));
        term *= cosine * cosine * numerator / denominator;
        k += 2;
    }
    match odd {
        true => std::f64::consts::FRAC_2_PI * (angle + sine * sum),
        false => sine * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // >>> [scipy.stats.t.ppf(0.975, n) for n in (1, 2, 3, 4, 9, 30, 120)]
        let expected = [
            (1, 12.706_204_736_174_7),
            (2, 4.302_652_729_749_46),
            (3, 3.182_446_305_283_71),
            (4, 2.776_445_105_197_79),
            (9, 2.262_157_162_798_2),
            (30, 2.042_272_456_301_24),
            (120, 1.979_930_405_082_44),
        ];
        for (freedom, expected) in expected {
            let got = quantile(freedom);
            assert!((got - expected).abs() < 1e-9, "{freedom}: {got}");
        }
    }

    #[test]
    fn means() {
        assert_eq!(Mean::of(&[]), None);
        let one = Mean::of(&[2.0]).unwrap();
        assert_eq!(
            (one.mean, one.half_width, one.holds_zero()),
            (2.0, None, None)
        );
        let same = Mean::of(&[0.5, 0.5]).unwrap();
        assert_eq!(same.holds_zero(), Some(false));
        let wide = Mean::of(&[-1.0, 2.0]).unwrap();
        assert_eq!(wide.holds_zero(), Some(true));
        assert!((wide.half_width.unwrap() - quantile(1) * 1.5).abs() < 1e-12);
    }
}
