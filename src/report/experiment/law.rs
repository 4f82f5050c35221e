//! Figure 7 of the paper: what the loss of kept tokens says about the task, with the fit of its eq. 7.

use maud::{Markup, html};
use serde_json::Value;

use super::super::charts::{Scatter, Series};
use super::super::page::{Page, figure};
use super::{list, measure, of_what, told};

/// Points of the drawn law.
const POINTS: u32 = 60;

/// The section, where the results have it.
pub(super) fn section(results: &Value, page: &mut Page) -> anyhow::Result<()> {
    let law = &results["downstream"];
    let points = list(&law["points"]);
    if points.is_empty() {
        return Ok(());
    }
    let mut figures = Vec::new();
    for (field, of) in [("selected", "selected"), ("unselected", "unselected")] {
        figures.extend(pictures(results, law, field, of)?);
    }
    let body = html! {
        p {
            "log(S) = a log(L) + C, by least squares over all points: S is the loss of " (measure(law))
            ", L the mean loss of the tokens that excess loss selects at the keep ratio (or of the others) in the steps since \
             the evaluation before. The paper's S is an accuracy; a loss rises where an accuracy falls, so a has the other sign."
        }
        div.figures { @for figure in &figures { (figure) } }
    };
    page.section(
        "figure-7",
        "Figure 7: loss of kept tokens and the task",
        body,
    );
    Ok(())
}

fn pictures(results: &Value, law: &Value, field: &str, of: &str) -> anyhow::Result<Vec<Markup>> {
    let points = list(&law["points"]);
    let series = |arm: &&str| Series {
        name: (*arm).to_owned(),
        points: points
            .iter()
            .filter(|point| point["arm"] == *arm)
            .filter_map(|point| {
                let name = format!("{arm}, seed {}, step {}", point["seed"], point["step"]);
                Some((name, point[field].as_f64()?, point["score"].as_f64()?))
            })
            .collect(),
    };
    let fit = &law[field];
    let has_points = |arm: &&str| points.iter().any(|point| point["arm"] == **arm);
    let groups = super::curves::groups(results).into_iter().map(|group| {
        let names = group.into_iter().map(|arm| told(&arm["name"]));
        names.collect::<Vec<&str>>()
    });
    let groups: Vec<Vec<&str>> = groups
        .filter(|group| group.iter().skip(1).any(&has_points))
        .collect();
    let count = groups.len();
    let mut figures = Vec::new();
    for (number, group) in (1..).zip(&groups) {
        let series: Vec<Series> = group.iter().map(series).collect();
        let x = format!("loss of {of} tokens, nats");
        let y = format!("{}, nats", measure(law));
        let chart = Scatter {
            x: &x,
            y: &y,
            series: &series,
            curve: curve(fit, points, field),
        };
        let title = match count {
            1 => format!("Loss of {of} tokens"),
            _ => format!("Loss of {of} tokens ({number} of {count})"),
        };
        let caption = html! {
            "A point for each evaluation of each run after its first steps, " (of_what(results, None)) ". "
            @match words(fit) {
                Some(words) => { "The line is the law through the points of all arms: " (words) "." }
                None => "Too few points for a law.",
            }
        };
        figures.push(figure(&title, &chart.chart()?, &caption));
    }
    Ok(figures)
}

fn words(fit: &Value) -> Option<String> {
    let (a, c) = (fit["a"].as_f64()?, fit["c"].as_f64()?);
    let r_squared = fit["r_squared"].as_f64()?;
    Some(format!(
        "a = {a:.3}, C = {c:.3}, R² = {r_squared:.3}, {} points",
        fit["points"]
    ))
}

fn curve(fit: &Value, points: &[Value], field: &str) -> Option<(Vec<(f64, f64)>, String)> {
    let (a, c) = (fit["a"].as_f64()?, fit["c"].as_f64()?);
    let losses = points.iter().filter_map(|point| point[field].as_f64());
    let low = losses.clone().reduce(f64::min)?;
    let high = losses.reduce(f64::max)?;
    let place = |i: u32| low + (high - low) * f64::from(i) / f64::from(POINTS);
    let law = (0..=POINTS).map(|i| (place(i), (a * place(i).ln() + c).exp()));
    Some((law.collect(), words(fit)?))
}
