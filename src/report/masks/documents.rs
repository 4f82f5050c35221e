//! A random sample of documents, token by token, as data for `documents.js`, which draws them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rho_selection::excess;
use serde_json::{Value, json};

use super::super::page::Page;
use super::{Request, Subject, metadata::words};
use crate::{
    document::Document, numbers::grouped, terminal_text, tokenization::token_texts::TokenTexts,
};

/// The most tokens shown of a document, which limits a page to a few megabytes.
pub(in crate::report) const MOST: usize = 1_500;

pub(in crate::report) const SCRIPT: &str = include_str!("documents.js");
pub(in crate::report) const STYLE: &str = include_str!("documents.css");

/// The documents and the viewer.
pub(super) fn section(
    subject: &Subject<'_>,
    request: &Request<'_>,
    page: &mut Page,
) -> anyhow::Result<()> {
    let places = subject.masks.sample(request.documents, request.seed)?;
    let documents = subject.masks.documents(&places)?;
    if documents.is_empty() {
        return Ok(());
    }
    let mut pieces = BTreeMap::new();
    let shown: Vec<Value> = documents
        .iter()
        .map(|document| entry(subject, document, &mut pieces))
        .collect();
    let columns = subject.columns();
    page.data(
        "documents-data",
        &json!({
            "scores": columns.scores,
            "masks": columns.masks,
            "weights": columns.weights,
            "colourings": colourings(subject),
            "pieces": pieces,
            "documents": shown,
        }),
    );
    page.script(SCRIPT, STYLE);
    let body = html! {
        p {
            (grouped(documents.len() as u64)) " of " (grouped(subject.statistics.total.documents))
            " documents, chosen at random (seed " (request.seed) "), in the order of the corpus; only the beginning of long ones. Point at a token, or move to it with the arrow "
            "keys, to see its numbers; Escape closes them. A character that is split into several tokens is drawn with the one that "
            "completes it; the others show " span.muted { "·" } ". Each of five levels holds a fifth of all scored tokens."
        }
        (viewer())
    };
    page.section("documents", "Documents", body);
    Ok(())
}

/// The elements that `documents.js` fills.
pub(in crate::report) fn viewer() -> Markup {
    html! {
        noscript { p.notice { "The documents are drawn by a script, and scripts are disabled here." } }
        div #documents-body hidden {
            div.controls {
                label { "Document " select #document {} }
                span {
                    button #previous type="button" { "Previous" } " "
                    button #next type="button" { "Next" }
                }
            }
            div.controls {
                fieldset #colourings { legend { "Colour by" } }
            }
            p #document-facts {}
            div #legend aria-label="Legend" role="group" {}
            div #tokens role="listbox" aria-multiselectable="true" aria-readonly="true" dir="auto" {}
            div #tooltip role="tooltip" hidden {}
        }
    }
}

/// The colourings to choose from: masks first, and of these the mask of the charts.
fn colourings(subject: &Subject<'_>) -> Vec<Value> {
    let columns = subject.columns();
    let masks = columns.masks.iter().enumerate();
    let mut colourings: Vec<(bool, Value)> = masks
        .map(|(i, name)| {
            (
                Some(i) != subject.mask,
                json!({"kind": "mask", "name": name, "index": i}),
            )
        })
        .collect();
    colourings.sort_by_key(|(other, _)| *other);
    let mut colourings: Vec<Value> = colourings
        .into_iter()
        .map(|(_, colouring)| colouring)
        .collect();
    for (i, name) in columns.scores.iter().enumerate() {
        let distribution = &subject.statistics.total.scores[i];
        // Five levels of equal size.
        let bounds =
            [0.2, 0.4, 0.6, 0.8].map(|share| distribution.percentile(share).unwrap_or(0.0));
        colourings.push(json!({
            "kind": "levels",
            "name": format!("{}, five levels", words(name)),
            "index": i,
            "bounds": bounds.map(|bound| rounded(bound as f32)),
            // High excess is preferred; for all other scores, low values are (self-reference).
            "high": name == "excess",
        }));
    }
    colourings
}

