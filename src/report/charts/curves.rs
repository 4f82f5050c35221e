//! Values along an axis, a line for each series: marks and dashes differ, and each line has its name at its end.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, Chart, GRID, INK, MUTED, SERIES, Table, anchored, line, px, short, svg, text};

/// One line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Curve {
    /// What it is called.
    pub(in crate::report) name: String,
    /// As many as there are places on the axis; none where nothing is known.
    pub(in crate::report) values: Vec<Option<f64>>,
}

/// What is drawn.
#[derive(Debug)]
pub(in crate::report) struct Curves<'a> {
    /// What the axis says, and whether it is logarithmic.
    pub(in crate::report) x: (&'a str, bool),
    /// The places on the axis, rising, over 0 where it is logarithmic; and what each is called in the table.
    pub(in crate::report) places: &'a [(f64, String)],
    /// What the values are.
    pub(in crate::report) y: &'a str,
    /// From where to where values are drawn; 0 to 1 is written in per cent.
    pub(in crate::report) range: (f64, f64),
    /// The lines.
    pub(in crate::report) curves: &'a [Curve],
    /// How many of them find room in the picture; the table has all.
    pub(in crate::report) drawn: usize,
}

impl Curves<'_> {
    /// Draws them.
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
        // A logarithmic axis is drawn by exponents: the marks are ours to choose.
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
            let mut chart = ChartBuilder::on(area)
                .margin(px(6.0))
                .margin_right(px(128.0))
                .x_label_area_size(px(44.0))
                .y_label_area_size(px(58.0))
                .build_cartesian_2d(first..last, low..high)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(line(GRID, 1.0))
                .axis_style(line(MUTED, 1.0))
                .label_style(text(12.0, MUTED))
                .axis_desc_style(text(13.0, INK))
                .x_labels(12)
                .y_labels(6)
                .x_label_formatter(&|x| match self.x.1 {
                    true => short(x.exp2()),
                    false => short(*x),
                })
                .y_label_formatter(&|y| match self.is_share() {
                    true => format!("{} %", short(y * 100.0)),
                    false => short(*y),
                })
                .x_desc(self.x.0)
                .y_desc(self.y)
                .draw()?;
            let mut ends = Vec::new();
            for (i, curve) in self.curves.iter().take(self.drawn).enumerate() {
                let colour = SERIES[i % SERIES.len()];
                let points = self.places.iter().zip(&curve.values);
                let points = points.filter_map(|((x, _), y)| Some((place(*x), (*y)?)));
                let points: Vec<(f64, f64)> = points.collect();
                let Some(&(_, end)) = points.last() else {
                    continue;
                };
                match dash(i) {
                    None => {
                        chart.draw_series(LineSeries::new(points.clone(), line(colour, 2.0)))?
                    }
                    Some(dash) => chart.draw_series(DashedLineSeries::new(
                        points.clone(),
                        px(dash),
                        px(3.5),
                        line(colour, 2.0),
                    ))?,
                };
                let marks = points.iter().map(|at| chart.backend_coord(at));
                for at in marks.collect::<Vec<_>>() {
                    mark(area, i, at, colour)?;
                }
                ends.push((end, i, curve.name.as_str()));
            }
            // Names must not lie on one another.
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

/// How long a line's dashes are; none where it is whole.
pub(super) fn dash(series: usize) -> Option<f64> {
    [None, Some(8.0), Some(2.5), Some(5.0)][series % 4]
}

/// A point of a series: circles, squares, triangles, diamonds.
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
