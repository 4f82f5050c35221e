//! A matrix of values, each in its cell, with a background colour that compares it with others. With too many cells for
//! numbers, only the colours are drawn.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::legend::{Legend, Sample};
use super::letters::{Keep, SMALL, TITLE, fit, text_width};
use super::{Chart, Frame, GROUND, HEAT, INK, MUTED, Table, anchored, px, short, svg, text};
use crate::numbers::fixed;

/// A matrix chart.
#[derive(Debug)]
pub(in crate::report) struct Matrix<'a> {
    /// The title of the rows, and their names.
    pub(in crate::report) rows: (&'a str, &'a [String]),
    /// The title of the columns, and their names.
    pub(in crate::report) columns: (&'a str, &'a [String]),
    /// The name of the values.
    pub(in crate::report) value: &'a str,
    /// The values, row by row.
    pub(in crate::report) values: &'a [Vec<f64>],
    /// The title of the colour legend.
    pub(in crate::report) shade: &'a str,
    /// The shade of each cell, row by row.
    pub(in crate::report) shades: &'a [Vec<f64>],
    /// A last row of the table, not drawn in the chart.
    pub(in crate::report) last: Option<(&'a str, &'a [f64])>,
}

/// The least width and height of a cell with its number.
const NUMBERED: (f64, f64) = (52.0, 22.0);
/// The most room for the names of rows and of columns.
const NAMES: f64 = 90.0;
/// Above the cells is the title of the rows; below are the names and the title of the columns.
const TOP: f64 = 20.0;
const BELOW: f64 = 46.0;

