//! Values along an axis, one line for each series. Lines differ in markers and dashes, which a legend explains.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::axes::{AROUND, Axes, Axis, Plot};
use super::legend::{Look, Sample};
use super::scale::Marks;
use super::{Area, Chart, Frame, Table, line, px};
use crate::numbers::fixed;

/// One line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Curve {
    /// The name.
    pub(in crate::report) name: String,
    /// One value for each of [`Curves::places`]; none if it is unknown.
    pub(in crate::report) values: Vec<Option<f64>>,
}

/// A chart of curves.
#[derive(Debug)]
pub(in crate::report) struct Curves<'a> {
    /// The title of the x axis, and whether the axis is logarithmic.
    pub(in crate::report) x: (&'a str, bool),
    /// The x values in ascending order (above 0 on a logarithmic axis), and their names in the table.
    pub(in crate::report) places: &'a [(f64, String)],
    /// The title of the y axis.
    pub(in crate::report) y: &'a str,
    /// The lowest and highest values drawn; 0 to 1 is written in per cent.
    pub(in crate::report) range: (f64, f64),
    /// The lines.
    pub(in crate::report) curves: &'a [Curve],
    /// The most lines drawn in the chart; the table has all.
    pub(in crate::report) drawn: usize,
}

impl Curves<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    fn is_share(&self) -> bool {
        self.range == (0.0, 1.0)
    }

    fn value(&self, value: f64) -> String {
        match self.is_share() {
            true => super::percent(value),
            false => fixed(value, 3),
        }
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        // A logarithmic axis is drawn over the exponents of 2: tick labels show the powers.
        let place = |x: f64| {
            if self.x.1 {
                x.max(f64::MIN_POSITIVE).log2()
            } else {
                x
            }
        };
        let first = place(self.places.first().map_or(0.0, |(x, _)| *x));
        let last = place(self.places.last().map_or(1.0, |(x, _)| *x));
        let (low, high) = self.range;
        let drawn = self.curves.iter().take(self.drawn).enumerate();
        let axes = Axes {
            x: Axis {
                title: self.x.0,
                range: first..last,
                marks: if self.x.1 { Marks::Power } else { Marks::Plain },
                grid: true,
            },
            y: Axis {
                title: self.y,
                range: low..high,
                marks: if self.is_share() {
                    Marks::Percent
                } else {
                    Marks::Plain
                },
                grid: true,
            },
            height: frame.choose(224.0, 176.0),
            around: [AROUND, AROUND, AROUND],
            legend: drawn
                .clone()
                .map(|(i, curve)| (Sample::Line(Look::of_series(i)), curve.name.clone()))
                .collect(),
            below: Vec::new(),
        };
        axes.svg(frame, |area, chart| {
            for (i, curve) in drawn {
                let points = self.places.iter().zip(&curve.values);
                let points = points.filter_map(|((x, _), y)| Some((place(*x), (*y)?)));
                let finite = points.filter(|(x, y)| x.is_finite() && y.is_finite());
                let points: Vec<(f64, f64)> = finite.collect();
                let look = Look::of_series(i);
                series_line(chart, look, &points)?;
                for at in &points {
                    mark(area, look, chart.backend_coord(at))?;
                }
            }
            Ok(())
        })
    }

    fn message(&self) -> String {
        let told = self.curves.iter().filter_map(|curve| {
            let mut known = self.places.iter().zip(&curve.values);
            let ((_, from), first) = known.clone().find(|(_, v)| v.is_some())?;
            let ((_, to), last) = known.rfind(|(_, v)| v.is_some())?;
            let (first, last) = (self.value((*first)?), self.value((*last)?));
            Some(format!("{}: {first} at {from}, {last} at {to}", curve.name))
        });
        let told: Vec<String> = told.collect();
        format!("{} by {}. {}.", self.y, self.x.0, told.join("; "))
    }

    fn table(&self) -> Table {
        let names = self.curves.iter().map(|curve| curve.name.clone());
        let rows = self.places.iter().enumerate().map(|(i, (_, name))| {
            let values = self.curves.iter().map(|curve| {
                let value = curve.values.get(i).copied().flatten();
                value.map(|value| self.value(value)).unwrap_or_default()
            });
            std::iter::once(name.clone()).chain(values).collect()
        });
        Table {
            header: std::iter::once(self.x.0.to_owned()).chain(names).collect(),
            rows: rows.collect(),
        }
    }
}

/// The dashes of a series: their length; none for a solid line.
fn dashes(look: Look) -> Option<f64> {
    [None, Some(8.0), Some(2.5), Some(5.0)][look.style % 4]
}

/// Draws the line of a series: solid, or with dashes of its own.
pub(super) fn series_line(
    chart: &mut Plot<'_, '_>,
    look: Look,
    points: &[(f64, f64)],
) -> anyhow::Result<()> {
    let style = line(look.colour, 2.0);
    let points = points.iter().copied();
    match dashes(look) {
        None => chart.draw_series(LineSeries::new(points, style))?,
        Some(dash) => chart.draw_series(DashedLineSeries::new(points, px(dash), px(3.5), style))?,
    };
    Ok(())
}

/// Draws a piece of such a line.
pub(super) fn series_sample(
    area: &Area<'_>,
    look: Look,
    ends: [(i32, i32); 2],
) -> anyhow::Result<()> {
    let style = line(look.colour, 2.0);
    match dashes(look) {
        None => area.draw(&PathElement::new(ends.to_vec(), style))?,
        Some(dash) => area.draw(&DashedPathElement::new(ends, px(dash), px(3.5), style))?,
    }
    Ok(())
}

/// Draws the marker of a series: a circle, square, triangle or diamond.
pub(super) fn mark(area: &Area<'_>, look: Look, (x, y): (i32, i32)) -> anyhow::Result<()> {
    let r = px(3.5);
    let style = look.colour.filled();
    match look.style % 4 {
        0 => area.draw(&Circle::new((x, y), r, style))?,
        1 => area.draw(&Rectangle::new([(x - r, y - r), (x + r, y + r)], style))?,
        2 => area.draw(&TriangleMarker::new((x, y), r + px(1.0), style))?,
        _ => {
            let r = r + px(1.0);
            let corners = vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
            area.draw(&Polygon::new(corners, style))?;
        }
    }
    Ok(())
}
