//! A heat map of two scores: how many tokens have which scores, and the region in which most of them are kept.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{AROUND, Axes, Axis, Plot};
use super::legend::Sample;
use super::letters::{Keep, SMALL, fit, text_width};
use super::scale::Marks;
use super::{
    Area, Chart, Frame, GROUND, HEAT, INK, Table, Threshold, anchored, line, percent, px, short,
    text,
};
use crate::numbers::grouped;

/// The tokens whose scores are in one range of x and one of y.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::report) struct Cell {
    /// The number of tokens.
    pub(in crate::report) tokens: u64,
    /// How many of them are kept.
    pub(in crate::report) kept: u64,
}

impl Cell {
    /// Whether the cell is in the selected region: at least half of its tokens are kept.
    fn selected(self) -> bool {
        self.tokens > 0 && self.kept >= self.tokens.div_ceil(2)
    }
}

/// The height of a threshold's label.
const LABEL: f64 = 16.0;

/// A heat map.
#[derive(Debug)]
pub(in crate::report) struct Heat<'a> {
    /// The name of the score on the x axis, and the range drawn.
    pub(in crate::report) x: (&'a str, f64, f64),
    /// The same for the y axis.
    pub(in crate::report) y: (&'a str, f64, f64),
    /// `columns` cells for each range of `y`, lowest first.
    pub(in crate::report) cells: &'a [Cell],
    /// The number of ranges of `x`.
    pub(in crate::report) columns: usize,
    /// Tokens outside of the ranges drawn.
    pub(in crate::report) outside: u64,
    /// The mask whose region is drawn, if any.
    pub(in crate::report) mask: Option<&'a str>,
    /// The thresholds of `x` and of `y`.
    pub(in crate::report) thresholds: (&'a [Threshold], &'a [Threshold]),
}

impl Heat<'_> {
    /// Draws the chart.
    pub(in crate::report) fn chart(&self) -> anyhow::Result<Chart> {
        Chart::of(|frame| self.draw(frame), self.message(), self.table())
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    fn cell(&self, column: usize, row: usize) -> Cell {
        let inside = column < self.columns;
        let cell = self.cells.get(row * self.columns + column);
        cell.filter(|_| inside).copied().unwrap_or_default()
    }

    /// The lowest number of tokens of each colour: round numbers (1, 2, 5, 10, ...) below the maximum, and always 1, so
    /// that rare cells are visible too.
    fn steps(&self) -> Vec<u64> {
        let most = self.cells.iter().map(|cell| cell.tokens).max().unwrap_or(1);
        let powers = (0..19).map(|power| 10u64.pow(power));
        let round = powers.flat_map(|power| [1, 2, 5].map(|digit| digit * power));
        let mut steps: Vec<u64> = round.take_while(|&step| step < most).collect();
        let rare = (steps.len() + 1).saturating_sub(HEAT.len());
        steps.drain(..rare);
        if steps.first() != Some(&1) {
            steps.insert(0, 1);
        }
        steps
    }

    fn draw(&self, frame: Frame) -> anyhow::Result<String> {
        let ((x_name, x0, x1), (y_name, y0, y1)) = (self.x, self.y);
        let (dx, dy) = (
            (x1 - x0) / self.columns.max(1) as f64,
            (y1 - y0) / self.rows().max(1) as f64,
        );
        let at = |column: usize, row: usize| (x0 + dx * column as f64, y0 + dy * row as f64);
        let steps = self.steps();
        let axes = Axes {
            x: Axis {
                title: &format!("{x_name}, nats"),
                range: x0..x1,
                marks: Marks::Plain,
                grid: true,
            },
            y: Axis {
                title: &format!("{y_name}, nats"),
                range: y0..y1,
                marks: Marks::Plain,
                grid: true,
            },
            height: frame.choose(420.0, 260.0),
            around: [
                AROUND,
                AROUND,
                AROUND + LABEL * self.thresholds.0.len() as f64,
            ],
            legend: Vec::new(),
            below: self.legend(&steps),
        };
        axes.svg(frame, |area, chart| {
            // Neighbours of equal colour share one rectangle, which keeps the page small.
            let step = |cell: Cell| steps.iter().rposition(|&least| cell.tokens >= least);
            for row in 0..self.rows() {
                let mut column = 0;
                while column < self.columns {
                    let colour = step(self.cell(column, row));
                    let from = column;
                    while column < self.columns && step(self.cell(column, row)) == colour {
                        column += 1;
                    }
                    if let Some(colour) = colour {
                        let corners = [at(from, row), at(column, row + 1)];
                        let cells = Rectangle::new(corners, shade(colour, steps.len()).filled());
                        chart.draw_series([cells])?;
                    }
                }
            }
            if self.mask.is_some() {
                // The whole halo first, because the line turns corners.
                for (colour, width) in [(GROUND, 5.0), (INK, 2.0)] {
                    chart.draw_series(self.outline().into_iter().map(|[from, to]| {
                        let ends = vec![at(from.0, from.1), at(to.0, to.1)];
                        PathElement::new(ends, line(colour, width))
                    }))?;
                }
            }
            self.draw_thresholds(frame, area, chart)
        })
    }

    /// Dashed lines from edge to edge, with their masks' names: above the plot, or on the line at its right end.
    fn draw_thresholds(
        &self,
        frame: Frame,
        area: &Area<'_>,
        chart: &mut Plot<'_, '_>,
    ) -> anyhow::Result<()> {
        let ((_, x0, x1), (_, y0, y1)) = (self.x, self.y);
        let upright = self.thresholds.0.iter().map(|threshold| (threshold, true));
        let lying = self.thresholds.1.iter().map(|threshold| (threshold, false));
        // All halos first, because lines may be close together.
        for (colour, width) in [(GROUND, 2.8), (INK, 1.2)] {
            for (threshold, upright) in upright.clone().chain(lying.clone()) {
                for at in [threshold.low, threshold.high] {
                    let (ends, inside) = match upright {
                        true => ([(at, y0), (at, y1)], (x0..=x1).contains(&at)),
                        false => ([(x0, at), (x1, at)], (y0..=y1).contains(&at)),
                    };
                    if inside {
                        let style = line(colour, width);
                        chart.draw_series(DashedLineSeries::new(ends, px(5.0), px(4.0), style))?;
                    }
                }
            }
        }
        let middle = |threshold: &Threshold| (threshold.low + threshold.high) / 2.0;
        let style = anchored(&text(SMALL, INK), HPos::Center, VPos::Center);
        let room = frame.width() / 2.0;
        for (i, (threshold, _)) in upright.enumerate() {
            let name = fit(&threshold.mask, room, SMALL, Keep::Start);
            let half = px(text_width(&name, SMALL) / 2.0);
            let (x, y) = chart.backend_coord(&(middle(threshold).max(x0).min(x1), y1));
            let x = x.min(px(frame.width()) - half).max(half);
            let y = y - px(LABEL * (self.thresholds.0.len() - i) as f64 - LABEL / 2.0);
            area.draw(&Text::new(name.into_owned(), (x, y), style.clone()))?;
        }
        let mut above = i32::MIN / 2;
        let mut lying: Vec<&Threshold> = lying.map(|(threshold, _)| threshold).collect();
        lying.sort_by(|a, b| middle(b).total_cmp(&middle(a)));
        for threshold in lying {
            // On a plate in the page's background colour: the cells have all colours.
            let name = fit(&threshold.mask, room, SMALL, Keep::Start);
            let half = px(text_width(&name, SMALL) / 2.0 + 2.0);
            let (right, y) = chart.backend_coord(&(x1, middle(threshold).max(y0).min(y1)));
            let y = y.max(above + px(LABEL));
            above = y;
            let x = right - half - px(2.0);
            let plate = [(x - half, y - px(7.5)), (x + half, y + px(7.5))];
            area.draw(&Rectangle::new(plate, GROUND.filled()))?;
            area.draw(&Text::new(name.into_owned(), (x, y), style.clone()))?;
        }
        Ok(())
    }

    /// The legend of the colours.
    fn legend(&self, steps: &[u64]) -> Vec<(Sample, String)> {
        let colours = steps.iter().enumerate().map(|(step, least)| {
            let colour = shade(step, steps.len());
            (Sample::Colour(colour), format!("from {}", grouped(*least)))
        });
        let title = (Sample::Nothing, "tokens in a cell:".to_owned());
        let edge = self.mask.is_some();
        let edge = edge.then(|| (Sample::Edge, "half kept".to_owned()));
        std::iter::once(title).chain(colours).chain(edge).collect()
    }

    /// The outline of the selected region: straight edges, each between two corners of cells.
    fn outline(&self) -> Vec<[(usize, usize); 2]> {
        let selected = |column: Option<usize>, row: Option<usize>| match (column, row) {
            (Some(column), Some(row)) => self.cell(column, row).selected(),
            _ => false,
        };
        let mut edges = Vec::new();
        let mut run = |length: usize,
                       differs: &dyn Fn(usize) -> bool,
                       place: &dyn Fn(usize) -> (usize, usize)| {
            let mut start = None;
            for i in 0..=length {
                match (start, i < length && differs(i)) {
                    (None, true) => start = Some(i),
                    (Some(from), false) => {
                        edges.push([place(from), place(i)]);
                        start = None;
                    }
                    _ => {}
                }
            }
        };
        for row in 0..=self.rows() {
            let below = row.checked_sub(1);
            let differs =
                |column| selected(Some(column), Some(row)) != selected(Some(column), below);
            run(self.columns, &differs, &|column| (column, row));
        }
        for column in 0..=self.columns {
            let before = column.checked_sub(1);
            let differs = |row| selected(Some(column), Some(row)) != selected(before, Some(row));
            run(self.rows(), &differs, &|row| (column, row));
        }
        edges
    }

    fn message(&self) -> String {
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        let tokens = sum(&mut self.cells.iter().map(|cell| cell.tokens));
        let selected = self.cells.iter().filter(|cell| cell.selected());
        let inside = sum(&mut selected.map(|cell| cell.tokens));
        let (x, y) = (self.x.0, self.y.0);
        let mut message = format!(
            "Where {} tokens are in the plane of {x} and {y}",
            grouped(tokens)
        );
        if let Some(mask) = self.mask {
            let share = percent(inside as f64 / tokens.max(1) as f64);
            message +=
                &format!("; the region in which {mask} keeps at least half holds {share} of them");
        }
        message + "."
    }

    /// The table is coarser than the chart: at most eight ranges of each score.
    fn table(&self) -> Table {
        let mut table = Table::new(["", "", "tokens", "kept"]);
        table.header[0] = format!("{}, nats", self.y.0);
        table.header[1] = format!("{}, nats", self.x.0);
        let (by, up) = (
            self.columns.div_ceil(8).max(1),
            self.rows().div_ceil(8).max(1),
        );
        let range = |(_, low, high): (&str, f64, f64), cells: usize, from: usize, to: usize| {
            let at = |i: usize| low + (high - low) * i.min(cells) as f64 / cells as f64;
            format!("{} to {}", short(at(from)), short(at(to)))
        };
        for row in (0..self.rows()).step_by(up) {
            for column in (0..self.columns).step_by(by) {
                let mut sum = Cell::default();
                for (r, c) in
                    (row..row + up).flat_map(|r| (column..column + by).map(move |c| (r, c)))
                {
                    let cell = self.cell(c, r);
                    sum.tokens = sum.tokens.saturating_add(cell.tokens);
                    sum.kept = sum.kept.saturating_add(cell.kept);
                }
                if sum.tokens == 0 {
                    continue;
                }
                let kept = percent(sum.kept as f64 / sum.tokens as f64);
                table.row([
                    range(self.y, self.rows(), row, row + up),
                    range(self.x, self.columns, column, column + by),
                    grouped(sum.tokens),
                    self.mask.map(|_| kept).unwrap_or_default(),
                ]);
            }
        }
        if self.outside > 0 {
            let outside = [
                "elsewhere".to_owned(),
                String::new(),
                grouped(self.outside),
                String::new(),
            ];
            table.row(outside);
        }
        table
    }
}

/// The colour of a step; few steps are spread over all colours.
fn shade(step: usize, steps: usize) -> RGBColor {
    let last = HEAT.len() - 1;
    HEAT[(step * last / steps.saturating_sub(1).max(1)).min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outline_goes_around_what_is_kept() {
        let cell = |tokens, kept| Cell { tokens, kept };
        // Two columns, two rows; only the first cell is kept by half.
        let cells = [cell(4, 2), cell(4, 1), cell(3, 0), cell(0, 0)];
        let heat = Heat {
            x: ("loss", 0.0, 2.0),
            y: ("entropy", 0.0, 2.0),
            cells: &cells,
            columns: 2,
            outside: 0,
            mask: Some("mask_loss"),
            thresholds: (&[], &[]),
        };
        let mut outline = heat.outline();
        outline.sort_unstable();
        let expected = [
            [(0, 0), (0, 1)],
            [(0, 0), (1, 0)],
            [(0, 1), (1, 1)],
            [(1, 0), (1, 1)],
        ];
        assert_eq!(outline, expected);
        let chart = heat.chart().unwrap();
        assert!(chart.message.contains("36.4 %"), "{}", chart.message);
        assert_eq!(chart.table.rows.len(), 3);
        assert_eq!(heat.steps(), [1, 2]);
        let cells = [cell(7000, 0)];
        let steps = Heat {
            cells: &cells,
            columns: 1,
            ..heat
        }
        .steps();
        assert_eq!(steps, [1, 50, 100, 200, 500, 1000, 2000, 5000]);
        assert_eq!(
            (shade(0, 1), shade(7, 8), shade(1, 2)),
            (HEAT[0], HEAT[7], HEAT[7])
        );
    }
}
