//! What the colours and markers of a chart stand for: takes names with their samples, yields rows of them, as many names
//! in a row as surely fit. The table below the chart has the names in full.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::curves::{mark, series_sample};
use super::letters::{Keep, SMALL, fit, text_width};
use super::{Area, INK, SERIES, anchored, line, px, text};

/// What is drawn before a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    /// A piece of the line of a series, with its marker.
    Line(Look),
    /// The marker of a series.
    Marker(Look),
    /// A colour.
    Colour(RGBColor),
    /// A plain line.
    Edge,
    /// Nothing: the name explains the others.
    Nothing,
}

/// How a series is drawn: its colour, and the number of its dashes and marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) colour: RGBColor,
    pub(super) style: usize,
}

impl Look {
    /// That of a series by its number.
    pub(super) fn of_series(number: usize) -> Self {
        Self {
            colour: SERIES[number % SERIES.len()],
            style: number % SERIES.len(),
        }
    }
}

/// The height of a row.
const ROW: f64 = 19.0;
/// The room after a name.
const AFTER: f64 = 14.0;

/// A legend, laid out.
pub(super) struct Legend<'a> {
    /// The sample, its left end and row, the name.
    placed: Vec<(Sample, f64, usize, std::borrow::Cow<'a, str>)>,
    rows: usize,
}

impl Sample {
    fn width(self) -> f64 {
        match self {
            Self::Line(_) => 32.0,
            Self::Marker(_) => 16.0,
            Self::Colour(_) | Self::Edge => 23.0,
            Self::Nothing => 0.0,
        }
    }
}

impl<'a> Legend<'a> {
    /// Lays out entries in rows of this width.
    pub(super) fn new(entries: &'a [(Sample, String)], width: f64) -> Self {
        let (mut at, mut row) = (0.0, 0);
        let mut placed = Vec::new();
        for (sample, name) in entries {
            let name = fit(name, width - sample.width(), SMALL, Keep::Start);
            let wide = sample.width() + text_width(&name, SMALL);
            if at > 0.0 && at + wide > width {
                (at, row) = (0.0, row + 1);
            }
            placed.push((*sample, at, row, name));
            at += wide + AFTER;
        }
        let rows = if placed.is_empty() { 0 } else { row + 1 };
        Self { placed, rows }
    }

    pub(super) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    /// Draws it, with its upper left corner here.
    pub(super) fn draw(&self, area: &Area<'_>, (left, top): (f64, f64)) -> anyhow::Result<()> {
        let style = anchored(&text(SMALL, INK), HPos::Left, VPos::Center);
        for (sample, at, row, name) in &self.placed {
            let x = left + at;
            let y = px(top + ROW * (*row as f64 + 0.5));
            match *sample {
                Sample::Line(look) => {
                    series_sample(area, look, [(px(x), y), (px(x + 27.0), y)])?;
                    mark(area, look, (px(x + 13.5), y))?;
                }
                Sample::Marker(look) => mark(area, look, (px(x + 6.0), y))?,
                Sample::Colour(colour) => {
                    let corners = [(px(x), y - px(7.0)), (px(x + 18.0), y + px(7.0))];
                    area.draw(&Rectangle::new(corners, colour.filled()))?;
                }
                Sample::Edge => {
                    let ends = vec![(px(x), y), (px(x + 18.0), y)];
                    area.draw(&PathElement::new(ends, line(INK, 2.0)))?;
                }
                Sample::Nothing => {}
            }
            let place = (px(x + sample.width()), y);
            area.draw(&Text::new(name.to_string(), place, style.clone()))?;
        }
        Ok(())
    }
}
