//! Takes numbers, yields charts: inline SVG, a sentence that describes it, and the numbers as a table. Knows neither
//! masks nor pages: see [`super::masks`] and [`super::page`].
//!
//! The SVG uses the colours of the light page. The page's style sheet maps each of them to a variable
//! (`[fill="#0072B2"]` to `--kept`), so that one drawing serves light, dark and print. A colour that the style sheet
//! does not map would stay the same on every page; a test makes sure that there is none.

mod axes;
mod bars;
mod curves;
mod heat;
mod histogram;
mod intervals;
mod lines;
mod matrix;
mod scatter;
mod table;

pub(super) use bars::{Bar, Bars};
pub(super) use curves::{Curve, Curves};
pub(super) use heat::{Cell, Heat};
pub(super) use histogram::{Bin, Histogram};
pub(super) use intervals::{Interval, Intervals};
pub(super) use lines::{Line, Lines, Point, STEPS, Unit};
pub(super) use matrix::Matrix;
pub(super) use scatter::{Scatter, Series};
pub(super) use table::Table;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A chart, ready for a page.
#[derive(Debug)]
pub(super) struct Chart {
    /// Inline SVG; hidden from screen readers, which read the message and the table instead.
    pub(super) svg: String,
    /// A sentence that describes the chart.
    pub(super) message: String,
    /// The numbers.
    pub(super) table: Table,
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
        let (low, high) = (format!("{:.3}", self.low), format!("{:.3}", self.high));
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
/// The lines of several series, from the palette of Okabe and Ito; each has its own marker and dashes too.
const SERIES: [RGBColor; 4] = [
    KEPT,
    RGBColor(0xC2, 0x54, 0x02),
    RGBColor(0x00, 0x7A, 0x5A),
    RGBColor(0xA6, 0x4D, 0x79),
];
/// An undesired difference above zero: vermilion as a line.
const DROPPED_LINE: RGBColor = SERIES[1];
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

/// A tick label with at most two decimals.
fn short(value: f64) -> String {
    trimmed(value, 2)
}

/// A tick label for an axis from `low` to `high`, with enough digits to distinguish the ticks.
fn mark_of_axis(value: f64, (low, high): (f64, f64)) -> String {
    let digits = (2.0 - (high - low).log10()).ceil().clamp(2.0, 9.0);
    trimmed(value, digits as usize)
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// A share in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const STYLE: &str = include_str!("../page/page.css");

    /// One chart of each kind, with everything that the kind can draw.
    fn all() -> Vec<Chart> {
        let threshold = |from, low, high| Threshold {
            mask: "mask_loss".to_owned(),
            from,
            low,
            high,
        };
        let thresholds = [threshold(false, 1.0, 2.0), threshold(true, 3.0, 3.0)];
        let bins = [Some(3), None].map(|kept| Bin {
            from: 0.0,
            to: 4.0,
            tokens: 9,
            kept,
        });
        let histogram = Histogram {
            score: "loss",
            bins: &bins,
            outside: (1, 2),
            thresholds: &thresholds,
        };
        let cells: Vec<Cell> = (0..16)
            .map(|i| Cell {
                tokens: 3u64.pow(i),
                kept: 3u64.pow(i) * u64::from(i % 2),
            })
            .collect();
        let heat = Heat {
            x: ("loss", 0.0, 4.0),
            y: ("entropy", 0.0, 4.0),
            cells: &cells,
            columns: 4,
            outside: 1,
            mask: Some("mask_loss"),
            thresholds: (&thresholds, &thresholds),
        };
        let places = [1.0, 2.0, 8.0].map(|x| (x, x.to_string()));
        let curves: Vec<Curve> = (0..5)
            .map(|i| Curve {
                name: format!("mask_{i}"),
                values: vec![Some(0.1 * f64::from(i)), None, Some(0.5)],
            })
            .collect();
        let curves = Curves {
            x: ("position", true),
            places: &places,
            y: "share kept",
            range: (0.0, 1.0),
            curves: &curves,
            drawn: 5,
        };
        let bars = [Some(0.3), None].map(|share| Bar {
            name: "a".to_owned(),
            share,
            mark: Some(0.2),
            cells: Vec::new(),
        });
        let bars = Bars {
            of: "source",
            length: "kept",
            bars: &bars,
            all: Some(0.3),
            rest: true,
            columns: Vec::new(),
            drawn: 9,
        };
        let lines = (0..4).map(|i| Line {
            name: format!("run {i}"),
            points: [1, 2, 5]
                .map(|x| Point {
                    steps: (x, x + 1),
                    x: x * 1000,
                    mean: 2.0,
                    range: (1.0, 3.0),
                })
                .into(),
        });
        let lines: Vec<Line> = lines.collect();
        let lines = Lines {
            x: "tokens seen",
            y: "loss, nats",
            unit: Unit::Plain,
            lines: &lines,
        };
        let names = ["a", "b"].map(str::to_owned);
        let values: Vec<Vec<f64>> = vec![vec![1.0, 4.0], vec![2.0, 3.0]];
        let matrix = Matrix {
            rows: ("selected by", &names),
            columns: ("under", &names),
            value: "perplexity",
            values: &values,
            shade: "times all",
            shades: &values,
            last: Some(("all tokens", &values[0])),
        };
        let rows = [
            (-0.2, Some(0.1)),
            (0.3, Some(0.1)),
            (0.1, Some(0.4)),
            (0.0, None),
        ];
        let rows = rows.map(|(value, half_width)| Interval {
            name: "slm".to_owned(),
            value,
            half_width,
            says: "lower".to_owned(),
            cells: vec!["1".to_owned()],
        });
        let intervals = Intervals {
            of: "arm",
            x: "difference, nats",
            rows: &rows,
            columns: vec!["mean".to_owned()],
        };
        let series = (0..4).map(|i| Series {
            name: format!("arm {i}"),
            points: vec![("seed 0".to_owned(), f64::from(i), 1.0)],
        });
        let series: Vec<Series> = series.collect();
        let scatter = Scatter {
            x: "loss, nats",
            y: "loss after the marker, nats",
            series: &series,
            curve: Some((vec![(0.0, 0.9), (3.0, 1.0)], "a law".to_owned())),
        };
        let charts = [
            intervals.chart(),
            scatter.chart(),
            histogram.chart(),
            heat.chart(),
            curves.chart(),
            bars.chart(),
            lines.chart(),
            matrix.chart(),
        ];
        charts.map(Result::unwrap).into()
    }

    #[test]
    fn every_colour_changes_with_the_page() {
        let mut seen = BTreeSet::new();
        for chart in all() {
            for kind in ["fill", "stroke"] {
                let start = format!("{kind}=\"#");
                for rest in chart.svg.split(&start).skip(1) {
                    let (colour, _) = rest.split_once('"').unwrap();
                    let rule = format!(".chart [{start}{colour}\"]");
                    assert!(STYLE.contains(&rule), "{rule}");
                    seen.insert(colour.to_owned());
                }
            }
        }
        assert!(seen.len() > 15, "{seen:?}");
    }

    #[test]
    fn marks_of_an_axis_are_told_apart() {
        let marks = |range: (f64, f64), values: [f64; 3]| values.map(|v| mark_of_axis(v, range));
        assert_eq!(marks((0.0, 6.0), [0.0, 2.0, 4.0]), ["0", "2", "4"]);
        assert_eq!(
            marks((4.337, 4.349), [4.338, 4.34, 4.342]),
            ["4.338", "4.34", "4.342"]
        );
        assert_eq!(
            marks((1.0, 1.0001), [1.0, 1.00002, 1.000_04]),
            ["1", "1.00002", "1.00004"]
        );
    }

    #[test]
    fn every_table_is_as_wide_as_its_header() {
        for chart in all() {
            let width = chart.table.header.len();
            assert!(!chart.table.rows.is_empty() && chart.message.len() > 20);
            assert!(chart.table.rows.iter().all(|row| row.len() == width));
        }
    }
}
