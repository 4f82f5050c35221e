//! Lines over a long run. A point stands for one or more steps; a band spans the lowest to the highest value of its
//! steps. Each line has its own dashes and markers.

use std::collections::BTreeMap;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::curves::{mark, series_line};
use super::{Chart, INK, SERIES, Table, anchored, percent, px, svg, text};

/// A point that stands for some steps of a run.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Point {
    /// The first and the last step.
    pub(in crate::report) steps: (u64, u64),
    /// The x value: that of the last step.
    pub(in crate::report) x: u64,
    /// The mean over the steps.
    pub(in crate::report) mean: f64,
    /// The lowest and highest values of the steps.
    pub(in crate::report) range: (f64, f64),
}

/// One line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Line {
    /// The name.
    pub(in crate::report) name: String,
    /// The points, by ascending x.
    pub(in crate::report) points: Vec<Point>,
}

/// The unit or scale of the values, which decides how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    /// Nats, or a number of that size.
    Plain,
    /// A share, written in per cent.
    Share,
    /// Much smaller than 1.
    Small,
    /// Much larger than 1.
    Large,
}

impl Unit {
    /// A value in the table.
    pub(in crate::report) fn value(self, value: f64) -> String {
        match self {
            Self::Plain => format!("{value:.4}"),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Small => format!("{value:.3e}"),
            Self::Large => format!("{value:.0}"),
        }
    }

    fn at_axis(self, value: f64, range: (f64, f64)) -> String {
        match self {
            Self::Plain => super::mark_of_axis(value, range),
            Self::Share => percent(value),
            Self::Small if value.abs() < 1e-12 => "0".to_owned(),
            Self::Small => format!("{value:.1e}"),
            Self::Large => many(value),
        }
    }
}

/// A line chart.
#[derive(Debug)]
pub(in crate::report) struct Lines<'a> {
    /// The title of the x axis.
    pub(in crate::report) x: &'a str,
    /// The title of the y axis, with the unit.
    pub(in crate::report) y: &'a str,
    /// The unit of the values.
    pub(in crate::report) unit: Unit,
    /// The lines; at most four are distinguishable.
    pub(in crate::report) lines: &'a [Line],
}

/// The number of markers on a line: more would hide it.
const MARKS: usize = 8;