impl Matrix<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    /// The lowest and the highest shade.
    fn range(&self) -> (f64, f64) {
        let all = || {
            self.shades
                .iter()
                .flatten()
                .copied()
                .filter(|shade| shade.is_finite())
        };
        let low = all().reduce(f64::min).unwrap_or(0.0);
        let high = all().reduce(f64::max).unwrap_or(1.0);
        (low, high)
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let (rows, columns) = (self.values.len().max(1), self.columns.1.len().max(1));
        let small = |text: &str| text_width(text, SMALL);
        let widest = |names: &[String]| names.iter().map(|name| small(name)).fold(0.0, f64::max);
        let names = widest(self.rows.1).min(NAMES);
        let left = names + 6.0;
        // The name of a column may be wider than its cells.
        let named = widest(self.columns.1).min(NAMES);
        let right = (named / 2.0 - 10.0).max(4.0);
        let total = frame.width();
        let width = (total - left - right) / columns as f64;
        let height = (360.0 / rows as f64).clamp(14.0, 40.0);
        let bottom = TOP + height * rows as f64;
        let (low, high) = self.range();
        let step = |shade: f64| {
            // Halved, so that the difference is finite; without a range all are the same.
            let place = (shade / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) * HEAT.len() as f64;
            (place as usize).min(HEAT.len() - 1)
        };
        let legend = self.legend(low, high);
        let legend = Legend::new(&legend, total);
        let all = bottom + BELOW + legend.height() + 2.0;
        svg((total as u32, all.ceil() as u32), |area| {
            let numbered = width >= NUMBERED.0 && height >= NUMBERED.1;
            for (row, (values, shades)) in self.values.iter().zip(self.shades).enumerate() {
                let top = TOP + height * row as f64;
                for (column, (&value, &shade)) in
                    values.iter().zip(shades).take(columns).enumerate()
                {
                    let left = left + width * column as f64;
                    let corners = [
                        (px(left), px(top)),
                        (px(left + width - 1.0), px(top + height - 1.0)),
                    ];
                    // A number that is none has no colour.
                    let colour = if shade.is_finite() {
                        HEAT[step(shade)]
                    } else {
                        GROUND
                    };
                    area.draw(&Rectangle::new(corners, colour.filled()))?;
                    if !numbered {
                        continue;
                    }
                    // On a plate in the page's background colour: no text colour is readable on all shades.
                    let middle = (left + (width - 1.0) / 2.0, top + (height - 1.0) / 2.0);
                    let number = number(value);
                    let (across, up) = (small(&number) / 2.0 + 2.0, 8.0);
                    let plate = [
                        (px(middle.0 - across), px(middle.1 - up)),
                        (px(middle.0 + across), px(middle.1 + up)),
                    ];
                    area.draw(&Rectangle::new(plate, GROUND.filled()))?;
                    let style = anchored(&text(SMALL, INK), HPos::Center, VPos::Center);
                    let place = (px(middle.0), px(middle.1));
                    area.draw(&Text::new(number, place, style))?;
                }
            }
            // As many names as fit without touching each other.
            let every = (SMALL * 1.3 / height).ceil().max(1.0) as usize;
            let style = anchored(&text(SMALL, MUTED), HPos::Right, VPos::Center);
            for (row, name) in self.rows.1.iter().enumerate().step_by(every) {
                let place = (px(left - 6.0), px(TOP + height * (row as f64 + 0.5)));
                let name = fit(name, names, SMALL, Keep::Start).into_owned();
                area.draw(&Text::new(name, place, style.clone()))?;
            }
            let every = ((named + 8.0) / width).ceil().max(1.0) as usize;
            let style = anchored(&text(SMALL, MUTED), HPos::Center, VPos::Center);
            for (column, name) in self.columns.1.iter().enumerate().step_by(every) {
                let name = fit(name, named, SMALL, Keep::Start).into_owned();
                let half = small(&name) / 2.0;
                let middle = left + width * (column as f64 + 0.5);
                let middle = middle.min(total - half).max(half);
                let place = (px(middle), px(bottom + 12.0));
                area.draw(&Text::new(name, place, style.clone()))?;
            }
            let title = text(TITLE, INK);
            let style = anchored(&title, HPos::Center, VPos::Center);
            let words = fit(self.columns.0, total, TITLE, Keep::Start).into_owned();
            let half = text_width(&words, TITLE) / 2.0;
            let middle = left + (total - left - right) / 2.0;
            let middle = middle.min(total - half).max(half);
            area.draw(&Text::new(words, (px(middle), px(bottom + 32.0)), style))?;
            let style = anchored(&title, HPos::Left, VPos::Center);
            let words = fit(self.rows.0, total, TITLE, Keep::Start).into_owned();
            area.draw(&Text::new(words, (0, px(9.0)), style))?;
            legend.draw(area, (0.0, bottom + BELOW))
        })
    }

    /// The legend: the lowest shade of each colour.
    fn legend(&self, low: f64, high: f64) -> Vec<(Sample, String)> {
        let title = (Sample::Nothing, format!("{}:", self.shade));
        if low >= high {
            let only = format!("all {}", short(low));
            return vec![title, (Sample::Colour(HEAT[0]), only)];
        }
        let colours = HEAT.iter().enumerate().map(|(i, colour)| {
            let share = i as f64 / HEAT.len() as f64;
            let from = low * (1.0 - share) + high * share;
            (Sample::Colour(*colour), format!("from {}", short(from)))
        });
        std::iter::once(title).chain(colours).collect()
    }

    fn message(&self) -> String {
        let count = self.values.len();
        let told = match (self.values.first(), self.values.last()) {
            (Some(first), Some(last)) => {
                let ends = |row: &[f64]| match row {
                    [only] => number(*only),
                    [first, .., last] => format!("{} to {}", number(*first), number(*last)),
                    [] => String::new(),
                };
                let names = self.rows.1;
                let name = |i: usize| names.get(i).map_or("", String::as_str);
                format!(
                    "{}: {}; {}: {}",
                    name(0),
                    ends(first),
                    name(count - 1),
                    ends(last)
                )
            }
            _ => String::new(),
        };
        format!(
            "{} by {} and {}. {told}.",
            self.value, self.rows.0, self.columns.0
        )
    }

    fn table(&self) -> Table {
        let head = std::iter::once(self.rows.0.to_owned());
        let row = |name: &str, values: &[f64]| {
            let values = values.iter().map(|value| fixed(*value, 2));
            std::iter::once(name.to_owned()).chain(values).collect()
        };
        let rows = self.rows.1.iter().zip(self.values);
        let mut rows: Vec<Vec<String>> = rows.map(|(name, values)| row(name, values)).collect();
        rows.extend(self.last.map(|(name, values)| row(name, values)));
        Table {
            header: head.chain(self.columns.1.iter().cloned()).collect(),
            rows,
        }
    }
}

/// A number that fits into a cell: three digits, or all digits before the decimal point.
fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => fixed(value, 0),
        size if size >= 99_999.5 => format!("{value:.0e}"),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_cells() {
        let told = [1.234, 12.34, 123.4, 99_999.0, 1.5e6].map(number);
        assert_eq!(told, ["1.23", "12.3", "123", "99999", "2e6"]);
        let widest = |value| text_width(&number(value), SMALL) + 4.0;
        let values = [1e308, -1e308, -99_999.0, f64::NAN, f64::INFINITY];
        assert!(values.map(widest).iter().all(|width| *width <= NUMBERED.0));
    }
}
