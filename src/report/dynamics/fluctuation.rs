//! Single tokens whose losses are farthest from their own lines, with their context (paper, appendix D and figure 11).

use maud::{Markup, html};

use super::super::charts::{Curve, Curves};
use super::super::page::{Page, figure};
use super::{Subject, categories::range};
use crate::{
    dynamics::summary::Token,
    numbers::fixed,
    report::masks::documents::seen,
    terminal_text::{safe, shorten},
};

/// The most lines in a chart that can be told apart, and the most charts.
const LINES: usize = 4;
const PICTURES: usize = 2;
/// Columns of a token's text in a chart.
const TEXT: usize = 10;

pub(super) fn section(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    let groups = subject.summary().fluctuating_tokens();
    if groups.is_empty() {
        return Ok(());
    }
    let (places, x) = subject.places();
    let ranked: Vec<(usize, &Token)> = (1..).zip(groups.iter().map(|group| group[0])).collect();
    let mut figures = Vec::new();
    for some in ranked.chunks(LINES).take(PICTURES) {
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
            "The numbers are those of the list below; of each token the occurrence with the highest variance is drawn. Chosen from "
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
                "Each token of the vocabulary is listed once, by the occurrence with the highest variance, with the others below "
                "it. The token is marked, with the text before and after it."
            }
            div.figures { @for figure in &figures { (figure) } }
            (list(&groups))
        },
    );
    Ok(())
}

/// The columns of the list, and whether each holds numbers.
const COLUMNS: [(&str, bool); 8] = [
    ("", true),
    ("token", false),
    ("times", true),
    ("variance, nats²", true),
    ("category", false),
    ("l_start, nats", true),
    ("l_end, nats", true),
    ("in context", false),
];

fn list(groups: &[Vec<&Token>]) -> Markup {
    let class = |numbers: bool| numbers.then_some("number");
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Tokens that fluctuate; may be scrolled" {
            table.contexts.over-column {
                thead {
                    tr { @for (name, numbers) in COLUMNS { th scope="col" class=[class(numbers)] { (name) } } }
                }
                tbody {
                    @for (rank, group) in (1..).zip(groups) {
                        @let token = group[0];
                        tr {
                            th.number scope="row" data-name="rank" { (rank) }
                            td data-name=(COLUMNS[1].0) { bdi { (quoted(&token.text)) } }
                            td.number data-name=(COLUMNS[2].0) { (group.len()) }
                            td.number data-name=(COLUMNS[3].0) { (fixed(token.variance, 3)) }
                            td data-name=(COLUMNS[4].0) { (token.category) }
                            td.number data-name=(COLUMNS[5].0) { (fixed(token.l_start, 2)) }
                            td.number data-name=(COLUMNS[6].0) { (fixed(token.l_end, 2)) }
                            td.context {
                                (context(token))
                                @if let [_, others @ ..] = group.as_slice() && !others.is_empty() {
                                    details {
                                        summary { (others.len()) " more" }
                                        ul { @for token in others {
                                            li {
                                                (context(token)) " "
                                                span.muted { "variance " (fixed(token.variance, 3)) ", " (token.category) }
                                            }
                                        } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A token with the text around it, and where it is.
fn context(token: &Token) -> Markup {
    html! {
        bdi.text { (line(&token.before)) mark { (line(&token.text)) } (line(&token.after)) }
        " "
        span.muted { bdi { (safe(&token.document)) } ", token " (token.token) }
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
