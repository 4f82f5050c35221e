//! Differences to the baseline: a picture for each measure, at equal tokens seen, tokens trained on, and time.

use maud::html;
use serde_json::Value;

use super::super::charts::{Interval, Intervals};
use super::super::page::{Page, figure};
use super::{list, measure, of_what, told};
use crate::numbers::grouped;

/// A section for each way to make arms equal, and one for questions.
pub(super) fn sections(results: &Value, page: &mut Page) -> anyhow::Result<()> {
    for (axis, id, title, unit) in [
        ("tokens_seen", "seen", "At equal tokens seen", "tokens seen"),
        (
            "tokens_trained",
            "trained",
            "At equal tokens trained on",
            "tokens trained on",
        ),
        ("seconds", "time", "At equal time", "seconds of steps"),
    ] {
        let mut figures = Vec::new();
        for comparison in list(&results["comparisons"]) {
            if comparison["axis"] != axis {
                continue;
            }
            let at = comparison["at"].as_f64().unwrap_or_default();
            let at = match axis {
                "seconds" => format!("{at:.1} {unit}"),
                _ => format!("{} {unit}", grouped(at.round() as u64)),
            };
            let caption = html! {
                "Loss minus that of " (told(&results["baseline"])) ", paired by seed, at " (at) ", " (of_what(results, None))
                "; lower is better. Lines are 95 % intervals by Student's t. Hollow: no difference found."
            };
            figures.extend(differences(
                results,
                &format!(
                    "{}, at equal {}",
                    measure(comparison),
                    if axis == "seconds" { "time" } else { unit }
                ),
                &comparison["arms"],
                "difference, nats",
                &caption,
            )?);
        }
        if figures.is_empty() {
            continue;
        }
        let note = match axis {
            "tokens_seen" => {
                "Every run has seen as many tokens as the shortest one, and paid as many forward passes."
            }
            "tokens_trained" => {
                "Runs are taken where gradients came from as many tokens: most of them in their middle, on a straight line \
                 between two evaluations, with a learning rate that was not yet at its end. That speaks against those arms."
            }
            _ => {
                "Runs are taken where their steps had taken as long as the fastest one's, evaluations left out. Whatever else \
                 the machine did is in it."
            }
        };
        page.section(
            id,
            title,
            html! { p { (note) } div.figures { @for figure in &figures { (figure) } } },
        );
    }
    let mut figures = Vec::new();
    for answers in list(&results["answers"]) {
        let of = match told(&answers["measure"]) {
            "accuracy" => "accuracy",
            _ => "accuracy by likelihood per byte",
        };
        let caption = html! {
            "Share of " (answers["questions"]) " questions answered right, minus that of " (told(&results["baseline"]))
            ", paired by seed, " (of_what(results, None)) "; higher is better. Hollow: no difference found."
        };
        let title = format!("{}: {of}", measure(answers));
        figures.extend(differences(
            results,
            &title,
            &answers["arms"],
            "difference of shares",
            &caption,
        )?);
    }
    if !figures.is_empty() {
        page.section(
            "answers",
            "Questions",
            html! { div.figures { @for figure in &figures { (figure) } } },
        );
    }
    Ok(())
}

fn differences(
    results: &Value,
    title: &str,
    arms: &Value,
    x: &str,
    caption: &maud::Markup,
) -> anyhow::Result<Option<maud::Markup>> {
    let baseline = told(&results["baseline"]);
    let mean = |arm: &Value| match arm["mean"].is_object() {
        true => with_half(&arm["mean"]),
        false => with_half(arm),
    };
    let of_baseline = list(arms).iter().find(|arm| arm["arm"] == baseline);
    let of_baseline = of_baseline.map_or("–".to_owned(), &mean);
    let rows = list(arms).iter().filter_map(|arm| {
        let difference = &arm["difference"];
        Some(Interval {
            name: told(&arm["arm"]).to_owned(),
            value: difference["mean"].as_f64()?,
            half_width: difference["half_width"].as_f64(),
            says: told(&difference["verdict"]).to_owned(),
            cells: vec![mean(arm), of_baseline.clone()],
        })
    });
    let rows: Vec<Interval> = rows.collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let chart = Intervals {
        of: "arm",
        x,
        rows: &rows,
        columns: vec!["mean".to_owned(), format!("mean of {baseline}")],
    };
    Ok(Some(figure(title, &chart.chart()?, caption)))
}

/// `1.2345 ± 0.0100`.
pub(super) fn with_half(mean: &Value) -> String {
    let value = mean["mean"]
        .as_f64()
        .map_or("–".to_owned(), |mean| format!("{mean:.4}"));
    match mean["half_width"].as_f64() {
        Some(half) => format!("{value} ± {half:.4}"),
        None => value,
    }
}
