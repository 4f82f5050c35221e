//! Takes numbers, yields charts: inline SVG, a sentence that describes it, and the numbers as a table. Knows neither
//! masks nor pages: see [`super::masks`] and [`super::page`].
//!
//! The SVG uses the colours of the light page. The page's style sheet maps each of them to a variable
//! (`[fill="#0072B2"]` to `--kept`), so that one drawing serves light, dark and print. A colour that the style sheet
//! does not map would stay the same on every page; a test makes sure that there is none.
//!
//! Each chart is drawn twice, for wide and for narrow windows. The style sheet shows the drawing that fits, never scaled
//! down: a chart that shrinks has letters that nobody can read.

mod axes;
mod bars;
mod curves;
mod heat;
mod histogram;
mod intervals;
mod legend;
mod letters;
mod lines;
mod matrix;
#[cfg(test)]
mod samples;
mod scale;
mod scatter;
mod table;

pub(super) use bars::{Bar, Bars};
pub(super) use curves::{Curve, Curves};
pub(super) use heat::{Cell, Heat};
pub(super) use histogram::{Bin, Histogram};
pub(super) use intervals::{Better, Interval, Intervals};
pub(super) use lines::{Line, Lines, Point, Role, STEPS, Unit};
pub(super) use matrix::Matrix;
pub(super) use scatter::{Scatter, Series};
pub(super) use table::Table;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::numbers::fixed;

/// A chart, ready for a page.
#[derive(Debug)]
pub(super) struct Chart {
    /// Inline SVG for wide places; hidden from screen readers, which read the message and the table instead.
    pub(super) wide: String,
    /// The same for narrow places.
    pub(super) narrow: String,
    /// A sentence that describes the chart.
    pub(super) message: String,
    /// The numbers.
    pub(super) table: Table,
}

impl Chart {
    /// A chart that `draw` draws in both widths.
    fn of(
        draw: impl Fn(Frame) -> anyhow::Result<String>,
        message: String,
        table: Table,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            wide: draw(Frame::Wide)?,
            narrow: draw(Frame::Narrow)?,
            message,
            table,
        })
    }
}

/// The two widths in which a chart is drawn. The page shows the wide drawing where it need not be scaled down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Wide,
    Narrow,
}

impl Frame {
    /// The least width on the page, in pixels, at which the page shows this drawing, see `page.css`: a window of 320
    /// has 272 beside its margins and a scroll bar.
    fn width(self) -> f64 {
        match self {
            Self::Wide => 560.0,
            Self::Narrow => 272.0,
        }
    }

    /// One value for the wide drawing, another for the narrow one.
    fn choose<T>(self, wide: T, narrow: T) -> T {
        match self {
            Self::Wide => wide,
            Self::Narrow => narrow,
        }
    }
}

/// A threshold of a score between kept and dropped tokens: one number, or a range if scopes differ.
#[derive(Debug, Clone)]
pub(super) struct Threshold {
    /// The mask.
    pub(super) mask: String,
    /// Whether scores at or above the threshold are kept; otherwise those at or below it.
    pub(super) from: bool,
    /// The lowest value, in nats.
    pub(super) low: f64,
    /// The highest value, in nats.
    pub(super) high: f64,
}

impl Threshold {
    /// The threshold in readable form: `≤ 2.310`, or `≤ 2.310–4.050`.
    pub(super) fn bound(&self) -> String {
        let (low, high) = (fixed(self.low, 3), fixed(self.high, 3));
        let side = if self.from { '≥' } else { '≤' };
        match low == high {
            true => format!("{side} {low}"),
            false => format!("{side} {low}–{high}"),
        }
    }

    /// The mask and the threshold.
    fn label(&self) -> String {
        format!("{} {}", self.mask, self.bound())
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text and axes.
const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Tick labels.
const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Grid lines.
const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
/// The page background, also around lines that cross other colours.
const GROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Kept tokens: the blue of Okabe and Ito.
const KEPT: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// Dropped tokens: the vermilion of Okabe and Ito; the page hatches it.
const DROPPED: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// The range of a threshold.
const BAND: RGBColor = RGBColor(0xB8, 0xBE, 0xC6);
/// A line that is visible on any colour: drawn twice.
const HALO: [(RGBColor, f64); 2] = [(GROUND, 4.0), (INK, 1.6)];
/// The lines of several series; each has its own marker and dashes too. Neither blue nor vermilion: on every page these
/// two say kept and dropped, or better and worse, and nothing else.
const SERIES: [RGBColor; 4] = [
    RGBColor(0x00, 0x7A, 0x5A),
    RGBColor(0xA6, 0x4D, 0x79),
    RGBColor(0x7A, 0x6F, 0x00),
    INK,
];
/// Vermilion as a line: dropped tokens, or worse than the baseline.
const DROPPED_LINE: RGBColor = RGBColor(0xC2, 0x54, 0x02);
/// Few to many: eight steps of cividis, whose lightness is uniform to colour-blind readers too.
const HEAT: [RGBColor; 8] = [
    RGBColor(0xF7, 0xE8, 0x9A),
    RGBColor(0xE1, 0xCC, 0x55),
    RGBColor(0xC3, 0xB3, 0x69),
    RGBColor(0xA5, 0x9C, 0x74),
    RGBColor(0x8A, 0x86, 0x78),
    RGBColor(0x70, 0x71, 0x73),
    RGBColor(0x3B, 0x49, 0x6C),
    RGBColor(0x00, 0x22, 0x4E),
];

/// Charts are drawn at twice their displayed size, because the backend's coordinates are integers.
const SCALE: u32 = 2;

/// Converts a length on the page to drawing units.
fn px(length: f64) -> i32 {
    (length * f64::from(SCALE)).round() as i32
}

/// A text style with this size on the page. The backend divides sizes by 1.24.
fn text(size: f64, colour: RGBColor) -> TextStyle<'static> {
    let size = size * f64::from(SCALE) * 1.24;
    ("sans-serif", size).into_font().color(&colour)
}

fn anchored(style: &TextStyle<'static>, across: HPos, up: VPos) -> TextStyle<'static> {
    style.clone().pos(Pos::new(across, up))
}

fn line(colour: RGBColor, width: f64) -> ShapeStyle {
    colour.stroke_width(px(width).unsigned_abs())
}

/// The SVG that `draw` draws on an area of this size. It scales to the width of the page.
fn svg(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (width * SCALE, height * SCALE);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    let fixed = format!(r#"width="{}" height="{}""#, width * SCALE, height * SCALE);
    let hidden = r#"aria-hidden="true" focusable="false""#;
    Ok(svg.replacen(&fixed, hidden, 1).replace("/>\n", "/>"))
}

/// A number with at most two decimals.
fn short(value: f64) -> String {
    let text = fixed(value, 2);
    if !text.contains('.') || text.contains('e') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// A share in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", fixed(share * 100.0, 1))
}
