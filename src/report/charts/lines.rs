//! Lines over a long run. A point stands for one or more steps; a band spans the lowest to the highest value of its
//! steps. Each line has its own dashes and markers.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::axes::{AROUND, Axes, Axis};
use super::curves::{mark, series_line};
use super::legend::{Look, Sample};
use super::scale::Marks;
use super::{Chart, DROPPED_LINE, Frame, KEPT, Table};
use crate::numbers::fixed;

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

impl Point {
    fn is_finite(&self) -> bool {
        [self.mean, self.range.0, self.range.1]
            .iter()
            .all(|number| number.is_finite())
    }
}

/// One line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Line {
    /// The name.
    pub(in crate::report) name: String,
    /// What its colour says, if more than which line it is.
    pub(in crate::report) role: Option<Role>,
    /// The points, by ascending x.
    pub(in crate::report) points: Vec<Point>,
}

/// What a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Role {
    /// Tokens that are trained on, or would be.
    Kept,
    /// The others.
    Dropped,
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
            Self::Plain => fixed(value, 4),
            Self::Share => format!("{} %", fixed(value * 100.0, 2)),
            Self::Small if value.is_finite() => format!("{value:.3e}"),
            Self::Small | Self::Large => fixed(value, 0),
        }
    }

    fn marks(self) -> Marks {
        match self {
            Self::Plain | Self::Small => Marks::Plain,
            Self::Share => Marks::Percent,
            Self::Large => Marks::Large,
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
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// The points that can be drawn.
    fn finite(&self) -> impl Iterator<Item = &Point> {
        self.points().filter(|point| point.is_finite())
    }

    /// The range of the y axis.
    fn range(&self) -> (f64, f64) {
        let low = self.finite().map(|p| p.range.0).reduce(f64::min);
        let high = self.finite().map(|p| p.range.1).reduce(f64::max);
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

    /// How the line with this number is drawn.
    fn look(&self, number: usize) -> Look {
        let look = Look::of_series(number);
        match self.lines[number].role {
            None => look,
            Some(Role::Kept) => Look {
                colour: KEPT,
                ..look
            },
            Some(Role::Dropped) => Look {
                colour: DROPPED_LINE,
                ..look
            },
        }
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let first = self.points().map(|p| p.x).min().unwrap_or(0);
        let last = self.points().map(|p| p.x).max().unwrap_or(first);
        let (low, high) = self.range();
        let drawn = self.lines.iter().enumerate();
        let drawn = drawn.filter(|(_, line)| !line.points.is_empty());
        let axes = Axes {
            x: Axis {
                title: self.x,
                range: first as f64..last as f64,
                marks: Marks::Large,
                grid: true,
            },
            y: Axis {
                title: self.y,
                range: low..high,
                marks: self.unit.marks(),
                grid: true,
            },
            height: frame.choose(224.0, 176.0),
            around: [AROUND, AROUND, AROUND],
            legend: drawn
                .clone()
                .map(|(i, line)| (Sample::Line(self.look(i)), line.name.clone()))
                .collect(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            for (i, drawn) in drawn {
                let look = self.look(i);
                let finite = || drawn.points.iter().filter(|point| point.is_finite());
                if finite().any(|p| p.range.0 < p.range.1) {
                    let lower = finite().map(|p| (p.x as f64, p.range.0));
                    let upper: Vec<_> = finite().map(|p| (p.x as f64, p.range.1)).collect();
                    let band = lower.chain(upper.into_iter().rev()).collect::<Vec<_>>();
                    chart.draw_series([Polygon::new(band, look.colour.mix(0.13).filled())])?;
                }
                let points: Vec<(f64, f64)> = finite().map(|p| (p.x as f64, p.mean)).collect();
                series_line(chart, look, &points)?;
                let every = points.len().div_ceil(MARKS).max(1);
                // The markers of overlapping lines are offset from one another.
                for at in points.iter().skip((i * every / 4) % every).step_by(every) {
                    mark(area, look, chart.backend_coord(at))?;
                }
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

/// A large number in a message, as `Marks::Large` labels ticks: 12.5 k, 3 M, 1.5 G.
fn many(value: f64) -> String {
    let units = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let found = units.into_iter().find(|(unit, _)| value.abs() >= *unit);
    found.map_or_else(
        || super::short(value),
        |(unit, name)| super::short(value / unit) + name,
    )
}