impl Lines<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// The range of the y axis.
    fn range(&self) -> (f64, f64) {
        let low = self.points().map(|p| p.range.0).reduce(f64::min);
        let high = self.points().map(|p| p.range.1).reduce(f64::max);
        let (low, high) = (low.unwrap_or(0.0), high.unwrap_or(1.0));
        if self.unit == Unit::Share {
            // From 0, so that small changes of a share do not look large.
            return (low.min(0.0), if high > 0.0 { 1.1 * high } else { 1.0 });
        }
        let space = match high > low {
            true => 0.05 * (high - low),
            false => (0.1 * high.abs()).max(1e-6),
        };
        // The axis starts below 0 only if a value does.
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        ((low - space).max(floor), high + space)
    }

    fn draw(&self) -> anyhow::Result<String> {
        let first = self.points().map(|p| p.x).min().unwrap_or(0);
        let last = self.points().map(|p| p.x).max().unwrap_or(1).max(first + 1);
        let (low, high) = self.range();
        svg((640, 300), |area| {
            let x = Axis {
                title: self.x,
                range: first as f64..last as f64,
                marks: 8,
                format: &|x| many(*x),
                room: 44.0,
                grid: true,
            };
            let y = Axis {
                title: self.y,
                range: low..high,
                marks: 6,
                format: &|y| self.unit.at_axis(*y, (low, high)),
                room: 64.0,
                grid: true,
            };
            let around = [AROUND, 136.0, AROUND];
            let mut chart = Axes { x, y, around }.draw(area)?;
            let mut ends = Vec::new();
            for (i, drawn) in self.lines.iter().enumerate() {
                let colour = SERIES[i % SERIES.len()];
                let Some(end) = drawn.points.last() else {
                    continue;
                };
                let lower = drawn.points.iter().map(|p| (p.x as f64, p.range.0));
                let upper = drawn.points.iter().rev().map(|p| (p.x as f64, p.range.1));
                if drawn.points.iter().any(|p| p.range.0 < p.range.1) {
                    let band = lower.chain(upper).collect::<Vec<_>>();
                    chart.draw_series([Polygon::new(band, colour.mix(0.13).filled())])?;
                }
                let points: Vec<(f64, f64)> =
                    drawn.points.iter().map(|p| (p.x as f64, p.mean)).collect();
                series_line(&mut chart, i, &points)?;
                let every = points.len().div_ceil(MARKS).max(1);
                // The markers of overlapping lines are offset from one another.
                for at in points.iter().skip((i * every / 4) % every).step_by(every) {
                    mark(area, i, chart.backend_coord(at), colour)?;
                }
                ends.push((end.mean, i, drawn.name.as_str()));
            }
            // Names must not overlap, nor leave the chart at the bottom.
            ends.sort_by(|a, b| b.0.total_cmp(&a.0));
            let (_, bottom) = chart.backend_coord(&(last as f64, low));
            let mut above = i32::MIN / 2;
            let count = ends.len();
            for (place, (end, i, name)) in ends.into_iter().enumerate() {
                let (x, y) = chart.backend_coord(&(last as f64, end));
                let room = px(16.0) * i32::try_from(count - 1 - place)?;
                let y = y.min(bottom - room).max(above + px(16.0));
                above = y;
                mark(area, i, (x + px(12.0), y), SERIES[i % SERIES.len()])?;
                let style = anchored(&text(12.5, INK), HPos::Left, VPos::Center);
                area.draw(&Text::new(cut(name), (x + px(20.0), y), style))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let told = self.lines.iter().filter_map(|line| {
            let (from, to) = (line.points.first()?, line.points.last()?);
            Some(format!(
                "{}: {} at {}, {} at {}",
                line.name,
                self.unit.value(from.mean),
                many(from.x as f64),
                self.unit.value(to.mean),
                many(to.x as f64)
            ))
        });
        let told: Vec<String> = told.collect();
        format!("{} over {}. {}.", self.y, self.x, told.join("; "))
    }

    fn table(&self) -> Table {
        let mut rows = BTreeMap::<(u64, (u64, u64)), Vec<String>>::new();
        for (i, line) in self.lines.iter().enumerate() {
            for point in &line.points {
                let empty = || vec![String::new(); self.lines.len()];
                let row = rows.entry((point.x, point.steps)).or_insert_with(empty);
                let (low, high) = point.range;
                row[i] = self.unit.value(point.mean);
                if low < high {
                    row[i] += &format!(" ({}–{})", self.unit.value(low), self.unit.value(high));
                }
            }
        }
        let names = self.lines.iter().map(|line| line.name.clone());
        // If x is the step itself, the table needs no separate column of steps.
        let is_place = self.points().all(|point| point.steps == (point.x, point.x));
        let places = match is_place {
            true => vec![self.x],
            false => vec![STEPS, self.x],
        };
        let rows = rows.into_iter().map(|((x, (from, to)), values)| {
            let steps = match from == to {
                true => from.to_string(),
                false => format!("{from}–{to}"),
            };
            let place = (places.len() > 1).then(|| x.to_string());
            std::iter::once(steps).chain(place).chain(values).collect()
        });
        Table {
            rows: rows.collect(),
            header: places.iter().map(|&p| p.to_owned()).chain(names).collect(),
        }
    }
}

/// The title of an axis of steps.
pub(in crate::report) const STEPS: &str = "steps";

/// A tick label for a large number: 12.5 k, 3 M, 1.5 G.
fn many(value: f64) -> String {
    let units = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let found = units.into_iter().find(|(unit, _)| value.abs() >= *unit);
    found.map_or_else(
        || super::short(value),
        |(unit, name)| super::short(value / unit) + name,
    )
}

/// A name shortened to fit beside its line; the table has it in full.
pub(super) fn cut(name: &str) -> String {
    const ROOM: usize = 18;
    if name.chars().count() <= ROOM {
        return name.to_owned();
    }
    name.chars().take(ROOM - 1).chain(['…']).collect()
}
