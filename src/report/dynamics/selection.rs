//! The tokens each checkpoint would select, and their perplexity under the others (paper, figure 8).

use maud::html;

use super::super::charts::{Curve, Curves, Matrix, percent};
use super::super::page::{Page, figure};
use super::{Subject, categories::range};

pub(super) fn section(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    let summary = subject.summary();
    let Some(selection) = &summary.selection else {
        page.section(
            "selected",
            "Selected tokens",
            html! {
                p {
                    "Not shown: what a checkpoint would select follows from its excess loss over a reference, and none was "
                    "given. Start dynamics with " code { "--reference" } " in a new folder for the perplexity of the tokens "
                    "that each checkpoint would select."
                }
            },
        );
        return Ok(());
    };
    let names = subject.names();
    let all: Vec<f64> = summary.checkpoints.iter().map(|c| c.perplexity).collect();
    let over_all =
        |row: &Vec<f64>| -> Vec<f64> { row.iter().zip(&all).map(|(own, all)| own / all).collect() };
    let shades: Vec<Vec<f64>> = selection.perplexity.iter().map(over_all).collect();
    let matrix = Matrix {
        rows: ("selected by", &names),
        columns: ("perplexity under", &names),
        value: "perplexity",
        values: &selection.perplexity,
        shade: "× all tokens",
        shades: &shades,
        last: Some(("all tokens", &all)),
    };
    let (places, x) = subject.places();
    let mut shown: Vec<usize> = Vec::new();
    for time in &summary.preference.times {
        let found = summary
            .checkpoints
            .iter()
            .position(|c| c.column == time.column);
        shown.extend(found.filter(|i| !shown.contains(i)));
    }
    let curves = shown.iter().filter_map(|&i| {
        Some(Curve {
            name: format!("by {}", names.get(i)?),
            values: shades.get(i)?.iter().copied().map(Some).collect(),
        })
    });
    let curves: Vec<Curve> = curves.collect();
    let lines = Curves {
        x: (x, false),
        places: &places,
        y: "perplexity, × that of all tokens",
        range: range(
            curves
                .iter()
                .flat_map(|curve| curve.values.iter().flatten()),
        ),
        curves: &curves,
        drawn: curves.len(),
    };
    let keep = percent(selection.keep);
    page.section(
        "selected",
        "Selected tokens",
        html! {
            p {
                "Each checkpoint would select the " (keep) " of all tokens on which it is furthest behind the reference: of "
                "the highest excess loss, its own loss minus the reference's. Their perplexity is the exponential of their mean "
                "loss."
            }
            div.figures {
                (figure("Perplexity of selected tokens", &matrix.chart()?, &html! {
                    "Each row has the tokens that one checkpoint selects, each column the checkpoint that scores them. The "
                    "colour is the perplexity as a multiple of that of all tokens under the same checkpoint. " (subject.counted())
                }))
                (figure("Selected against all", &lines.chart()?, &html! {
                    "The same, relative to the perplexity of all tokens: below 1 they are easier than the rest. Each line is for the tokens "
                    "that a checkpoint at 0, 33, 66 or 100 % of the way selects. " (subject.counted())
                }))
            }
        },
    );
    Ok(())
}
