//! A bar chart of shares, one bar for each named thing: the share from the left, the rest hatched if it means
//! something, and a line at a share to compare with.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axes, Axis};
use super::{Chart, DROPPED, HALO, INK, KEPT, Table, anchored, line, percent, px, svg, text};

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
    /// Whether the rest of each bar, up to 1, is drawn.
    pub(in crate::report) rest: bool,
    /// The headings of the further table cells.
    pub(in crate::report) columns: Vec<String>,
    /// The most bars drawn in the chart; the table has all.
    pub(in crate::report) drawn: usize,
}

/// The most characters of a name beside its bar; the table has it in full.
const NAME: usize = 30;

impl Bars<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    fn draw(&self) -> anyhow::Result<String> {
        let bars = &self.bars[..self.bars.len().min(self.drawn)];
        let count = bars.len().max(1);
        let height = 68 + 20 * u32::try_from(count)?;
        svg((640, height), |area| {
            let x = Axis {
                title: self.length,
                range: 0.0..1.0,
                marks: 6,
                format: &|x| format!("{:.0} %", x * 100.0),
                room: 40.0,
                grid: true,
            };
            let axes = Axes {
                x,
                y: Axis::of_rows(count),
                around: [208.0, 72.0, 20.0],
            };
            let mut chart = axes.draw(area)?;
            for (i, bar) in bars.iter().enumerate() {
                let low = (count - i) as f64 - 0.86;
                let high = low + 0.72;
                if let Some(share) = bar.share.map(|share| share.clamp(0.0, 1.0)) {
                    let parts = [(0.0, share, KEPT), (share, 1.0, DROPPED)];
                    let drawn = |(from, to, colour): &(f64, f64, _)| {
                        from < to && (self.rest || *colour == KEPT)
                    };
                    let parts = parts.into_iter().filter(drawn);
                    chart.draw_series(parts.map(|(from, to, colour)| {
                        Rectangle::new([(from, low), (to, high)], colour.filled())
                    }))?;
                }
                if let Some(mark) = bar.mark {
                    for (colour, width) in HALO {
                        let ends = vec![(mark, low - 0.06), (mark, high + 0.06)];
                        chart.draw_series([PathElement::new(ends, line(colour, width))])?;
                    }
                }
                let (left, y) = chart.backend_coord(&(0.0, low + 0.36));
                let (right, _) = chart.backend_coord(&(1.0, low));
                let style = anchored(&text(12.5, INK), HPos::Right, VPos::Center);
                area.draw(&Text::new(cut(&bar.name), (left - px(8.0), y), style))?;
                let style = anchored(&text(12.5, INK), HPos::Left, VPos::Center);
                area.draw(&Text::new(told(bar.share), (right + px(8.0), y), style))?;
            }
            if let Some(all) = self.all {
                let ends = [(all, 0.0), (all, count as f64)];
                for (colour, width) in HALO {
                    let dashed = DashedLineSeries::new(ends, px(5.0), px(4.0), line(colour, width));
                    chart.draw_series(dashed)?;
                }
                let (x, y) = chart.backend_coord(&(all, count as f64));
                let style = anchored(&text(12.0, INK), HPos::Center, VPos::Bottom);
                let words = format!("overall {}", percent(all));
                area.draw(&Text::new(words, (x, y - px(3.0)), style))?;
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

/// A name shortened to fit. Keeps the end, because that is where paths differ.
fn cut(name: &str) -> String {
    let characters = name.chars().count();
    if characters <= NAME {
        return name.to_owned();
    }
    let tail: String = name.chars().skip(characters - (NAME - 1)).collect();
    format!("…{tail}")
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
        assert!(!chart.svg.contains("<script"), "{}", chart.svg);
        assert!(chart.svg.contains("&lt;script&gt;&amp;&quot;"));
        assert!(chart.svg.contains("…"), "{}", chart.svg);
        assert_eq!(chart.table.rows[1], [long, "–"]);
    }
}
