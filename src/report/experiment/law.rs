//! Figure 7 of the paper: how the loss of kept tokens predicts the task, with the fits of its eq. 7, one for each arm.

use super::super::charts::{Scatter, Series};
use super::super::page::{Page, figure};
use super::{named, of_what};
use crate::{
    numbers::fixed,
    results::{ArmLaw, Downstream, DownstreamPoint, Fit, Results},
};
use maud::{Markup, html};

/// Points of the drawn law.
const POINTS: u32 = 60;

/// Adds the section if the results have the law.
pub(super) fn section(results: &Results, page: &mut Page) -> anyhow::Result<()> {
    let Some(law) = &results.downstream else {
        return Ok(());
    };
    if law.points.is_empty() {
        return Ok(());
    }
    let selected = pictures(results, law, "selected", |arm| arm.selected, |p| p.selected)?;
    let unselected = pictures(
        results,
        law,
        "unselected",
        |arm| arm.unselected,
        |p| p.unselected,
    )?;
    let figures: Vec<Markup> = selected.into_iter().chain(unselected).collect();
    let body = html! {
        p {
            "log(S) = a log(L) + C, by least squares over the points of an arm: S is the loss of " (named(&law.measure))
            ", L the mean loss of the tokens that excess loss selects at the keep ratio (or of the others) in the steps since \
             the previous evaluation. The paper's S is an accuracy; a loss rises where an accuracy falls, so a has the opposite sign."
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

fn pictures(
    results: &Results,
    law: &Downstream,
    of: &str,
    fit: fn(&ArmLaw) -> Option<Fit>,
    loss: fn(&DownstreamPoint) -> f64,
) -> anyhow::Result<Vec<Markup>> {
    let points = &law.points;
    let fit = |arm: &str| law.arms.iter().find(|own| own.arm == arm).and_then(fit);
    let series = |arm: &&str| {
        let own = points.iter().filter(|point| point.arm == **arm);
        let own = own.filter(|point| loss(point).is_finite() && point.score.is_finite());
        let own: Vec<&DownstreamPoint> = own.collect();
        let named = |point: &&DownstreamPoint| {
            let name = format!("{arm}, seed {}, step {}", point.seed, point.step);
            (name, loss(point), point.score)
        };
        Series {
            name: (*arm).to_owned(),
            points: own.iter().map(named).collect(),
            curve: fit(arm).and_then(|fit| curve(fit, &own, loss)),
        }
    };
    let has_points = |arm: &&str| points.iter().any(|point| point.arm == **arm);
    let groups = super::curves::groups(results).into_iter().map(|group| {
        let names = group.into_iter().map(|arm| arm.name.as_str());
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
        let y = format!("{}, nats", named(&law.measure));
        let chart = Scatter {
            x: &x,
            y: &y,
            series: &series,
        };
        let title = match count {
            1 => format!("Loss of {of} tokens"),
            _ => format!("Loss of {of} tokens ({number} of {count})"),
        };
        let caption = html! {
            "A point for each evaluation of each run after its first steps, " (of_what(results, None)) ". "
            "A line is the law through the points of its arm: "
            @for (i, arm) in group.iter().enumerate() {
                @if i > 0 { "; " }
                (arm) ": " (fit(arm).and_then(words).unwrap_or_else(|| "too few points for a law".to_owned()))
            }
            "."
        };
        figures.push(figure(&title, &chart.chart()?, &caption));
    }
    Ok(figures)
}

fn words(fit: Fit) -> Option<String> {
    let Fit {
        a,
        c,
        r_squared,
        points,
    } = fit;
    let known = a.is_finite() && c.is_finite() && r_squared.is_finite();
    known.then(|| {
        let [a, c, r_squared] = [a, c, r_squared].map(|number| fixed(number, 3));
        format!("a = {a}, C = {c}, R² = {r_squared}, {points} points")
    })
}

fn curve(
    fit: Fit,
    points: &[&DownstreamPoint],
    loss: fn(&DownstreamPoint) -> f64,
) -> Option<(Vec<(f64, f64)>, String)> {
    let words = words(fit)?;
    let losses = points
        .iter()
        .map(|point| loss(point))
        .filter(|loss| loss.is_finite());
    let low = losses.clone().reduce(f64::min)?;
    let high = losses.reduce(f64::max)?;
    let place = |i: u32| low + (high - low) * f64::from(i) / f64::from(POINTS);
    let law = (0..=POINTS).map(|i| (place(i), (fit.a * place(i).ln() + fit.c).exp()));
    Some((law.collect(), words))
}
