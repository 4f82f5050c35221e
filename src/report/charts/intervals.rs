//! Differences with their confidence intervals, one row each, drawn against zero.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::{Chart, DROPPED_LINE, INK, KEPT, MUTED, Table, anchored, line, px, svg, text};

/// A row.
#[derive(Debug, Clone)]
pub(in crate::report) struct Interval {
    /// The name of the row.
    pub(in crate::report) name: String,
    /// The difference.
    pub(in crate::report) value: f64,
    /// Half the width of the interval; none if there is no interval.
    pub(in crate::report) half_width: Option<f64>,
    /// The conclusion, in words.
    pub(in crate::report) says: String,
    /// Further table cells.
    pub(in crate::report) cells: Vec<String>,
}

/// A chart of intervals.
#[derive(Debug)]
pub(in crate::report) struct Intervals<'a> {
    /// What one row stands for, such as "arm".
    pub(in crate::report) of: &'a str,
    /// The title of the x axis, with the unit.
    pub(in crate::report) x: &'a str,
    /// The rows.
    pub(in crate::report) rows: &'a [Interval],
    /// The headings of the further table cells.
    pub(in crate::report) columns: Vec<String>,
}

impl Intervals<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    /// The range of the x axis, which includes all intervals and zero.
    fn range(&self) -> (f64, f64) {
        let ends = self.rows.iter().flat_map(|row| {
            let half = row.half_width.unwrap_or(0.0);
            [row.value - half, row.value + half]
        });
        let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| {
            (low.min(end), high.max(end))
        });
        let space = match high > low {
            true => 0.05 * (high - low),
            false => 1e-6,
        };
        (low - space, high + space)
    }

    fn draw(&self) -> anyhow::Result<String> {
        const ROW: u32 = 26;
        const ABOVE_AND_BELOW: u32 = 62;
        let count = self.rows.len();
        let height = ROW * u32::try_from(count)? + ABOVE_AND_BELOW;
        let (low, high) = self.range();
        // Enough digits to distinguish the ticks of the axis.
        let digits = (1.0 - (high - low).log10()).ceil().clamp(0.0, 9.0) as usize;
        svg((640, height), |area| {
            let x = Axis {
                title: self.x,
                range: low..high,
                marks: 6,
                format: &|x| signed(*x, digits),
                room: 44.0,
                grid: true,
            };
            let axes = Axes {
                x,
                y: Axis::of_rows(count),
                around: [132.0, 150.0, AROUND],
            };
            let mut chart = axes.draw(area)?;
            let zero = [(0.0, 0.0), (0.0, count as f64)];
            chart.draw_series(DashedLineSeries::new(
                zero,
                px(4.0),
                px(3.0),
                line(INK, 1.2),
            ))?;
            for (i, row) in self.rows.iter().enumerate() {
                let y = (count - i) as f64 - 0.5;
                // Colour, side and words agree. A difference within its interval is grey and hollow.
                let told_apart = row.half_width.is_some_and(|half| row.value.abs() > half);
                let colour = match (told_apart, row.value < 0.0) {
                    (false, _) => MUTED,
                    (true, true) => KEPT,
                    (true, false) => DROPPED_LINE,
                };
                if let Some(half) = row.half_width {
                    let ends = [row.value - half, row.value + half];
                    chart.draw_series(LineSeries::new(ends.map(|x| (x, y)), line(colour, 2.0)))?;
                    for end in ends {
                        let (x, middle) = chart.backend_coord(&(end, y));
                        let cap = vec![(x, middle - px(4.0)), (x, middle + px(4.0))];
                        area.draw(&PathElement::new(cap, line(colour, 2.0)))?;
                    }
                }
                let (x, middle) = chart.backend_coord(&(row.value, y));
                let style = match told_apart {
                    true => colour.filled(),
                    false => line(colour, 2.0),
                };
                area.draw(&Circle::new((x, middle), px(4.5), style))?;
                let (left, _) = chart.backend_coord(&(low, y));
                let (right, _) = chart.backend_coord(&(high, y));
                let style = anchored(&text(12.5, INK), HPos::Right, VPos::Center);
                area.draw(&Text::new(
                    super::lines::cut(&row.name),
                    (left - px(8.0), middle),
                    style,
                ))?;
                let style = anchored(&text(12.0, INK), HPos::Left, VPos::Center);
                area.draw(&Text::new(
                    row.says.clone(),
                    (right + px(8.0), middle),
                    style,
                ))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let told = self.rows.iter().map(|row| {
            let half = row
                .half_width
                .map_or(String::new(), |half| format!(" ± {half:.4}"));
            format!("{}: {:+.4}{half}, {}", row.name, row.value, row.says)
        });
        let told: Vec<String> = told.collect();
        format!("{} by {}. {}.", self.x, self.of, told.join("; "))
    }

    fn table(&self) -> Table {
        let first = [self.of, self.x, "95 %", "result"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let half = row
                .half_width
                .map_or("–".to_owned(), |half| format!("± {half:.4}"));
            let cells = [
                row.name.clone(),
                format!("{:+.4}", row.value),
                half,
                row.says.clone(),
            ];
            cells.into_iter().chain(row.cells.iter().cloned()).collect()
        });
        Table {
            rows: rows.collect(),
            header: first
                .into_iter()
                .chain(self.columns.iter().cloned())
                .collect(),
        }
    }
}

/// A number with its sign; zero has no sign.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    match text.chars().any(|c| ('1'..='9').contains(&c)) {
        true => text,
        false => "0".to_owned(),
    }
}
