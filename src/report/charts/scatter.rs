//! A scatter plot of several series, each with a curve through its points. Each series has its own marker and colour.

use super::axes::{AROUND, Axes, Axis};
use super::curves::{mark, series_line};
use super::legend::{Look, Sample};
use super::scale::Marks;
use super::{Chart, Frame, Table};
use crate::numbers::fixed;

/// A series of points.
#[derive(Debug, Clone)]
pub(in crate::report) struct Series {
    /// The name.
    pub(in crate::report) name: String,
    /// The points: the name in the table, x and y.
    pub(in crate::report) points: Vec<(String, f64, f64)>,
    /// A curve through them as points by ascending x, and a sentence about it.
    pub(in crate::report) curve: Option<(Vec<(f64, f64)>, String)>,
}

/// A scatter plot.
#[derive(Debug)]
pub(in crate::report) struct Scatter<'a> {
    /// The title of the x axis, with the unit.
    pub(in crate::report) x: &'a str,
    /// The title of the y axis, with the unit.
    pub(in crate::report) y: &'a str,
    /// The series; at most four are distinguishable.
    pub(in crate::report) series: &'a [Series],
}

impl Scatter<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    /// The points that can be drawn.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.map(|(_, x, y)| (*x, *y)).filter(finite)
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let range = |of: fn((f64, f64)) -> f64| {
            let values: Vec<f64> = self.points().map(of).collect();
            let low = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
            let high = values.iter().copied().reduce(f64::max).unwrap_or(1.0);
            let space = 0.06 * (high - low);
            (low - space)..(high + space)
        };
        let (across, up) = (range(|p| p.0), range(|p| p.1));
        // A series has the same colour and marker in every chart; one without points is not named.
        let drawn = self.series.iter().enumerate();
        let drawn = drawn.filter(|(_, series)| !series.points.is_empty());
        let sample = |i, series: &Series| match series.curve {
            Some(_) => Sample::Line(Look::of_series(i)),
            None => Sample::Marker(Look::of_series(i)),
        };
        let axes = Axes {
            x: Axis {
                title: self.x,
                range: across.clone(),
                marks: Marks::Plain,
                grid: true,
            },
            y: Axis {
                title: self.y,
                range: up.clone(),
                marks: Marks::Plain,
                grid: true,
            },
            height: frame.choose(240.0, 190.0),
            around: [AROUND, AROUND, AROUND],
            legend: drawn
                .clone()
                .map(|(i, series)| (sample(i, series), series.name.clone()))
                .collect(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            for (i, series) in drawn {
                let look = Look::of_series(i);
                if let Some((curve, _)) = &series.curve {
                    let inside =
                        |point: &&(f64, f64)| across.contains(&point.0) && up.contains(&point.1);
                    let curve: Vec<(f64, f64)> = curve.iter().filter(inside).copied().collect();
                    series_line(chart, look, &curve)?;
                }
                let points = series
                    .points
                    .iter()
                    .map(|(_, x, y)| (*x, *y))
                    .filter(finite);
                for point in points {
                    mark(area, look, chart.backend_coord(&point))?;
                }
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let counted = self.series.iter().map(|series| {
            let law = series.curve.as_ref().map(|(_, says)| format!(" ({says})"));
            let (name, count) = (&series.name, series.points.len());
            format!("{name}: {count} points{}", law.unwrap_or_default())
        });
        let counted: Vec<String> = counted.collect();
        format!("{} over {}. {}.", self.y, self.x, counted.join("; "))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["point", self.x, self.y]);
        for series in self.series {
            for (name, x, y) in &series.points {
                table.row([name.clone(), fixed(*x, 4), fixed(*y, 4)]);
            }
        }
        table
    }
}

fn finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}
