//! Values along an axis, one line for each series. Lines differ in markers and dashes, and have their names at their
//! ends.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis, Plot};
use super::{Area, Chart, INK, SERIES, Table, anchored, line, px, short, svg, text};

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
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    fn is_share(&self) -> bool {
        self.range == (0.0, 1.0)
    }

    fn value(&self, value: f64) -> String {
        match self.is_share() {
            true => super::percent(value),
            false => format!("{value:.3}"),
        }
    }

    fn draw(&self) -> anyhow::Result<String> {
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
        let last = if last > first { last } else { first + 1.0 };
        let (low, high) = self.range;
        svg((640, 300), |area| {
            let x = Axis {
                title: self.x.0,
                range: first..last,
                marks: 12,
                format: &|x| match self.x.1 {
                    true => short(x.exp2()),
                    false => short(*x),
                },
                room: 44.0,
                grid: true,
            };
            let y = Axis {
                title: self.y,
                range: low..high,
                marks: 6,
                format: &|y| match self.is_share() {
                    true => format!("{} %", short(y * 100.0)),
                    false => short(*y),
                },
                room: 58.0,
                grid: true,
            };
            let around = [AROUND, 128.0, AROUND];
            let mut chart = Axes { x, y, around }.draw(area)?;
            let mut ends = Vec::new();
            for (i, curve) in self.curves.iter().take(self.drawn).enumerate() {
                let colour = SERIES[i % SERIES.len()];
                let points = self.places.iter().zip(&curve.values);
                let points = points.filter_map(|((x, _), y)| Some((place(*x), (*y)?)));
                let points: Vec<(f64, f64)> = points.collect();
                let Some(&(_, end)) = points.last() else {
                    continue;
                };
                series_line(&mut chart, i, &points)?;
                let marks = points.iter().map(|at| chart.backend_coord(at));
                for at in marks.collect::<Vec<_>>() {
                    mark(area, i, at, colour)?;
                }
                ends.push((end, i, curve.name.as_str()));
            }
            // Names must not overlap.
            ends.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut above = i32::MIN / 2;
            for (end, i, name) in ends {
                let (x, y) = chart.backend_coord(&(last, end));
                let y = y.max(above + px(16.0));
                above = y;
                mark(area, i, (x + px(12.0), y), SERIES[i % SERIES.len()])?;
                let style = anchored(&text(12.5, INK), HPos::Left, VPos::Center);
                area.draw(&Text::new(name.to_owned(), (x + px(20.0), y), style))?;
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

/// Draws the line of a series: solid, or with dashes of its own.
pub(super) fn series_line(
    chart: &mut Plot<'_, '_>,
    series: usize,
    points: &[(f64, f64)],
) -> anyhow::Result<()> {
    let style = line(SERIES[series % SERIES.len()], 2.0);
    let points = points.iter().copied();
    match [None, Some(8.0), Some(2.5), Some(5.0)][series % 4] {
        None => chart.draw_series(LineSeries::new(points, style))?,
        Some(dash) => chart.draw_series(DashedLineSeries::new(points, px(dash), px(3.5), style))?,
    };
    Ok(())
}

/// Draws the marker of a series: a circle, square, triangle or diamond.
pub(super) fn mark(
    area: &Area<'_>,
    series: usize,
    (x, y): (i32, i32),
    colour: RGBColor,
) -> anyhow::Result<()> {
    let r = px(3.5);
    let style = colour.filled();
    match series % 4 {
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
