//! One dimension of a chart: takes any two numbers, yields an axis that can be drawn. Its ends are finite and apart, its
//! ticks are few and told apart by their labels, and a place on it is never far outside of the plot.
//!
//! Numbers come from files that others may have written: equal ends, a range of 10^308 or of one step of a float, and
//! values that are not finite are all possible.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// Ends beyond this are drawn at it: the difference of two ends must be finite.
const MOST: f64 = 1e300;
/// The least distance of the ends, relative to the larger of them: its labels have at most ten digits.
const LEAST: f64 = 1e-9;

/// How the labels of ticks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    /// As numbers.
    Plain,
    /// Shares, in per cent.
    Percent,
    /// Large numbers: 12.5 k, 3 M, 1.5 G.
    Large,
    /// With their sign.
    Signed,
    /// Exponents of 2, as their powers; ticks are whole exponents.
    Power,
    /// None.
    Without,
}

/// A range with its ticks.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    marks: Marks,
    step: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// A scale over a range with about `most` ticks, never more.
    pub(super) fn new(range: Range<f64>, marks: Marks, most: usize) -> Self {
        let (low, high) = extent(range.start, range.end);
        let most = match marks {
            Marks::Without => 0,
            _ => most.clamp(1, 16),
        };
        let mut step = step(low, high, most);
        if marks == Marks::Power {
            step = step.max(1.0).ceil();
        }
        Self {
            low,
            high,
            marks,
            step,
            ticks: ticks(low, high, step, most),
        }
    }

    /// The scale with the most ticks, up to `most`, whose labels leave `gap` between them on this length. `width`
    /// measures a label.
    pub(super) fn fitting(
        range: Range<f64>,
        marks: Marks,
        most: usize,
        length: f64,
        width: impl Fn(&str) -> f64,
    ) -> Self {
        const GAP: f64 = 12.0;
        let fits = |scale: &Self| {
            let widths = scale.labels().into_iter().map(|label| width(&label));
            let widest = widths.fold(0.0, f64::max);
            (widest + GAP) * scale.ticks.len() as f64 <= length + GAP
        };
        let tried = (2..=most).rev();
        let mut scales = tried.map(|most| Self::new(range.clone(), marks, most));
        scales
            .find(fits)
            .unwrap_or_else(|| Self::new(range.clone(), marks, 1))
    }

    /// The label of each tick.
    pub(super) fn labels(&self) -> Vec<String> {
        self.ticks.iter().map(|&tick| self.label(tick)).collect()
    }

    /// The label of a tick: with as many digits as all ticks need to be told apart.
    pub(super) fn label(&self, tick: f64) -> String {
        let size = self.low.abs().max(self.high.abs());
        match self.marks {
            Marks::Without => String::new(),
            Marks::Percent => format!(
                "{} %",
                number(tick * 100.0, self.step * 100.0, size * 100.0)
            ),
            Marks::Power => {
                let power = tick.clamp(-1000.0, 1000.0).exp2();
                number(power, power, power)
            }
            Marks::Signed => {
                let text = number(tick, self.step, size);
                match text.as_str() {
                    "0" => text,
                    _ if tick > 0.0 => format!("+{text}"),
                    _ => text,
                }
            }
            Marks::Large => {
                let units = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
                let unit = units.into_iter().find(|(unit, _)| tick.abs() >= *unit);
                let (unit, name) = unit.unwrap_or((1.0, ""));
                number(tick / unit, self.step / unit, tick / unit) + name
            }
            Marks::Plain => number(tick, self.step, size),
        }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        // A little outside, so that what is outside is seen to be: not at a distance that a line would take long to reach.
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(-0.2, 1.2)
        };
        let length = f64::from(limit.1) - f64::from(limit.0);
        (f64::from(limit.0) + share * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// Two ends that are finite, ordered and apart.
fn extent(low: f64, high: f64) -> (f64, f64) {
    let bounded = |end: f64| {
        if end.is_nan() {
            0.0
        } else {
            end.clamp(-MOST, MOST)
        }
    };
    let (a, b) = (bounded(low), bounded(high));
    let (low, high) = (a.min(b), a.max(b));
    let size = low.abs().max(high.abs());
    if high - low > (LEAST * size).max(1.0 / MOST) {
        return (low, high);
    }
    let space = if size > 1.0 / MOST { 0.1 * size } else { 0.5 };
    (low - space, high + space)
}

/// The least round step, 1, 2 or 5 times a power of ten, of which a range has at most `most` multiples.
fn step(low: f64, high: f64, most: usize) -> f64 {
    let least = ((high - low) / most.max(1) as f64).log10().floor();
    let units = (0..3).map(|power| 10f64.powf(least + f64::from(power)));
    let mut steps = units.flat_map(|unit| [1.0, 2.0, 5.0].map(|digit| digit * unit));
    let found = steps.find(|&step| ticks(low, high, step, most + 1).len() <= most);
    found.unwrap_or(high - low)
}

/// The multiples of a step in a range, at most `most`.
fn ticks(low: f64, high: f64, step: f64, most: usize) -> Vec<f64> {
    // Rounding must not lose a tick at an end.
    let slack = 1e-9;
    let first = (low / step - slack).ceil();
    if !first.is_finite() {
        return Vec::new();
    }
    let ticks = (0..most).map(|i| (first + i as f64) * step);
    let ticks = ticks.take_while(|tick| *tick <= high + slack * step);
    ticks
        .map(|tick| if tick == 0.0 { 0.0 } else { tick })
        .collect()
}

/// A number of this size, to the digits in which neighbours that are a step apart differ. Scientific if it is much
/// larger or smaller than 1.
fn number(value: f64, step: f64, size: f64) -> String {
    if value.abs() < 1e-6 * step {
        return "0".to_owned();
    }
    let digits = |unit: f64| (-(step / unit).log10()).ceil().clamp(0.0, 10.0) as usize;
    if (1e-3..1e6).contains(&size.abs()) {
        return plain(&format!("{value:.*}", digits(1.0)));
    }
    let unit = 10f64.powf(value.abs().log10().floor());
    let text = format!("{value:.*e}", digits(unit));
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", plain(digits)),
        None => text,
    }
}

