//! A bar chart of shares, one bar for each named thing: the share from the left, the rest hatched if it means
//! something, and a line at a share to compare with.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::letters::{Keep, SMALL, fit, text_width};
use super::scale::Marks;
use super::{
    Chart, DROPPED, Frame, HALO, INK, KEPT, MUTED, Table, anchored, line, percent, px, text,
};

/// One bar.
#[derive(Debug, Clone)]
pub(in crate::report) struct Bar {
    /// The name beside the bar.
    pub(in crate::report) name: String,
    /// The length, from 0 to 1; none if it is unknown.
    pub(in crate::report) share: Option<f64>,
    /// A share to compare with, drawn as a line across the bar.
    pub(in crate::report) mark: Option<f64>,
    /// Further table cells, one for each of [`Bars::columns`].
    pub(in crate::report) cells: Vec<String>,
}

/// A bar chart.
#[derive(Debug)]
pub(in crate::report) struct Bars<'a> {
    /// What one bar stands for, such as "source".
    pub(in crate::report) of: &'a str,
    /// What the length of a bar means: the title of the x axis.
    pub(in crate::report) length: &'a str,
    /// The bars, from the top.
    pub(in crate::report) bars: &'a [Bar],
    /// The overall share.
    pub(in crate::report) all: Option<f64>,
    /// Whether bars are of kept tokens, and the rest, up to 1, of dropped ones.
    pub(in crate::report) rest: bool,
    /// The headings of the further table cells.
    pub(in crate::report) columns: Vec<String>,
    /// The most bars drawn in the chart; the table has all.
    pub(in crate::report) drawn: usize,
}

/// The most room for names beside the bars of the wide drawing. In the narrow one they are above the bars.
const NAMES: f64 = 190.0;
/// The height of a row: bar, space around it, and in the narrow drawing its name.
const WIDE_ROW: f64 = 20.0;
const NARROW_ROW: f64 = 36.0;
/// The height of a bar.
const BAR: f64 = 14.4;

impl Bars<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let bars = &self.bars[..self.bars.len().min(self.drawn)];
        let count = bars.len().max(1);
        let row = frame.choose(WIDE_ROW, NARROW_ROW);
        let small = |text: &str| text_width(text, SMALL);
        let names = bars.iter().map(|bar| small(&bar.name)).fold(0.0, f64::max);
        let names = names.min(NAMES);
        let values = bars.iter().map(|bar| small(&told(bar.share)));
        let values = values.fold(small("100.0 %"), f64::max) + 10.0;
        let overall = if self.all.is_some() { 20.0 } else { AROUND };
        let axes = Axes {
            x: Axis {
                title: self.length,
                range: 0.0..1.0,
                marks: Marks::Percent,
                grid: true,
            },
            y: Axis::of_rows(count),
            height: row * count as f64,
            around: frame.choose([names + 10.0, values, overall], [AROUND, AROUND, overall]),
            legend: Vec::new(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            let (kept, rest) = match self.rest {
                true => (KEPT, Some(DROPPED)),
                false => (MUTED, None),
            };
            for (i, bar) in bars.iter().enumerate() {
                // In rows from the bottom.
                let low = (count - i) as f64 - 1.0 + 2.0 / row;
                let high = low + BAR / row;
                if let Some(share) = bar.share.map(|share| share.clamp(0.0, 1.0)) {
                    let parts = [(0.0, share, Some(kept)), (share, 1.0, rest)].into_iter();
                    let drawn = parts.filter_map(|(from, to, colour)| {
                        let corners = [(from, low), (to, high)];
                        (from < to).then_some(Rectangle::new(corners, colour?.filled()))
                    });
                    chart.draw_series(drawn)?;
                }
                if let Some(mark) = bar.mark.filter(|mark| mark.is_finite()) {
                    for (colour, width) in HALO {
                        let ends = vec![(mark, low - 1.5 / row), (mark, high + 1.5 / row)];
                        chart.draw_series([PathElement::new(ends, line(colour, width))])?;
                    }
                }
                let (left, bottom) = chart.backend_coord(&(0.0, low));
                let (right, _) = chart.backend_coord(&(1.0, low));
                let beside = bottom - px(BAR / 2.0);
                let above = bottom - px(BAR + 9.0);
                let width = f64::from(right - left) / f64::from(super::SCALE);
                let (name, value) = match frame {
                    Frame::Wide => (
                        ((left - px(8.0), beside), HPos::Right, names),
                        ((right + px(8.0), beside), HPos::Left),
                    ),
                    Frame::Narrow => (
                        ((left, above), HPos::Left, width - values),
                        ((right, above), HPos::Right),
                    ),
                };
                let style = anchored(&text(SMALL, INK), name.1, VPos::Center);
                let words = fit(&bar.name, name.2, SMALL, Keep::End).into_owned();
                area.draw(&Text::new(words, name.0, style))?;
                let style = anchored(&text(SMALL, INK), value.1, VPos::Center);
                area.draw(&Text::new(told(bar.share), value.0, style))?;
            }
            if let Some(all) = self.all {
                let ends = [(all, 0.0), (all, count as f64)];
                for (colour, width) in HALO {
                    let dashed = DashedLineSeries::new(ends, px(5.0), px(4.0), line(colour, width));
                    chart.draw_series(dashed)?;
                }
                let words = format!("overall {}", percent(all));
                let half = px(text_width(&words, SMALL) / 2.0);
                let (x, y) = chart.backend_coord(&(all, count as f64));
                let x = x.min(px(frame.width()) - half).max(half);
                let style = anchored(&text(SMALL, INK), HPos::Center, VPos::Center);
                area.draw(&Text::new(words, (x, y - px(10.0)), style))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let known = self
            .bars
            .iter()
            .filter_map(|bar| Some((&bar.name, bar.share?)));
        let most = known.clone().max_by(|a, b| a.1.total_cmp(&b.1));
        let least = known.min_by(|a, b| a.1.total_cmp(&b.1));
        let mut message = format!("{} by {}", self.length, self.of);
        if let Some(all) = self.all {
            message += &format!(": {} overall", percent(all));
        }
        if let (Some((most, high)), Some((least, low))) = (most, least) {
            let (high, low) = (percent(high), percent(low));
            message += &format!("; most for {most}, {high}; least for {least}, {low}");
        }
        message + "."
    }

    fn table(&self) -> Table {
        let columns = [self.of, self.length].map(str::to_owned).into_iter();
        let rows = self.bars.iter().map(|bar| {
            let cells = [bar.name.clone(), told(bar.share)].into_iter();
            cells.chain(bar.cells.iter().cloned()).collect()
        });
        Table {
            header: columns.chain(self.columns.iter().cloned()).collect(),
            rows: rows.collect(),
        }
    }
}

fn told(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_cut() {
        let bar = |name: &str, share| Bar {
            name: name.to_owned(),
            share,
            mark: Some(0.5),
            cells: Vec::new(),
        };
        let long = "a/very/long/path/of/a/corpus/shard.jsonl";
        let bars = [bar("<script>&\"", Some(1.0)), bar(long, None)];
        let chart = Bars {
            of: "source",
            length: "share kept",
            bars: &bars,
            all: Some(1.0),
            rest: true,
            columns: Vec::new(),
            drawn: 30,
        };
        let chart = chart.chart().unwrap();
        assert!(!chart.wide.contains("<script"), "{}", chart.wide);
        assert!(chart.wide.contains("&lt;script&gt;&amp;&quot;"));
        assert!(chart.wide.contains("…"), "{}", chart.wide);
        assert_eq!(chart.table.rows[1], [long, "–"]);
    }
}
