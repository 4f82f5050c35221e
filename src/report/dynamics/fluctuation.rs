//! Single tokens whose losses are farthest from their own lines, with their context (paper, appendix D and figure 11).

use maud::{Markup, html};

use super::super::charts::{Curve, Curves};
use super::super::page::{Page, figure};
use super::{Subject, categories::range};
use crate::{
    dynamics::summary::Token,
    report::masks::documents::seen,
    terminal_text::{safe, shorten},
};

/// The most lines in a chart that can be told apart, and the most charts.
const LINES: usize = 4;
const PICTURES: usize = 2;
/// Columns of a token's text in a chart.
const TEXT: usize = 10;

pub(super) fn section(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    let tokens = &subject.summary().fluctuating;
    if tokens.is_empty() {
        return Ok(());
    }
    // Each token once: a token that occurs in many documents would take all lines.
    let mut different: Vec<(usize, &Token)> = Vec::new();
    for (rank, token) in (1..).zip(tokens) {
        if different.iter().all(|(_, known)| known.id != token.id) {
            different.push((rank, token));
        }
    }
    let (places, x) = subject.places();
    let mut figures = Vec::new();
    for some in different.chunks(LINES).take(PICTURES) {
        let curves = some.iter().map(|(rank, token)| Curve {
            name: format!("{rank}. {}", shorten(&quoted(&token.text), TEXT)),
            values: token.losses.iter().map(|&l| Some(f64::from(l))).collect(),
        });
        let curves: Vec<Curve> = curves.collect();
        let lines = Curves {
            x: (x, false),
            places: &places,
            y: "loss of the token, nats",
            range: range(
                curves
                    .iter()
                    .flat_map(|curve| curve.values.iter().flatten()),
            ),
            curves: &curves,
            drawn: curves.len(),
        };
        let ranks: Vec<String> = some.iter().map(|(rank, _)| rank.to_string()).collect();
        let title = format!("Losses of tokens {}", ranks.join(", "));
        let caption = html! {
            "The numbers are those of the list below; of tokens with the same text only the first is drawn. Chosen from "
            (subject.counted())
        };
        figures.push(figure(&title, &lines.chart()?, &caption));
    }
    page.section(
        "fluctuating",
        "Tokens that fluctuate",
        html! {
            p {
                "Tokens whose losses are farthest from their own lines: the highest variance around them, in nats squared. "
                "The token is marked, with the text before and after it."
            }
            div.figures { @for figure in &figures { (figure) } }
            (list(tokens))
        },
    );
    Ok(())
}

fn list(tokens: &[Token]) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Tokens that fluctuate; may be scrolled" {
            table.contexts {
                thead {
                    tr {
                        th scope="col" { "" }
                        th scope="col" { "in context" }
                        th scope="col" { "variance, nats²" }
                        th scope="col" { "category" }
                        th scope="col" { "l_start, nats" }
                        th scope="col" { "l_end, nats" }
                        th scope="col" { "document, token" }
                    }
                }
                tbody {
                    @for (rank, token) in (1..).zip(tokens) {
                        tr {
                            th scope="row" { (rank) }
                            td.context { bdi { (line(&token.before)) mark { (line(&token.text)) } (line(&token.after)) } }
                            td { (format!("{:.3}", token.variance)) }
                            td { (token.category) }
                            td { (format!("{:.2}", token.l_start)) }
                            td { (format!("{:.2}", token.l_end)) }
                            td { bdi { (safe(&token.document)) } ", " (token.token) }
                        }
                    }
                }
            }
        }
    }
}

/// Text on one line, with control characters made visible.
fn line(text: &str) -> String {
    seen(text).replace('\n', "⏎").replace('\t', " ")
}

/// A token in quotes, so that spaces are visible.
fn quoted(text: &str) -> String {
    format!("“{}”", line(text))
}