fn entry(subject: &Subject<'_>, document: &Document, pieces: &mut BTreeMap<u32, String>) -> Value {
    let columns = subject.columns();
    let shown = document.tokens.len().min(MOST);
    let tokens = &document.tokens[..shown];
    let drawn = TokenTexts::of(tokens, subject.pieces);
    if let Some(known) = subject.pieces {
        for &id in tokens {
            pieces.entry(id).or_insert_with(|| known.quoted(id));
        }
    }
    let special = tokens.iter().enumerate();
    let special =
        special.filter(|(_, id)| subject.pieces.is_some_and(|known| known.is_special(**id)));
    let special: Vec<usize> = special.map(|(i, _)| i).collect();
    let computed = columns.excess_is_computed.then(|| {
        let (base, loss) = (document.score("base_loss"), document.score("loss"));
        excess(base.unwrap_or_default(), loss.unwrap_or_default())
    });
    let scores: Vec<&[f32]> = columns
        .scores
        .iter()
        .map(|name| {
            document
                .score(name)
                .or(computed.as_deref())
                .unwrap_or_default()
        })
        .collect();
    let is_scored = |(i, score): &(usize, &f32)| !score.is_nan() && !document.is_context(*i);
    let scored = scores.first().map_or(0, |scores| {
        scores.iter().enumerate().filter(is_scored).count()
    });
    let masks: Vec<&[bool]> = columns
        .masks
        .iter()
        .map(|name| document.mask(name).unwrap_or_default())
        .collect();
    let weights: Vec<&[f32]> = document
        .weights
        .iter()
        .map(|(_, weights)| weights.as_slice())
        .collect();
    let numbers = |column: &&[f32]| -> Vec<Value> {
        column
            .iter()
            .take(shown)
            .map(|&score| rounded(score))
            .collect()
    };
    let bits = |mask: &&[bool]| -> String {
        mask.iter()
            .take(shown)
            .map(|&kept| if kept { '1' } else { '0' })
            .collect()
    };
    let count = |mask: &&[bool]| mask.iter().filter(|&&kept| kept).count();
    let mean = |weights: &&[f32]| {
        let scores = scores.first().copied().unwrap_or_default().iter();
        let known = scores
            .enumerate()
            .filter(is_scored)
            .map(|(i, _)| weights[i]);
        rounded(known.sum::<f32>() / scored.max(1) as f32)
    };
    let from = match &document.source {
        Some(source) => format!("{source} ({}, row {})", document.shard, document.row),
        None => format!("{}, row {}", document.shard, document.row),
    };
    json!({
        "id": terminal_text::safe(&document.id),
        "from": terminal_text::safe(&from),
        "row": document.row,
        "tokens": document.tokens.len(),
        "scored": scored,
        "context": document.context_bits(shown),
        "kept": masks.iter().map(count).collect::<Vec<_>>(),
        "weightMeans": weights.iter().map(mean).collect::<Vec<_>>(),
        "text": (0..shown).map(|i| seen(drawn.token(i))).collect::<Vec<_>>(),
        "special": special,
        "ids": tokens,
        "scores": scores.iter().map(numbers).collect::<Vec<_>>(),
        "masks": masks.iter().map(bits).collect::<Vec<_>>(),
        "weights": weights.iter().map(numbers).collect::<Vec<_>>(),
    })
}

/// Text with control characters made visible, so that they cannot affect the text around it. Newlines and tabs stay.
pub(in crate::report) fn seen(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match terminal_text::stand_in(character) {
            Some(stand_in) if !matches!(character, '\n' | '\t') => shown += &stand_in,
            _ => shown.push(character),
        }
    }
    shown
}

/// A score to four decimal places as JSON: null for NaN, and a string for infinities, which JSON does not have.
pub(in crate::report) fn rounded(score: f32) -> Value {
    match score {
        score if score.is_nan() => Value::Null,
        f32::INFINITY => json!("Infinity"),
        f32::NEG_INFINITY => json!("-Infinity"),
        score => json!((f64::from(score) * 1e4).round() / 1e4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_and_nothing_is_hidden() {
        assert_eq!(
            seen("a\x1b\r\n\t\u{202e}b\u{200d}é"),
            "a␛␍\n\t⟨202e⟩b\u{200d}é"
        );
    }

    #[test]
    fn scores_as_json_knows_them() {
        let told = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1.234_56,
            -0.000_01,
        ]
        .map(rounded);
        let expected = [
            Value::Null,
            json!("Infinity"),
            json!("-Infinity"),
            json!(1.2346),
            json!(-0.0),
        ];
        assert_eq!(told, expected);
    }
}
