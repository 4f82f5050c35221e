//! A histogram of a score: bars, with the kept tokens below the dropped ones, and thresholds as lines or bands.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::letters::{Keep, SMALL, fit, text_width};
use super::scale::Marks;
use super::{
    BAND, Chart, DROPPED, Frame, HALO, INK, KEPT, MUTED, Table, Threshold, anchored, line, percent,
    px, short, text,
};
use crate::numbers::grouped;

/// The tokens whose score is in a range.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Bin {
    /// The lower end, inclusive.
    pub(in crate::report) from: f64,
    /// The upper end, exclusive.
    pub(in crate::report) to: f64,
    /// The number of tokens.
    pub(in crate::report) tokens: u64,
    /// The number of kept tokens; none without a mask.
    pub(in crate::report) kept: Option<u64>,
}

/// A histogram.
#[derive(Debug)]
pub(in crate::report) struct Histogram<'a> {
    /// The name of the score.
    pub(in crate::report) score: &'a str,
    /// Adjacent bins, in ascending order.
    pub(in crate::report) bins: &'a [Bin],
    /// The number of tokens below and above all bins.
    pub(in crate::report) outside: (u64, u64),
    /// The thresholds between kept and dropped tokens.
    pub(in crate::report) thresholds: &'a [Threshold],
}

/// The height of a threshold's label.
const LABEL: f64 = 16.0;

impl Histogram<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    fn total(&self) -> u64 {
        let inside = self.bins.iter().map(|bin| bin.tokens);
        let all = inside.chain([self.outside.0, self.outside.1]);
        all.fold(0, u64::saturating_add)
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let total = self.total().max(1) as f64;
        let share = |tokens: u64| tokens as f64 / total;
        let most = self.bins.iter().map(|bin| bin.tokens).max().unwrap_or(0);
        let top = share(most).max(1e-6) * 1.06;
        let first = self.bins.first().map_or(0.0, |bin| bin.from);
        let last = self.bins.last().map_or(1.0, |bin| bin.to);
        let title = format!("{}, nats", self.score);
        let axes = Axes {
            x: Axis {
                title: &title,
                range: first..last,
                marks: Marks::Plain,
                grid: false,
            },
            y: Axis {
                title: "share of scored tokens",
                range: 0.0..top,
                marks: Marks::Percent,
                grid: true,
            },
            height: frame.choose(210.0, 170.0),
            around: [
                AROUND,
                AROUND,
                AROUND + LABEL * self.thresholds.len() as f64,
            ],
            legend: Vec::new(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            let bands = self.thresholds.iter().filter(|t| t.low < t.high);
            chart.draw_series(bands.map(|t| {
                let (low, high) = (t.low.max(first), t.high.min(last));
                Rectangle::new([(low, 0.0), (high.max(low), top)], BAND.mix(0.45).filled())
            }))?;
            let gap = (last - first) / self.bins.len().max(1) as f64 * 0.06;
            for bin in self.bins {
                let (left, right) = (bin.from + gap, bin.to - gap);
                // Kept tokens at the bottom, dropped ones on top; without a mask one grey bar.
                let parts = match bin.kept {
                    Some(kept) => vec![(KEPT, 0, kept), (DROPPED, kept, bin.tokens)],
                    None => vec![(MUTED, 0, bin.tokens)],
                };
                let parts = parts.into_iter().filter(|(_, low, high)| low < high);
                chart.draw_series(parts.map(|(colour, low, high)| {
                    let corners = [(left, share(low)), (right, share(high))];
                    Rectangle::new(corners, colour.filled())
                }))?;
            }
            for (i, threshold) in self.thresholds.iter().enumerate() {
                // The label is above the plot, in a row of its own, as near to its line as the width allows.
                let label = threshold.label();
                let label = fit(&label, frame.width(), SMALL, Keep::Start);
                let (_, edge) = chart.backend_coord(&(first, top));
                let middle = edge - px(LABEL * (self.thresholds.len() - i) as f64 - LABEL / 2.0);
                let ends = [threshold.low, threshold.high];
                for at in ends.into_iter().filter(|x| (first..=last).contains(x)) {
                    let (x, bottom) = chart.backend_coord(&(at, 0.0));
                    for (colour, width) in HALO {
                        let ends = vec![(x, bottom), (x, middle + px(LABEL / 2.0 - 1.0))];
                        area.draw(&PathElement::new(ends, line(colour, width)))?;
                    }
                }
                let at = (threshold.high.min(last) + threshold.low.max(first)) / 2.0;
                let half = px(text_width(&label, SMALL) / 2.0);
                let x = chart.backend_coord(&(at, top)).0;
                let x = x.min(px(frame.width()) - half).max(half);
                let style = anchored(&text(SMALL, INK), HPos::Center, VPos::Center);
                area.draw(&Text::new(label.into_owned(), (x, middle), style))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let total = self.total();
        let fullest = self.bins.iter().max_by_key(|bin| bin.tokens);
        let mut message = format!(
            "Histogram of the {} of {} tokens",
            self.score,
            grouped(total)
        );
        if let Some(bin) = fullest.filter(|bin| bin.tokens > 0) {
            let share = percent(bin.tokens as f64 / total as f64);
            let (from, to) = (short(bin.from), short(bin.to));
            message += &format!("; the fullest bin, {from} to {to} nats, holds {share}");
        }
        for threshold in self.thresholds {
            message += &format!("; kept by {} nats", threshold.label());
        }
        message + "."
    }

    fn table(&self) -> Table {
        let total = self.total().max(1) as f64;
        let mut table = Table::new(["nats", "tokens", "share", "kept"]);
        let mut row = |range: String, tokens: u64, kept: Option<String>| {
            table.row([
                range,
                grouped(tokens),
                percent(tokens as f64 / total),
                kept.unwrap_or_default(),
            ]);
        };
        if self.outside.0 > 0 {
            let first = self.bins.first().map_or(0.0, |bin| bin.from);
            row(format!("under {}", short(first)), self.outside.0, None);
        }
        for bin in self.bins.iter().filter(|bin| bin.tokens > 0) {
            let kept = bin
                .kept
                .map(|kept| percent(kept as f64 / bin.tokens as f64));
            row(
                format!("{} to {}", short(bin.from), short(bin.to)),
                bin.tokens,
                kept,
            );
        }
        if self.outside.1 > 0 {
            let last = self.bins.last().map_or(0.0, |bin| bin.to);
            row(format!("{} and over", short(last)), self.outside.1, None);
        }
        table
    }
}