/// Digits without zeros at the end.
fn plain(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn marks(range: Range<f64>, marks: Marks, most: usize) -> Vec<String> {
        Scale::new(range, marks, most).labels()
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        assert_eq!(marks(0.0..6.0, Marks::Plain, 4), ["0", "2", "4", "6"]);
        assert_eq!(
            marks(4.337..4.349, Marks::Plain, 6),
            ["4.338", "4.34", "4.342", "4.344", "4.346", "4.348"]
        );
        assert_eq!(
            marks(1.0..1.0001, Marks::Plain, 6),
            ["1", "1.00002", "1.00004", "1.00006", "1.00008", "1.0001"]
        );
        assert_eq!(
            marks(0.0..3e-5, Marks::Plain, 4),
            ["0", "1e-5", "2e-5", "3e-5"]
        );
        assert_eq!(
            marks(0.0..2e6, Marks::Large, 5),
            ["0", "500 k", "1 M", "1.5 M", "2 M"]
        );
        assert_eq!(
            marks(0.0..1.0, Marks::Percent, 6),
            ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
        );
        assert_eq!(marks(-0.1..0.1, Marks::Signed, 3), ["-0.1", "0", "+0.1"]);
        assert_eq!(
            marks(0.0..11.0, Marks::Power, 12)[..4],
            ["1", "2", "4", "8"]
        );
        assert!(marks(0.0..5.0, Marks::Without, 5).is_empty());
    }

    /// Whatever the ends, there are a few ticks, inside of them, with different and short labels.
    #[test]
    fn every_range_has_an_axis() {
        let near = f64::from_bits(1f64.to_bits() + 1);
        let numbers = [
            0.0,
            1.0,
            near,
            -1.0,
            4.34,
            1e-5,
            5e-324,
            -1e-308,
            3e38,
            1e300,
            1e308,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let kinds = [
            Marks::Plain,
            Marks::Percent,
            Marks::Large,
            Marks::Signed,
            Marks::Power,
        ];
        for (low, high) in numbers.iter().flat_map(|a| numbers.map(|b| (*a, b))) {
            for kind in kinds {
                for most in [1, 2, 6, 12, usize::MAX] {
                    let scale = Scale::new(low..high, kind, most);
                    let what = format!("{low:e} {high:e} {kind:?} {most}: {scale:?}");
                    let (from, to) = (scale.low, scale.high);
                    assert!(from.is_finite() && to.is_finite() && from < to, "{what}");
                    assert!(scale.ticks.len() <= most.min(16), "{what}");
                    assert!(
                        most < 6 || kind == Marks::Power || scale.ticks.len() > 1,
                        "{what}"
                    );
                    let inside =
                        |tick: &f64| *tick >= from - scale.step && *tick <= to + scale.step;
                    assert!(scale.ticks.iter().all(inside), "{what}");
                    let labels = scale.labels();
                    assert!(
                        labels.iter().all(|label| label.len() < 24),
                        "{what}: {labels:?}"
                    );
                    let different: BTreeSet<&String> = labels.iter().collect();
                    // Powers beyond what a float holds are drawn as the last one.
                    let apart = kind == Marks::Power || different.len() == labels.len();
                    assert!(apart, "{what}: {labels:?}");
                    for value in numbers {
                        let place = scale.map(&value, (100, 1100));
                        assert!((-200..=1400).contains(&place), "{what}: {value} at {place}");
                    }
                    assert_eq!(scale.map(&from, (100, 1100)), 100, "{what}");
                    assert_eq!(scale.map(&to, (1100, 100)), 100, "{what}");
                }
            }
        }
    }

    #[test]
    fn labels_do_not_overlap() {
        for length in [1.0, 90.0, 230.0, 500.0] {
            for range in [0.0..1.0, 4.3371..4.3379, 0.0..3e7, -1e-9..1e300] {
                let width = |label: &str| 8.0 * label.len() as f64;
                let scale = Scale::fitting(range, Marks::Plain, 8, length, width);
                let labels = scale.labels();
                let widest = labels.iter().map(|label| width(label)).fold(0.0, f64::max);
                let all = (widest + 12.0) * labels.len() as f64;
                assert!(
                    labels.len() <= 1 || all <= length + 12.0,
                    "{length} {scale:?}"
                );
            }
        }
    }
}
