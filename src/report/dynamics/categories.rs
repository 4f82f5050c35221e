//! The four categories: how many tokens each has, and their mean loss under each checkpoint (paper, figure 3).

use maud::html;

use super::super::charts::{Bar, Bars, Curve, Curves, percent};
use super::super::page::{Page, figure};
use super::Subject;
use crate::dynamics::summary::Category;
use crate::numbers::{exact, fixed, grouped};

pub(super) fn section(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    let summary = subject.summary();
    let threshold = exact(summary.threshold);
    let bars = summary.categories.iter().map(|category| Bar {
        name: format!("{} ({})", category.name, words(category)),
        share: Some(category.share),
        mark: Some(category.paper),
        cells: vec![grouped(category.tokens), percent(category.paper)],
    });
    let bars: Vec<Bar> = bars.collect();
    let shares = Bars {
        of: "category",
        length: "share of tokens",
        bars: &bars,
        all: None,
        rest: false,
        columns: vec!["tokens".to_owned(), "in the paper".to_owned()],
        drawn: bars.len(),
    };
    let (places, x) = subject.places();
    let curves = summary.categories.iter().map(|category| Curve {
        name: format!("{} {} %", category.name, fixed(category.share * 100.0, 0)),
        values: category.curve.clone(),
    });
    let curves: Vec<Curve> = curves.collect();
    let lines = Curves {
        x: (x, false),
        places: &places,
        y: "mean loss, nats",
        range: range(
            curves
                .iter()
                .flat_map(|curve| curve.values.iter().flatten()),
        ),
        curves: &curves,
        drawn: curves.len(),
    };
    let rule = html! {
        "A line is fitted to each token's losses. If it falls by more than " (threshold) " nats from the first checkpoint "
        "to the last, the token is H->L; if it rises by more, L->H. Of the others, L->L are those whose last loss is at most "
        "the mean under the last checkpoint, and H->H the rest. "
    };
    page.section(
        "categories",
        "How losses changed",
        html! {
            div.figures {
                (figure("Mean loss by category", &lines.chart()?, &html! { (rule) (subject.counted()) }))
                (figure("Shares", &shares.chart()?, &html! {
                    "The line across each bar is the paper's share, for a model of 1B parameters that was trained on 15B "
                    "tokens of OpenWebMath: 26 % H->L, 51 % L->L, 11 % H->H, 12 % L->H. " (subject.counted())
                }))
            }
        },
    );
    Ok(())
}

fn words(category: &Category) -> &'static str {
    match category.name.as_str() {
        "H->L" => "falls",
        "L->L" => "stays low",
        "H->H" => "stays high",
        _ => "rises",
    }
}

/// The range of the y axis, of values that can be drawn.
pub(super) fn range<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> (f64, f64) {
    let values = values.copied().filter(|value| value.is_finite());
    let low = values.clone().reduce(f64::min).unwrap_or(0.0);
    let high = values.reduce(f64::max).unwrap_or(1.0);
    let space = (0.06 * (high - low)).max(0.02);
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    ((low - space).max(floor), high + space)
}
