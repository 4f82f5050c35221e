//! The axes that all charts of numbers have: their grid, their marks and their titles look the same.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Area, GRID, INK, MUTED, line, px, text};

/// A chart whose axes are drawn.
pub(super) type Plot<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// One axis. Lengths are those on the page.
pub(super) struct Axis<'a> {
    /// What it says.
    pub(super) title: &'a str,
    /// Its lowest and its highest value.
    pub(super) range: Range<f64>,
    /// About how many marks it has.
    pub(super) marks: usize,
    /// How a mark is written.
    pub(super) format: &'a dyn Fn(&f64) -> String,
    /// Room for marks and title.
    pub(super) room: f64,
    /// Whether lines of the grid start at its marks.
    pub(super) grid: bool,
}

/// The axis across and the one that goes up.
pub(super) struct Axes<'a> {
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    /// What is left free on the page: on the left, on the right, above.
    pub(super) around: [f64; 3],
}

/// What is left free around a chart whose own marks need no more.
pub(super) const AROUND: f64 = 6.0;

impl<'a> Axis<'a> {
    /// One without marks, for rows that have names instead.
    pub(super) fn of_rows(count: usize) -> Self {
        Self {
            title: "",
            range: 0.0..count as f64,
            marks: 0,
            format: &f64::to_string,
            room: 0.0,
            grid: false,
        }
    }
}

impl Axes<'_> {
    /// Draws them.
    pub(super) fn draw<'a, 'b>(&self, area: &'a Area<'b>) -> anyhow::Result<Plot<'a, 'b>> {
        let Self { x, y, around } = self;
        let [left, right, top] = around.map(px);
        let mut plot = ChartBuilder::on(area)
            .margin(px(AROUND))
            .margin_left(left)
            .margin_right(right)
            .margin_top(top)
            .x_label_area_size(px(x.room))
            .y_label_area_size(px(y.room))
            .build_cartesian_2d(x.range.clone(), y.range.clone())?;
        let mut mesh = plot.configure_mesh();
        mesh.light_line_style(TRANSPARENT)
            .bold_line_style(line(GRID, 1.0))
            .axis_style(line(MUTED, 1.0))
            .label_style(text(12.0, MUTED))
            .axis_desc_style(text(13.0, INK))
            .x_labels(x.marks)
            .y_labels(y.marks)
            .x_label_formatter(&x.format)
            .y_label_formatter(&y.format)
            .x_desc(x.title)
            .y_desc(y.title);
        if !x.grid {
            mesh.disable_x_mesh();
        }
        if !y.grid {
            mesh.disable_y_mesh();
        }
        mesh.draw()?;
        Ok(plot)
    }
}
