//! Differences from the baseline: a chart for each measure, at equal tokens seen, tokens trained on, and time.

use super::super::charts::{Better, Interval, Intervals};
use super::super::page::{Page, figure};
use super::{named, of_what};
use crate::{
    numbers::{fixed, grouped},
    results::{Axis, Difference, Mean, Measure, Results},
};
use maud::html;

/// What the colours of all differences say.
const COLOURS: &str =
    "Blue: better than the baseline; orange: worse; grey and hollow: no difference found.";

/// A section for each axis of comparison, and one for questions.
pub(super) fn sections(results: &Results, page: &mut Page) -> anyhow::Result<()> {
    for (axis, id, title, unit) in [
        (
            Axis::TokensSeen,
            "seen",
            "At equal tokens seen",
            "tokens seen",
        ),
        (
            Axis::TokensTrained,
            "trained",
            "At equal tokens trained on",
            "tokens trained on",
        ),
        (Axis::Seconds, "time", "At equal time", "seconds of steps"),
    ] {
        let mut figures = Vec::new();
        for comparison in &results.comparisons {
            if comparison.axis != axis {
                continue;
            }
            let at = comparison.at;
            let at = match axis {
                Axis::Seconds => format!("{} {unit}", fixed(at, 1)),
                _ => format!("{} {unit}", grouped(at.round() as u64)),
            };
            let caption = html! {
                "Loss minus that of " (results.baseline) ", paired by seed, at " (at) ", " (of_what(results, None))
                "; lower is better. Lines are 95 % intervals by Student's t. " (COLOURS)
            };
            figures.extend(differences(
                results,
                &format!(
                    "{}, at equal {}",
                    named(&comparison.measure),
                    if axis == Axis::Seconds { "time" } else { unit }
                ),
                comparison
                    .arms
                    .iter()
                    .map(|arm| (arm.arm.as_str(), Some(arm.mean), arm.difference)),
                ("difference, nats", Better::Lower),
                &caption,
            )?);
        }
        if figures.is_empty() {
            continue;
        }
        let note = match axis {
            Axis::TokensSeen => {
                "Every run is taken where it has seen as many tokens as the shortest one, at the cost of as many forward passes."
            }
            Axis::TokensTrained => {
                "Runs are taken where they have trained on equally many tokens. For most this is in their middle, interpolated linearly \
                 between two evaluations, where the learning rate had not fully decayed. This is to the disadvantage of those arms."
            }
            Axis::Seconds => {
                "Runs are taken where their steps had taken as long as those of the fastest run, without evaluations. Other load on \
                 the machine affects this."
            }
        };
        page.section(
            id,
            title,
            html! { p { (note) } div.figures { @for figure in &figures { (figure) } } },
        );
    }
    let mut figures = Vec::new();
    for answers in &results.answers {
        let of = match answers.measure.as_str() {
            "accuracy" => "accuracy",
            _ => "accuracy by likelihood per byte",
        };
        let caption = html! {
            "Share of " (answers.questions) " questions answered right, minus that of " (results.baseline)
            ", paired by seed, " (of_what(results, None)) "; higher is better. " (COLOURS)
        };
        let set = Measure {
            set: answers.set.clone(),
            after: false,
        };
        let title = format!("{}: {of}", named(&set));
        figures.extend(differences(
            results,
            &title,
            answers
                .arms
                .iter()
                .map(|arm| (arm.arm.as_str(), arm.mean, arm.difference)),
            ("difference of shares", Better::Higher),
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

/// The chart of some arms, each with its mean and its difference from the baseline; None without any difference.
fn differences<'a>(
    results: &Results,
    title: &str,
    arms: impl Iterator<Item = (&'a str, Option<Mean>, Option<Difference>)> + Clone,
    (x, better): (&str, Better),
    caption: &maud::Markup,
) -> anyhow::Result<Option<maud::Markup>> {
    let baseline = &results.baseline;
    let shown = |mean: Option<Mean>| mean.map_or("–".to_owned(), with_half);
    let mut of_baseline = arms.clone().filter(|(arm, ..)| arm == baseline);
    let of_baseline = of_baseline
        .next()
        .map_or("–".to_owned(), |arm| shown(arm.1));
    let rows = arms.filter_map(|(arm, mean, difference)| {
        let Difference {
            mean: minus,
            verdict,
        } = difference?;
        Some(Interval {
            name: arm.to_owned(),
            value: minus.mean.is_finite().then_some(minus.mean)?,
            half_width: minus.half_width,
            says: verdict.words().to_owned(),
            cells: vec![shown(mean), of_baseline.clone()],
        })
    });
    let rows: Vec<Interval> = rows.collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let chart = Intervals {
        of: "arm",
        x,
        better,
        rows: &rows,
        columns: vec!["mean".to_owned(), format!("mean of {baseline}")],
    };
    Ok(Some(figure(title, &chart.chart()?, caption)))
}

/// `1.2345 ± 0.0100`.
pub(super) fn with_half(mean: Mean) -> String {
    let value = match mean.mean.is_finite() {
        true => fixed(mean.mean, 4),
        false => "–".to_owned(),
    };
    match mean.half_width {
        Some(half) => format!("{value} ± {}", fixed(half, 4)),
        None => value,
    }
}
