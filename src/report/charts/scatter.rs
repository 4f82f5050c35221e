//! A scatter plot of several series, with one curve through all points. Each series has its own marker and colour.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis};
use super::curves::mark;
use super::{Chart, INK, SERIES, Table, anchored, line, mark_of_axis, px, svg, text};

/// A series of points.
#[derive(Debug, Clone)]
pub(in crate::report) struct Series {
    /// The name.
    pub(in crate::report) name: String,
    /// The points: the name in the table, x and y.
    pub(in crate::report) points: Vec<(String, f64, f64)>,
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
    /// The curve as points by ascending x, and a sentence about it.
    pub(in crate::report) curve: Option<(Vec<(f64, f64)>, String)>,
}

impl Scatter<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.map(|(_, x, y)| (*x, *y))
    }

    fn draw(&self) -> anyhow::Result<String> {
        let range = |of: fn((f64, f64)) -> f64| {
            let values: Vec<f64> = self.points().map(of).collect();
            let low = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
            let high = values.iter().copied().reduce(f64::max).unwrap_or(1.0);
            let space = if high > low { 0.06 * (high - low) } else { 0.5 };
            (low - space)..(high + space)
        };
        let (across, up) = (range(|p| p.0), range(|p| p.1));
        svg((640, 320), |area| {
            let x = Axis {
                title: self.x,
                range: across.clone(),
                marks: 8,
                format: &|x| mark_of_axis(*x, (across.start, across.end)),
                room: 44.0,
                grid: true,
            };
            let y = Axis {
                title: self.y,
                range: up.clone(),
                marks: 6,
                format: &|y| mark_of_axis(*y, (up.start, up.end)),
                room: 64.0,
                grid: true,
            };
            let around = [AROUND, 136.0, AROUND];
            let mut chart = Axes { x, y, around }.draw(area)?;
            if let Some((curve, _)) = &self.curve {
                let inside =
                    |point: &&(f64, f64)| across.contains(&point.0) && up.contains(&point.1);
                let curve: Vec<(f64, f64)> = curve.iter().filter(inside).copied().collect();
                chart.draw_series(LineSeries::new(curve, line(INK, 1.6)))?;
            }
            let (right, top) = chart.backend_coord(&(across.end, up.end));
            // A series has the same colour and marker in every chart; one without points is not named.
            let drawn = self.series.iter().enumerate();
            let drawn = drawn.filter(|(_, series)| !series.points.is_empty());
            for (place, (i, series)) in (0..).zip(drawn) {
                let colour = SERIES[i % SERIES.len()];
                for (_, x, y) in &series.points {
                    mark(area, i, chart.backend_coord(&(*x, *y)), colour)?;
                }
                let y = top + px(12.0) + px(18.0) * place;
                mark(area, i, (right + px(12.0), y), colour)?;
                let style = anchored(&text(12.5, INK), HPos::Left, VPos::Center);
                let name = super::lines::cut(&series.name);
                area.draw(&Text::new(name, (right + px(20.0), y), style))?;
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let counted = self
            .series
            .iter()
            .map(|series| format!("{}: {} points", series.name, series.points.len()));
        let counted: Vec<String> = counted.collect();
        let law = self
            .curve
            .as_ref()
            .map_or(String::new(), |(_, says)| format!(" {says}."));
        format!("{} over {}. {}.{law}", self.y, self.x, counted.join("; "))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["point", self.x, self.y]);
        for series in self.series {
            for (name, x, y) in &series.points {
                table.row([name.clone(), format!("{x:.4}"), format!("{y:.4}")]);
            }
        }
        table
    }
}
