//! Curves of the arms, at most four to a picture: the baseline and three others. Figures 6 and 9 of the paper.

use maud::{Markup, html};
use serde_json::Value;

use super::super::charts::{Line, Lines, Point, Unit};
use super::super::page::{Page, figure};
use super::{list, measure, of_what, tokens_seen, told};

/// Lines beside the baseline's that can be told apart.
const OTHERS: usize = 3;

/// Losses of steps, held-out losses, and the sweep.
pub(super) fn sections(results: &Value, page: &mut Page) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for (field, title, says) in [
        (
            "loss_selected",
            "Selected tokens",
            "the tokens with the highest excess loss at the keep ratio, whatever a run learns from",
        ),
        (
            "loss_unselected",
            "Unselected tokens",
            "the tokens that excess loss leaves out at the keep ratio",
        ),
        (
            "loss_kept",
            "Kept tokens",
            "the tokens that each run learns from",
        ),
        (
            "loss_dropped",
            "Dropped tokens",
            "the tokens that each run does not learn from",
        ),
    ] {
        let points = |arm: &Value| {
            let mut losses = list(&arm["losses"]).iter();
            losses
                .find(|loss| loss["loss"] == field)
                .map(|loss| points(&loss["points"]))
        };
        let caption = html! {
            "Own loss of " (says) ": mean over " (of_what(results, tokens_seen(results)))
            ", and over the steps since the point before; the band goes from the lowest seed to the highest."
        };
        figures.extend(pictures(results, title, points, &caption)?);
    }
    section(page, "figure-6", "Figure 6: losses of the steps", &figures);

    let mut figures = Vec::new();
    let first = list(&results["arms"]).first();
    for wanted in first.map_or(&[][..], |arm| list(&arm["evaluations"])) {
        let points = |arm: &Value| {
            let mut sets = list(&arm["evaluations"]).iter();
            let same =
                |set: &&Value| set["set"] == wanted["set"] && set["after"] == wanted["after"];
            sets.find(same).map(|set| points(&set["points"]))
        };
        let caption = html! {
            "Loss of text that is not trained on: mean over " (of_what(results, tokens_seen(results)))
            "; the band goes from the lowest seed to the highest."
        };
        let title = format!("{} over the tokens seen", measure(wanted));
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
fn points(points: &Value) -> Vec<Point> {
    let points = list(points).iter().filter_map(|point| {
        let step = point["step"].as_u64()?;
        Some(Point {
            steps: (step, step),
            x: point["tokens_seen"].as_u64()?,
            mean: point["mean"].as_f64()?,
            range: (point["low"].as_f64()?, point["high"].as_f64()?),
        })
    });
    points.collect()
}

/// As many pictures as the arms need. An arm has the same place, and so the same colour and mark, in all of them; what it
/// has not recorded is not drawn.
fn pictures(
    results: &Value,
    title: &str,
    points: impl Fn(&Value) -> Option<Vec<Point>>,
    caption: &Markup,
) -> anyhow::Result<Vec<Markup>> {
    let groups = groups(results);
    let mut drawn = Vec::new();
    for group in &groups {
        let lines = group.iter().map(|arm| Line {
            name: told(&arm["name"]).to_owned(),
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
            @if !without.is_empty() { " Not recorded, for there is nothing: " (without.join(", ")) "." }
        };
        Ok(figure(&title, &chart.chart()?, &caption))
    });
    pictures.collect()
}

/// The baseline and up to three other arms each: what can be told apart in one picture.
pub(super) fn groups(results: &Value) -> Vec<Vec<&Value>> {
    let baseline = &results["baseline"];
    let arms = list(&results["arms"]).iter();
    let (of_baseline, others): (Vec<&Value>, Vec<&Value>) =
        arms.partition(|arm| arm["name"] == *baseline);
    let groups = others.chunks(OTHERS);
    groups
        .map(|others| of_baseline.iter().chain(others).copied().collect())
        .collect()
}

/// Held-out loss by keep ratio, all that belongs to a set in one picture.
fn sweep(results: &Value, page: &mut Page) -> anyhow::Result<()> {
    let sweep = &results["sweep"];
    let mut figures: Vec<Markup> = Vec::new();
    for set in list(&sweep["sets"]) {
        let points = list(&set["ratios"]).iter().filter_map(|ratio| {
            let percent = (ratio["keep"].as_f64()? * 100.0).round() as u64;
            let mean = ratio["mean"].as_f64()?;
            let half = ratio["half_width"].as_f64().unwrap_or(0.0);
            Some(Point {
                steps: (percent, percent),
                x: percent,
                mean,
                range: (mean - half, mean + half),
            })
        });
        let lines = [Line {
            name: told(&sweep["objective"]).to_owned(),
            points: points.collect(),
        }];
        let chart = Lines {
            x: "keep ratio, %",
            y: "loss, nats",
            unit: Unit::Plain,
            lines: &lines,
        };
        let seeds = list(&sweep["seeds"]).len();
        let caption = html! {
            "Loss at the end of runs of " (told(&sweep["objective"])) " that keep so large a share of each step's tokens, "
            @match seeds {
                1 => "one seed, so without an interval",
                seeds => { "mean of " (seeds) " seeds; the band is the 95 % interval" }
            }
            "; "
            @if let Some(tokens) = sweep["tokens_seen"].as_u64() {
                (crate::numbers::grouped(tokens)) " tokens seen by each."
            }
        };
        let title = format!("{} by keep ratio", measure(set));
        figures.push(figure(&title, &chart.chart()?, &caption));
    }
    section(page, "figure-9", "Figure 9: the keep ratio", &figures);
    Ok(())
}
