//! The axes of all charts of numbers, so that their grids, ticks, titles and legends look the same, in both widths in
//! which each chart is drawn. Takes ranges and titles, yields the SVG around what a chart draws between the axes.
//!
//! ```text
//! legend            as many rows as it needs
//! title of y        across, above the plot: a turned title would need the height of a long plot
//! space above       for the labels of thresholds
//! plot
//! ticks, title of x
//! legend below
//! ```
//!
//! All room is measured by [`super::letters`], so that no label is cut off or overlaps in any font.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::legend::{Legend, Sample};
use super::letters::{Keep, SMALL, TITLE, fit, text_width};
use super::scale::{Marks, Scale};
use super::{Area, Frame, GRID, INK, MUTED, anchored, line, px, svg, text};

/// A chart with its axes drawn.
pub(super) type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

/// One axis.
pub(super) struct Axis<'a> {
    /// The title; empty for none.
    pub(super) title: &'a str,
    /// The lowest and highest values.
    pub(super) range: Range<f64>,
    /// How ticks are labelled.
    pub(super) marks: Marks,
    /// Whether grid lines are drawn at the ticks.
    pub(super) grid: bool,
}

/// The x axis and the y axis. Lengths are in page units.
pub(super) struct Axes<'a> {
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    /// The height of the plot.
    pub(super) height: f64,
    /// Room for the chart's own labels: left of the plot, right of it, above it.
    pub(super) around: [f64; 3],
    /// The names above the plot.
    pub(super) legend: Vec<(Sample, String)>,
    /// The names below the plot.
    pub(super) below: Vec<(Sample, String)>,
}

/// The margin of a chart that needs no more room for its own labels.
pub(super) const AROUND: f64 = 5.0;
/// The most ticks along an axis.
const X_TICKS: usize = 9;
const Y_TICKS: usize = 6;
/// The height of a row of text.
const ROW: f64 = 18.0;

impl Axis<'_> {
    /// An axis without ticks, for rows that have names instead.
    pub(super) fn of_rows(count: usize) -> Self {
        Self {
            title: "",
            range: 0.0..count.max(1) as f64,
            marks: Marks::Without,
            grid: false,
        }
    }
}

fn small(label: &str) -> f64 {
    text_width(label, SMALL)
}

impl Axes<'_> {
    /// Draws the axes, and between them what `draw` draws.
    pub(super) fn svg(
        &self,
        frame: Frame,
        draw: impl FnOnce(&Area<'_>, &mut Plot<'_, '_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let Self { x, y, .. } = self;
        let width = frame.width();
        let widest = |scale: &Scale| {
            let labels = scale.labels();
            labels.iter().map(|label| small(label)).fold(0.0, f64::max)
        };
        let y_scale = Scale::new(y.range.clone(), y.marks, Y_TICKS);
        let y_room = match widest(&y_scale) {
            0.0 => 0.0,
            widest => widest + 8.0,
        };
        let [left, right, above] = self.around;
        let between = width - left - right - y_room;
        let x_scale = Scale::fitting(x.range.clone(), x.marks, X_TICKS, between, small);
        // A label at the end of the axis is as wide beyond it as before it.
        let half = widest(&x_scale) / 2.0;
        let (left, right) = (left.max(half - y_room), right.max(half + 1.0));
        let x_room = if x.title.is_empty() { 22.0 } else { 42.0 };

        let legend = Legend::new(&self.legend, width);
        let below = Legend::new(&self.below, width);
        let title = if y.title.is_empty() { 0.0 } else { ROW };
        let top = legend.height() + title + above;
        let total = top + self.height + x_room + below.height() + 2.0;
        svg((width as u32, total.ceil() as u32), |area| {
            legend.draw(area, (0.0, 0.0))?;
            below.draw(area, (0.0, top + self.height + x_room))?;
            let titled = text(TITLE, INK);
            if !y.title.is_empty() {
                let style = anchored(&titled, HPos::Left, VPos::Center);
                let words = fit(y.title, width, TITLE, Keep::Start);
                let place = (0, px(legend.height() + title / 2.0));
                area.draw(&Text::new(words, place, style))?;
            }
            if !x.title.is_empty() {
                let words = fit(x.title, width, TITLE, Keep::Start);
                let half = text_width(&words, TITLE) / 2.0;
                let middle = left + y_room + (width - left - y_room - right) / 2.0;
                let middle = middle.min(width - half).max(half);
                let style = anchored(&titled, HPos::Center, VPos::Center);
                let place = (px(middle), px(top + self.height + 32.0));
                area.draw(&Text::new(words, place, style))?;
            }
            let mut plot = ChartBuilder::on(area)
                .margin_left(px(left))
                .margin_right(px(right))
                .margin_top(px(top))
                .margin_bottom(px(total - top - self.height - 22.0))
                .x_label_area_size(px(22.0))
                .y_label_area_size(px(y_room))
                .build_cartesian_2d(x_scale.clone(), y_scale.clone())?;
            let mut mesh = plot.configure_mesh();
            mesh.light_line_style(TRANSPARENT)
                .bold_line_style(line(GRID, 1.0))
                .axis_style(line(MUTED, 1.0))
                .label_style(text(SMALL, MUTED));
            let (of_x, of_y) = (
                |tick: &f64| x_scale.label(*tick),
                |tick: &f64| y_scale.label(*tick),
            );
            mesh.x_label_formatter(&of_x).y_label_formatter(&of_y);
            if !x.grid {
                mesh.disable_x_mesh();
            }
            if !y.grid {
                mesh.disable_y_mesh();
            }
            mesh.draw()?;
            draw(area, &mut plot)
        })
    }
}
