//! Curves of the arms, at most four in a chart: the baseline and three others. Figures 6 and 9 of the paper.

use super::super::charts::{Line, Lines, Point, Unit};
use super::super::page::{Page, figure};
use super::{named, of_what, tokens_seen};
use crate::results::{ArmResults, CurvePoint, Results};
use maud::{Markup, html};

/// The most lines beside the baseline's that can be told apart.
const OTHERS: usize = 3;

/// Training losses, held-out losses, and the sweep.
pub(super) fn sections(results: &Results, page: &mut Page) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for (field, title, says) in [
        (
            "loss_selected",
            "Selected tokens",
            "the tokens with the highest excess loss at the keep ratio, whatever a run trains on",
        ),
        (
            "loss_unselected",
            "Unselected tokens",
            "the tokens that excess loss leaves out at the keep ratio",
        ),
        (
            "loss_kept",
            "Kept tokens",
            "the tokens that each run trains on",
        ),
        (
            "loss_dropped",
            "Dropped tokens",
            "the tokens that each run does not train on",
        ),
    ] {
        let points = |arm: &ArmResults| {
            let mut losses = arm.losses.iter();
            losses
                .find(|loss| loss.loss == field)
                .map(|loss| points(&loss.points))
        };
        let caption = html! {
            "Own loss of " (says) ": mean over " (of_what(results, tokens_seen(results)))
            ", and over the steps since the previous point; the band goes from the lowest seed to the highest."
        };
        figures.extend(pictures(results, title, points, &caption)?);
    }
    section(page, "figure-6", "Figure 6: losses of the steps", &figures);

    let mut figures = Vec::new();
    let first = results.arms.first();
    for wanted in first.map_or(&[][..], |arm| &arm.evaluations) {
        let points = |arm: &ArmResults| {
            let mut sets = arm.evaluations.iter();
            sets.find(|set| set.measure == wanted.measure)
                .map(|set| points(&set.points))
        };
        let caption = html! {
            "Loss on held-out text: mean over " (of_what(results, tokens_seen(results)))
            "; the band goes from the lowest seed to the highest."
        };
        let title = format!("{} over the tokens seen", named(&wanted.measure));
        figures.extend(pictures(results, &title, points, &caption)?);
    }
    section(page, "held-out", "Held-out losses", &figures);
    sweep(results, page)
}

fn section(page: &mut Page, id: &'static str, title: &'static str, figures: &[Markup]) {
    if !figures.is_empty() {
        page.section(
            id,
            title,
            html! { div.figures { @for figure in figures { (figure) } } },
        );
    }
}

/// The points of a curve over the tokens seen.
fn points(points: &[CurvePoint]) -> Vec<Point> {
    let known = points
        .iter()
        .filter(|point| point.low.is_finite() && point.high.is_finite());
    let points = known.filter_map(|point| {
        Some(Point {
            steps: (point.step, point.step),
            x: point.tokens_seen,
            mean: point.mean?,
            range: (point.low, point.high),
        })
    });
    points.collect()
}

/// As many charts as the arms need. An arm has the same index, and so the same colour and mark, in all of them. What an
/// arm did not record is not drawn.
fn pictures(
    results: &Results,
    title: &str,
    points: impl Fn(&ArmResults) -> Option<Vec<Point>>,
    caption: &Markup,
) -> anyhow::Result<Vec<Markup>> {
    let groups = groups(results);
    let mut drawn = Vec::new();
    for group in &groups {
        let lines = group.iter().map(|arm| Line {
            name: arm.name.clone(),
            role: None,
            points: points(arm).unwrap_or_default(),
        });
        let lines: Vec<Line> = lines.collect();
        if lines.iter().skip(1).any(|line| !line.points.is_empty()) {
            drawn.push(lines);
        }
    }
    let count = drawn.len();
    let pictures = (1..).zip(&drawn).map(|(number, lines)| {
        let chart = Lines {
            x: "tokens seen",
            y: "loss, nats",
            unit: Unit::Plain,
            lines,
        };
        let title = match count {
            1 => title.to_owned(),
            _ => format!("{title} ({number} of {count})"),
        };
        let without = lines.iter().filter(|line| line.points.is_empty());
        let without: Vec<&str> = without.map(|line| line.name.as_str()).collect();
        let caption = html! {
            (caption)
            @if !without.is_empty() { " Not recorded: " (without.join(", ")) "." }
        };
        Ok(figure(&title, &chart.chart()?, &caption))
    });
    pictures.collect()
}

/// Groups of the baseline and up to three other arms: as many as can be told apart in one chart.
pub(super) fn groups(results: &Results) -> Vec<Vec<&ArmResults>> {
    let arms = results.arms.iter();
    let (of_baseline, others): (Vec<&ArmResults>, Vec<&ArmResults>) =
        arms.partition(|arm| arm.name == results.baseline);
    let groups = others.chunks(OTHERS);
    groups
        .map(|others| of_baseline.iter().chain(others).copied().collect())
        .collect()
}

/// Held-out loss by keep ratio, one chart per set.
fn sweep(results: &Results, page: &mut Page) -> anyhow::Result<()> {
    let Some(sweep) = &results.sweep else {
        return Ok(());
    };
    let mut figures: Vec<Markup> = Vec::new();
    for set in &sweep.sets {
        let points = set.ratios.iter().filter_map(|ratio| {
            let percent = (ratio.keep? * 100.0).round() as u64;
            let mean = ratio.mean.mean;
            let half = ratio.mean.half_width.unwrap_or(0.0);
            if !mean.is_finite() {
                return None;
            }
            Some(Point {
                steps: (percent, percent),
                x: percent,
                mean,
                range: (mean - half, mean + half),
            })
        });
        let lines = [Line {
            name: sweep.objective.clone(),
            role: None,
            points: points.collect(),
        }];
        let chart = Lines {
            x: "keep ratio, %",
            y: "loss, nats",
            unit: Unit::Plain,
            lines: &lines,
        };
        let seeds = sweep.seeds.as_ref().map_or(0, Vec::len);
        let caption = html! {
            "Loss at the end of runs of " (sweep.objective) " by the share of each step's tokens that they keep, "
            @match seeds {
                1 => "one seed, so without an interval",
                seeds => { "mean of " (seeds) " seeds; the band is the 95 % interval" }
            }
            "; "
            @if let Some(tokens) = sweep.tokens_seen {
                (crate::numbers::grouped(tokens)) " tokens seen by each."
            }
        };
        let title = format!("{} by keep ratio", named(&set.measure));
        figures.push(figure(&title, &chart.chart()?, &caption));
    }
    section(page, "figure-9", "Figure 9: the keep ratio", &figures);
    Ok(())
}
