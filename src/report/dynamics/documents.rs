//! Sampled documents. The beginnings of a few are shown at four times, side by side (paper, figure 14). All are data
//! for `documents.js`, which shows them token by token, by preference, selection (figure 12), category (figure 10) and
//! variance (figure 11).

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::super::page::Page;
use super::{Request, Subject};
use crate::{
    document::Document,
    dynamics::{CATEGORIES, summary::Time},
    numbers::grouped,
    report::masks::documents::{MOST, SCRIPT, STYLE, rounded, seen, viewer},
    terminal_text,
    tokenization::token_texts::TokenTexts,
};

const OWN_STYLE: &str = include_str!("dynamics.css");

/// Documents whose beginning is shown at all times, and tokens of each.
const DRAWN: usize = 3;
const BEGINNING: usize = 120;

pub(super) fn sections(
    subject: &Subject<'_>,
    request: &Request<'_>,
    page: &mut Page,
) -> anyhow::Result<()> {
    let masks = &subject.opened.masks;
    let places = masks.sample(request.documents, request.seed)?;
    let documents = masks.documents(&places)?;
    if documents.is_empty() {
        return Ok(());
    }
    let times = times(subject);
    let by = subject.opened.preferred_by();
    page.section(
        "preference",
        "Preference over training",
        html! {
            p {
                "The beginnings of " (documents.len().min(DRAWN)) " documents, at 0, 33, 66 and 100 % of the way from the first "
                "checkpoint to the last. Five levels, each a fifth of the " (grouped(subject.summary().fitted)) " tokens of all "
                "documents: from the lowest to the highest " (by) "; the highest are preferred."
            }
            p.level-key aria-label="Legend" {
                @for level in 1..=5 {
                    span class={ "token level-" (level) } {
                        (level) @if level == 1 { ", least preferred" } @if level == 5 { ", most preferred" }
                    }
                    " "
                }
            }
            @for document in documents.iter().take(DRAWN) { (at_all_times(subject, document, &times)) }
        },
    );
    let mut pieces = BTreeMap::new();
    let shown: Vec<Value> = documents
        .iter()
        .map(|document| entry(subject, document, &times, &mut pieces))
        .collect();
    let columns = Columns::of(subject, &times);
    page.data(
        "documents-data",
        &json!({
            "scores": columns.scores,
            "units": columns.units,
            "masks": columns.masks,
            "weights": [],
            "classes": CATEGORIES,
            "colourings": colourings(&times, &columns, &documents),
            "excess": times.iter().map(|(_, time)| &time.column).collect::<Vec<_>>(),
            "pieces": pieces,
            "documents": shown,
        }),
    );
    page.script(SCRIPT, STYLE);
    page.style(OWN_STYLE);
    let body = html! {
        p {
            (grouped(documents.len() as u64)) " of " (grouped(subject.summary().documents)) " documents, chosen at random (seed "
            (request.seed) "), in the order of the corpus; only the beginning of long ones. Point at a token, or move to it with the "
            "arrow keys, to see its losses and its line; Escape closes them. Levels of preference are fifths of all tokens; levels of variance are "
            "fifths of the tokens shown here."
        }
        (viewer())
    };
    page.section("documents", "Documents", body);
    Ok(())
}

/// The times with their names, each checkpoint only once.
fn times<'a>(subject: &Subject<'a>) -> Vec<(String, &'a Time)> {
    let mut times: Vec<(String, &Time)> = Vec::new();
    for time in &subject.opened.summary.preference.times {
        if times.iter().all(|(_, known)| known.column != time.column) {
            let name = subject.opened.time_name(time);
            times.push((terminal_text::safe(&name).into_owned(), time));
        }
    }
    times
}

/// The level of a score, from 1 to 5: a fifth of all tokens each.
fn level(time: &Time, score: f32) -> Option<usize> {
    let below = time.bounds.iter().filter(|bound| score < **bound).count();
    (!score.is_nan()).then_some(5 - below)
}

/// The beginning of a document, with one row per time.
fn at_all_times(subject: &Subject<'_>, document: &Document, times: &[(String, &Time)]) -> Markup {
    let count = document.tokens.len().min(BEGINNING);
    let drawn = TokenTexts::of(&document.tokens[..count], subject.pieces);
    let row = |time: &Time| {
        let scores = subject.opened.preference(document, time);
        // Neighbours of the same level share one span.
        let mut runs: Vec<(Option<usize>, String)> = Vec::new();
        for (i, &score) in scores.iter().take(count).enumerate() {
            let level = level(time, score);
            let text = seen(drawn.token(i));
            match runs.last_mut() {
                Some((last, run)) if *last == level => *run += &text,
                _ => runs.push((level, text)),
            }
        }
        runs
    };
    html! {
        div.times {
            h3 { bdi { (terminal_text::safe(&document.id)) } }
            @for (name, time) in times {
                div.time {
                    h4 { (name) }
                    p dir="auto" {
                        @for (level, text) in row(time) {
                            @match level {
                                Some(level) => span class={ "token level-" (level) } { (text) },
                                None => span.token.unscored { (text) },
                            }
                        }
                        @if count < document.tokens.len() { span.muted { " …" } }
                    }
                }
            }
        }
    }
}

/// The columns of each token.
struct Columns {
    scores: Vec<String>,
    /// The units of scores that are not in nats.
    units: BTreeMap<&'static str, &'static str>,
    /// The selection at each time; empty without a reference.
    masks: Vec<String>,
}

/// The columns of the line.
const LINE: [&str; 5] = ["l_start", "l_end", "change", "slope", "variance"];

