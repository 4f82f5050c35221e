//! Differences with their confidence intervals, one row each, drawn against zero.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::letters::{Keep, SMALL, fit, text_width};
use super::scale::Marks;
use super::{Chart, DROPPED_LINE, Frame, INK, KEPT, MUTED, Table, anchored, line, px, text};
use crate::numbers::fixed;

/// The side of zero that is the better one: it is blue, the other vermilion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Better {
    Lower,
    Higher,
}

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
    /// The better side.
    pub(in crate::report) better: Better,
    /// The rows.
    pub(in crate::report) rows: &'a [Interval],
    /// The headings of the further table cells.
    pub(in crate::report) columns: Vec<String>,
}

impl Intervals<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    /// The range of the x axis, which includes all intervals and zero.
    fn range(&self) -> (f64, f64) {
        let ends = self.rows.iter().flat_map(|row| {
            let half = row.half_width.unwrap_or(0.0);
            [row.value - half, row.value + half]
        });
        let ends = ends.filter(|end| end.is_finite());
        let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| {
            (low.min(end), high.max(end))
        });
        let space = match high > low {
            true => 0.05 * (high - low),
            false => 1e-6,
        };
        (low - space, high + space)
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        // Names are left of the rows and conclusions right of them; in the narrow drawing both are above.
        const ROW: (f64, f64) = (26.0, 44.0);
        const NAMES: f64 = 130.0;
        let count = self.rows.len();
        let row_height = frame.choose(ROW.0, ROW.1);
        let (low, high) = self.range();
        let widest = |of: fn(&Interval) -> &str| {
            let widths = self.rows.iter().map(|row| text_width(of(row), SMALL));
            widths.fold(0.0, f64::max)
        };
        let names = widest(|row| &row.name).min(NAMES);
        let says = widest(|row| &row.says).min(170.0);
        let axes = Axes {
            x: Axis {
                title: self.x,
                range: low..high,
                marks: Marks::Signed,
                grid: true,
            },
            y: Axis::of_rows(count),
            height: row_height * count.max(1) as f64,
            around: frame.choose(
                [names + 10.0, says + 10.0, AROUND],
                [AROUND, AROUND, AROUND],
            ),
            legend: Vec::new(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            let zero = [(0.0, 0.0), (0.0, count as f64)];
            let style = line(INK, 1.2);
            chart.draw_series(DashedLineSeries::new(zero, px(4.0), px(3.0), style))?;
            for (i, row) in self.rows.iter().enumerate() {
                // The middle of a row, or of its lower half.
                let y = (count - i) as f64 - frame.choose(0.5, 0.72);
                // Colour, side and words agree. A difference within its interval is grey and hollow.
                let told_apart = row.half_width.is_some_and(|half| row.value.abs() > half);
                let better = (row.value < 0.0) == (self.better == Better::Lower);
                let colour = match (told_apart, better) {
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
                let (left, _) = chart.backend_coord(&(chart.x_range().start, y));
                let (right, _) = chart.backend_coord(&(chart.x_range().end, y));
                let above = middle - px(17.0);
                let width = f64::from(right - left) / f64::from(super::SCALE);
                let (name, said) = match frame {
                    Frame::Wide => (
                        ((left - px(8.0), middle), HPos::Right, names),
                        ((right + px(8.0), middle), HPos::Left),
                    ),
                    Frame::Narrow => (
                        ((left, above), HPos::Left, width - says - 8.0),
                        ((right, above), HPos::Right),
                    ),
                };
                let style = anchored(&text(SMALL, INK), name.1, VPos::Center);
                let words = fit(&row.name, name.2, SMALL, Keep::Start).into_owned();
                area.draw(&Text::new(words, name.0, style))?;
                let style = anchored(&text(SMALL, INK), said.1, VPos::Center);
                let words = fit(&row.says, says, SMALL, Keep::Start).into_owned();
                area.draw(&Text::new(words, said.0, style))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let told = self.rows.iter().map(|row| {
            let half = row
                .half_width
                .map_or(String::new(), |half| format!(" ± {}", fixed(half, 4)));
            format!("{}: {}{half}, {}", row.name, signed(row.value), row.says)
        });
        let told: Vec<String> = told.collect();
        format!("{} by {}. {}.", self.x, self.of, told.join("; "))
    }

    fn table(&self) -> Table {
        let first = [self.of, self.x, "95 %", "result"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let half = row
                .half_width
                .map_or("–".to_owned(), |half| format!("± {}", fixed(half, 4)));
            let cells = [row.name.clone(), signed(row.value), half, row.says.clone()];
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

/// A number with its sign.
fn signed(value: f64) -> String {
    match value >= 0.0 {
        true => format!("+{}", fixed(value, 4)),
        false => fixed(value, 4),
    }
}
