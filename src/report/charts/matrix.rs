//! A matrix of values, each in its cell, with a background colour that compares it with others. With too many cells for
//! numbers, only the colours are drawn.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Chart, GROUND, HEAT, INK, MUTED, Table, anchored, px, short, svg, text};

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

/// With more columns than this, cells have no numbers.
const NUMBERED: usize = 9;
/// The most names along an axis.
const NAMES: usize = 12;
/// The width of the chart, and the margins left of, above, right of and below the cells.
const WIDTH: f64 = 640.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 108.0;
const BELOW: f64 = 44.0;

impl Matrix<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Ok(Chart {
            svg: self.draw()?,
            message: self.message(),
            table: self.table(),
        })
    }

    /// The lowest and the highest shade.
    fn range(&self) -> (f64, f64) {
        let all = || self.shades.iter().flatten().copied();
        let low = all().reduce(f64::min).unwrap_or(0.0);
        let high = all().reduce(f64::max).unwrap_or(1.0);
        (low, if high > low { high } else { low + 1e-9 })
    }

    fn draw(&self) -> anyhow::Result<String> {
        let (rows, columns) = (self.values.len().max(1), self.columns.1.len().max(1));
        let width = (WIDTH - LEFT - RIGHT) / columns as f64;
        let height = (360.0 / rows as f64).clamp(14.0, 40.0);
        let bottom = TOP + height * rows as f64;
        let (low, high) = self.range();
        let step = |shade: f64| {
            let place = (shade - low) / (high - low) * HEAT.len() as f64;
            (place as usize).min(HEAT.len() - 1)
        };
        // At least the height of the legend.
        let total = (bottom + BELOW).max(TOP + 190.0);
        svg((WIDTH as u32, total as u32), |area| {
            let label = text(12.0, MUTED);
            for (row, (values, shades)) in self.values.iter().zip(self.shades).enumerate() {
                let top = TOP + height * row as f64;
                for (column, (&value, &shade)) in values.iter().zip(shades).enumerate() {
                    let left = LEFT + width * column as f64;
                    let corners = [
                        (px(left), px(top)),
                        (px(left + width - 1.0), px(top + height - 1.0)),
                    ];
                    area.draw(&Rectangle::new(corners, HEAT[step(shade)].filled()))?;
                    if columns > NUMBERED || height < 22.0 {
                        continue;
                    }
                    // On a plate in the page's background colour: no text colour is readable on all shades.
                    let middle = (left + (width - 1.0) / 2.0, top + (height - 1.0) / 2.0);
                    let (across, up) = ((width / 2.0 - 5.0).min(22.0), 8.0);
                    let plate = [
                        (px(middle.0 - across), px(middle.1 - up)),
                        (px(middle.0 + across), px(middle.1 + up)),
                    ];
                    area.draw(&Rectangle::new(plate, GROUND.filled()))?;
                    let style = anchored(&text(11.5, INK), HPos::Center, VPos::Center);
                    let place = (px(middle.0), px(middle.1));
                    area.draw(&Text::new(number(value), place, style))?;
                }
            }
            let every = rows.div_ceil(NAMES);
            for (row, name) in self.rows.1.iter().enumerate().step_by(every) {
                let place = (px(LEFT - 6.0), px(TOP + height * (row as f64 + 0.5)));
                let style = anchored(&label, HPos::Right, VPos::Center);
                area.draw(&Text::new(cut(name), place, style))?;
            }
            let every = columns.div_ceil(if columns > NUMBERED { 6 } else { NAMES });
            for (column, name) in self.columns.1.iter().enumerate().step_by(every) {
                let place = (px(LEFT + width * (column as f64 + 0.5)), px(bottom + 4.0));
                let style = anchored(&label, HPos::Center, VPos::Top);
                area.draw(&Text::new(cut(name), place, style))?;
            }
            let title = text(13.0, INK);
            let place = (px(LEFT + (WIDTH - LEFT - RIGHT) / 2.0), px(bottom + 24.0));
            let style = anchored(&title, HPos::Center, VPos::Top);
            area.draw(&Text::new(self.columns.0.to_owned(), place, style))?;
            let turned = title.transform(FontTransform::Rotate270);
            let style = anchored(&turned, HPos::Center, VPos::Top);
            let place = (px(4.0), px(TOP + height * rows as f64 / 2.0));
            area.draw(&Text::new(self.rows.0.to_owned(), place, style))?;
            // The legend: the lowest shade of each colour.
            let (left, mut top) = (WIDTH - RIGHT + 14.0, TOP + 6.0);
            let style = anchored(&text(12.0, INK), HPos::Left, VPos::Center);
            area.draw(&Text::new(
                self.shade.to_owned(),
                (px(left), px(top)),
                style.clone(),
            ))?;
            top += 12.0;
            for (i, colour) in HEAT.iter().enumerate().rev() {
                let corners = [(px(left), px(top)), (px(left + 18.0), px(top + 16.0))];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
                let from = low + (high - low) * i as f64 / HEAT.len() as f64;
                let words = format!("from {}", short(from));
                let place = (px(left + 24.0), px(top + 8.0));
                area.draw(&Text::new(words, place, style.clone()))?;
                top += 16.0;
            }
            Ok(())
        })
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
            let values = values.iter().map(|value| format!("{value:.2}"));
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
        size if size >= 99_999.5 => format!("{value:.0e}"),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A name shortened to fit beside its row; the table has it in full.
fn cut(name: &str) -> String {
    const ROOM: usize = 11;
    if name.chars().count() <= ROOM {
        return name.to_owned();
    }
    name.chars().take(ROOM - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_cells() {
        let told = [1.234, 12.34, 123.4, 99_999.0, 1.5e6].map(number);
        assert_eq!(told, ["1.23", "12.3", "123", "99999", "2e6"]);
        assert_eq!(cut("step 1234"), "step 1234");
        assert_eq!(cut("a-very-long-name"), "a-very-lon…");
    }
}
