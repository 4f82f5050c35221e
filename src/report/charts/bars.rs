//! Shares of named things, a bar each: the share from the left, what is missing to the whole hatched.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{
    Chart, DROPPED, GRID, INK, KEPT, MUTED, Table, anchored, line, percent, px, svg, text,
};
use crate::pipeline::summary::grouped;

/// One bar.
#[derive(Debug, Clone)]
pub(in crate::report) struct Bar {
    /// What it is of.
    pub(in crate::report) name: String,
    /// The whole.
    pub(in crate::report) tokens: u64,
    /// The part.
    pub(in crate::report) kept: u64,
    /// More numbers, for the table.
    pub(in crate::report) more: Vec<String>,
}

impl Bar {
    fn share(&self) -> f64 {
        self.kept as f64 / self.tokens.max(1) as f64
    }
}

/// What is drawn.
#[derive(Debug)]
pub(in crate::report) struct Bars<'a> {
    /// What one bar stands for: "source".
    pub(in crate::report) of: &'a str,
    /// From the top.
    pub(in crate::report) bars: &'a [Bar],
    /// The share of all together.
    pub(in crate::report) mean: f64,
    /// The names of [`Bar::more`].
    pub(in crate::report) more: &'a [String],
}

/// Characters of a name that find room beside its bar; the table has all of it.
const NAME: usize = 27;

impl Bars<'_> {
    /// Draws them.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    fn draw(&self) -> anyhow::Result<String> {
        let count = self.bars.len().max(1);
        let height = 66 + 20 * u32::try_from(count)?;
        svg((640, height), |area| {
            let mut chart = ChartBuilder::on(area)
                .margin(px(6.0))
                .margin_top(px(20.0))
                .margin_left(px(182.0))
                .margin_right(px(86.0))
                .x_label_area_size(px(40.0))
                .build_cartesian_2d(0.0..1.0, 0.0..count as f64)?;
            chart
                .configure_mesh()
                .disable_y_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(line(GRID, 1.0))
                .axis_style(line(MUTED, 1.0))
                .label_style(text(12.0, MUTED))
                .axis_desc_style(text(13.0, INK))
                .x_labels(6)
                .y_labels(0)
                .x_label_formatter(&|x| format!("{:.0} %", x * 100.0))
                .x_desc("share of scored tokens that is kept")
                .draw()?;
            for (i, bar) in self.bars.iter().enumerate() {
                let low = (count - i) as f64 - 0.86;
                let (high, share) = (low + 0.72, bar.share());
                if share > 0.0 {
                    let corners = [(0.0, low), (share, high)];
                    chart.draw_series([Rectangle::new(corners, KEPT.filled())])?;
                }
                if share < 1.0 {
                    let corners = [(share, low), (1.0, high)];
                    chart.draw_series([Rectangle::new(corners, DROPPED.filled())])?;
                }
                let (left, y) = chart.backend_coord(&(0.0, low + 0.36));
                let (right, _) = chart.backend_coord(&(1.0, low));
                let style = anchored(&text(12.5, INK), HPos::Right, VPos::Center);
                area.draw(&Text::new(cut(&bar.name), (left - px(8.0), y), style))?;
                let style = anchored(&text(12.5, INK), HPos::Left, VPos::Center);
                area.draw(&Text::new(percent(share), (right + px(8.0), y), style))?;
            }
            let ends = [(self.mean, 0.0), (self.mean, count as f64)];
            let mean = DashedLineSeries::new(ends, px(5.0), px(4.0), line(INK, 1.5));
            chart.draw_series(mean)?;
            let (x, y) = chart.backend_coord(&(self.mean, count as f64));
            let style = anchored(&text(12.0, INK), HPos::Center, VPos::Bottom);
            let words = format!("all together {}", percent(self.mean));
            area.draw(&Text::new(words, (x, y - px(3.0)), style))?;
            Ok(())
        })
    }

    fn message(&self) -> String {
        let most = self.bars.iter().max_by(|a, b| a.share().total_cmp(&b.share()));
        let least = self.bars.iter().min_by(|a, b| a.share().total_cmp(&b.share()));
        let mut message = format!(
            "Share kept by {}: {} in all",
            self.of,
            percent(self.mean)
        );
        if let (Some(most), Some(least)) = (most, least) {
            message += &format!(
                "; most of {} ({}), least of {} ({})",
                most.name,
                percent(most.share()),
                least.name,
                percent(least.share())
            );
        }
        message + "."
    }

    fn table(&self) -> Table {
        let header = [self.of, "scored tokens", "kept", "share"].map(str::to_owned);
        let rows = self.bars.iter().map(|bar| {
            let cells = [
                bar.name.clone(),
                grouped(bar.tokens),
                grouped(bar.kept),
                percent(bar.share()),
            ];
            cells.into_iter().chain(bar.more.iter().cloned()).collect()
        });
        Table {
            header: header.into_iter().chain(self.more.iter().cloned()).collect(),
            rows: rows.collect(),
        }
    }
}

/// A name that fits: its end is what differs among paths.
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
        let bar = |name: &str, tokens, kept| Bar {
            name: name.to_owned(),
            tokens,
            kept,
            more: Vec::new(),
        };
        let long = "a/very/long/path/of/a/corpus/shard.jsonl";
        let bars = [bar("<script>&\"", 10, 10), bar(long, 0, 0)];
        let chart = Bars {
            of: "source",
            bars: &bars,
            mean: 1.0,
            more: &[],
        };
        let chart = chart.chart().unwrap();
        assert!(!chart.svg.contains("<script"), "{}", chart.svg);
        assert!(chart.svg.contains("&lt;script&gt;&amp;&quot;"));
        assert!(chart.svg.contains("…"), "{}", chart.svg);
        assert_eq!(chart.table.rows[1][0], long);
    }
}
