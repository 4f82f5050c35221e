//! The axes of all charts of numbers, so that their grids, ticks and titles look the same.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Area, GRID, INK, MUTED, line, px, text};

/// A chart with its axes drawn.
pub(super) type Plot<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// One axis. Lengths are in page units.
pub(super) struct Axis<'a> {
    /// The title.
    pub(super) title: &'a str,
    /// The lowest and highest values.
    pub(super) range: Range<f64>,
    /// The approximate number of ticks.
    pub(super) marks: usize,
    /// Formats a tick label.
    pub(super) format: &'a dyn Fn(&f64) -> String,
    /// The space for the tick labels and the title.
    pub(super) room: f64,
    /// Whether grid lines are drawn at the ticks.
    pub(super) grid: bool,
}

/// The x axis and the y axis.
pub(super) struct Axes<'a> {
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    /// The margins on the page: left, right, top.
    pub(super) around: [f64; 3],
}

/// The margin of a chart that needs no more room for its own labels.
pub(super) const AROUND: f64 = 6.0;

impl<'a> Axis<'a> {
    /// An axis without ticks, for rows that have names instead.
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
    /// Draws the axes.
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