impl Columns {
    fn of(subject: &Subject<'_>, times: &[(String, &Time)]) -> Self {
        let selecting = subject.summary().selection.is_some();
        let what = if selecting { "excess" } else { "own loss" };
        let mut scores: Vec<String> = Vec::new();
        scores.extend(times.iter().map(|(name, _)| format!("{what} at {name}")));
        scores.extend(
            subject
                .summary()
                .checkpoints
                .iter()
                .map(|c| c.column.clone()),
        );
        scores.extend(selecting.then(|| "reference_loss".to_owned()));
        scores.extend(LINE.map(str::to_owned));
        let masks = times.iter().filter(|_| selecting);
        Self {
            scores,
            units: BTreeMap::from([("slope", "nats per unit of x"), ("variance", "nats²")]),
            masks: masks
                .map(|(name, _)| format!("selected at {name}"))
                .collect(),
        }
    }
}

/// The colourings to choose from, preference first.
fn colourings(times: &[(String, &Time)], columns: &Columns, documents: &[Document]) -> Vec<Value> {
    let preference = times.iter().enumerate().map(|(i, (name, time))| {
        let mut bounds = time.bounds;
        bounds.reverse();
        json!({
            "kind": "levels", "name": format!("preference at {name}"), "index": i, "high": true,
            "bounds": bounds.map(rounded),
        })
    });
    let mut colourings: Vec<Value> = preference.collect();
    let masks = columns.masks.iter().enumerate();
    colourings.extend(masks.map(|(i, name)| json!({"kind": "mask", "name": name, "index": i})));
    colourings.push(json!({"kind": "classes", "name": "category", "classes": CATEGORIES}));
    let variances = documents.iter().filter_map(|d| d.score("variance"));
    let mut variances: Vec<f32> = variances
        .flatten()
        .copied()
        .filter(|v| !v.is_nan())
        .collect();
    variances.sort_by(f32::total_cmp);
    let index = columns.scores.iter().position(|name| name == "variance");
    if let (Some(_), Some(index)) = (variances.first(), index) {
        let bounds = [1, 2, 3, 4].map(|fifth| rounded(variances[variances.len() * fifth / 5]));
        colourings.push(json!({
            "kind": "levels", "name": "variance around its line", "index": index, "high": true,
            "bounds": bounds, "ends": ["fluctuates least", "fluctuates most"],
        }));
    }
    colourings
}

fn entry(
    subject: &Subject<'_>,
    document: &Document,
    times: &[(String, &Time)],
    pieces: &mut BTreeMap<u32, String>,
) -> Value {
    let shown = document.tokens.len().min(MOST);
    let tokens = &document.tokens[..shown];
    let drawn = TokenTexts::of(tokens, subject.pieces);
    let mut special = Vec::new();
    if let Some(known) = subject.pieces {
        for (i, &id) in tokens.iter().enumerate() {
            pieces.entry(id).or_insert_with(|| known.quoted(id));
            if known.is_special(id) {
                special.push(i);
            }
        }
    }
    let preference = times
        .iter()
        .map(|(_, time)| subject.opened.preference(document, time));
    let preference: Vec<Vec<f32>> = preference.collect();
    let columns = Columns::of(subject, times);
    let stored = columns.scores[times.len()..].iter();
    let stored = stored.map(|name| document.score(name).unwrap_or_default());
    let scores: Vec<&[f32]> = preference.iter().map(Vec::as_slice).chain(stored).collect();
    let numbers = |column: &&[f32]| -> Vec<Value> {
        column.iter().take(shown).map(|&s| rounded(s)).collect()
    };
    let lowest = |time: &Time| {
        let summary = subject.summary();
        let place = summary
            .checkpoints
            .iter()
            .position(|c| c.column == time.column)?;
        summary
            .selection
            .as_ref()?
            .lowest_excess
            .get(place)
            .copied()
    };
    // Of tokens with exactly the lowest selected score, only the first in the corpus are selected. They are rare; here
    // all are drawn as selected.
    let masks = times
        .iter()
        .zip(&preference)
        .filter_map(|((_, time), scores)| {
            let lowest = lowest(time)?;
            Some(
                scores
                    .iter()
                    .map(move |&score| score >= lowest)
                    .collect::<Vec<bool>>(),
            )
        });
    let masks: Vec<Vec<bool>> = masks.collect();
    let bits = |mask: &Vec<bool>| -> String {
        let bits = mask.iter().take(shown);
        bits.map(|&kept| if kept { '1' } else { '0' }).collect()
    };
    let codes = document.code("category").unwrap_or_default();
    let class = |code: &Option<u8>| code.map_or('-', |code| char::from(b'0' + code.min(9)));
    let from = match &document.source {
        Some(source) => format!("{source} ({}, row {})", document.shard, document.row),
        None => format!("{}, row {}", document.shard, document.row),
    };
    json!({
        "id": terminal_text::safe(&document.id),
        "from": terminal_text::safe(&from),
        "row": document.row,
        "tokens": document.tokens.len(),
        "scored": codes.iter().flatten().count(),
        "context": document.context_bits(shown),
        "kept": masks.iter().map(|mask| mask.iter().filter(|&&kept| kept).count()).collect::<Vec<_>>(),
        "weightMeans": [],
        "text": (0..shown).map(|i| seen(drawn.token(i))).collect::<Vec<_>>(),
        "special": special,
        "ids": tokens,
        "scores": scores.iter().map(numbers).collect::<Vec<_>>(),
        "masks": masks.iter().map(bits).collect::<Vec<_>>(),
        "weights": [],
        "classes": codes.iter().take(shown).map(class).collect::<String>(),
    })
}
