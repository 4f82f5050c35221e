//! The facts, rules in words and thresholds of a masks folder, from the metadata of its files and its summary.

use maud::{Markup, html};
use serde_json::Value;

use super::super::charts::{Table, Threshold, percent};
use super::super::page;
use super::verified;
use super::{Subject, nats, share};
use crate::{
    masks::{
        files::Masks,
        summary::{Seconds, SummaryFile},
    },
    metadata::Selection,
    numbers::{exact, fixed, grouped},
    selections::of_context,
    terminal_text::safe,
};

/// Metadata and summary of a masks folder.
#[derive(Debug)]
pub(super) struct Provenance {
    metadata: Value,
    selections: Vec<Selection>,
    /// Empty if the masks are not finished, or not in a folder.
    summary: SummaryFile,
}

impl Provenance {
    /// Reads the metadata and the summary.
    pub(super) fn read(masks: &Masks) -> anyhow::Result<Self> {
        // The summary describes the whole folder, not a single file in it.
        let folder = masks.folder.as_ref().filter(|_| masks.path.is_dir());
        let summary = match folder {
            Some(folder) => SummaryFile::read(folder)?,
            None => None,
        };
        Ok(Self {
            metadata: masks.metadata().clone(),
            selections: masks.known_metadata().selections.unwrap_or_default(),
            summary: summary.unwrap_or_default(),
        })
    }

    /// Notices about skipped parts of the corpus.
    pub(super) fn left_out(&self) -> Vec<String> {
        let some = |count: Option<u64>| count.filter(|&count| count > 0);
        let mut told = Vec::new();
        if let Some(rejected) = some(self.summary.rejected) {
            told.push(format!(
                "{} rows of the corpus hold no document that could be scored; see rejected.jsonl.",
                grouped(rejected)
            ));
        }
        if let Some(untargeted) = some(self.summary.untargeted) {
            told.push(format!(
                "{} documents have no token that may be a target, and are left out.",
                grouped(untargeted)
            ));
        }
        if let Some(broken) = some(self.summary.broken_shards) {
            told.push(format!(
                "{} shards of the corpus ended early.",
                grouped(broken)
            ));
        }
        told
    }

    /// The thresholds between kept and dropped values of a score.
    pub(super) fn thresholds(&self, score: &str) -> Vec<Threshold> {
        let mut thresholds = Vec::new();
        let of_score = |s: &&Selection| s.by.as_deref() == Some(score);
        for selection in self.selections.iter().filter(of_score) {
            let Some(column) = selection.column.as_deref() else {
                continue;
            };
            let kept = column.strip_prefix("mask_");
            let Some(kept) = kept.and_then(|name| self.summary.kept.get(name)) else {
                continue;
            };
            let high = kept.side.as_deref() == Some("from") || selection.keep_highest.is_some();
            for (bound, from) in [(kept.lowest, true), (kept.threshold, high)] {
                thresholds.extend(bound.map(|(low, high)| Threshold {
                    mask: column.to_owned(),
                    from,
                    low,
                    high,
                }));
            }
        }
        thresholds
    }

    /// The column and the rule in words of each selection.
    fn rules(&self) -> Vec<(String, String)> {
        let rules = self.selections.iter().enumerate().map(|(i, selection)| {
            let column = selection.column.clone();
            // A rule of another version is shown as JSON.
            let rule = rule(selection);
            let rule = rule.unwrap_or_else(|| self.metadata["selections"][i].to_string());
            (column.unwrap_or_else(|| "?".to_owned()), rule)
        });
        rules.collect()
    }

    /// The facts about how the masks were created, as name and value.
    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = Vec::new();
        let mut metadata = self.metadata.clone();
        if let Some(known) = metadata.as_object_mut() {
            known.remove("selections");
        }
        let scope = match (&metadata["scope"], metadata["scope_tokens"].as_u64()) {
            (Value::String(scope), Some(tokens)) if scope == "batch" => Some(format!(
                "batch: whole documents of a shard up to {} tokens",
                grouped(tokens)
            )),
            (Value::String(scope), _) if scope == "document" => {
                Some("document: each document separately".to_owned())
            }
            (Value::String(scope), _) if scope == "corpus" => {
                Some("corpus: all tokens of all shards".to_owned())
            }
            _ => None,
        };
        if let (Some(scope), Some(known)) = (scope, metadata.as_object_mut()) {
            known.remove("scope");
            known.remove("scope_tokens");
            facts.push(("ranked within".to_owned(), scope));
        }
        match metadata.get_mut("verified") {
            Some(Value::Array(several)) => facts.extend(several.iter_mut().map(verified::fact)),
            Some(one @ Value::Object(_)) => facts.push(verified::fact(one)),
            _ => {}
        }
        let mut told = Vec::new();
        flatten("", &metadata, &mut told);
        // The most important facts first, unknown ones last.
        told.sort_by_key(|(name, _)| {
            let mut known = ORDER.iter();
            let place = known.position(|known| name.starts_with(known));
            place.unwrap_or(ORDER.len())
        });
        facts.extend(told);
        let device = self.summary.device.as_ref();
        let device = device.filter(|device| *device != "unknown");
        facts.extend(device.map(|device| ("computed on".to_owned(), device.clone())));
        let shards = self.summary.shards.map(grouped);
        facts.extend(shards.map(|shards| ("shards".to_owned(), shards)));
        let speed = &self.summary.speed;
        let seconds = speed.seconds.as_ref().map(Seconds::total);
        if let (Some(speed), Some(seconds)) = (speed.tokens_per_second, seconds) {
            let speed = format!(
                "{} tokens/s, {} s",
                grouped(speed as u64),
                fixed(seconds, 1)
            );
            facts.push(("speed".to_owned(), speed));
        }
        facts
    }
}

/// The names of facts, most important first.
const ORDER: [&str; 11] = [
    "reference",
    "model",
    "base",
    "combine",
    "tokenizer",
    "precision",
    "provider",
    "context",
    "overlap",
    "verified",
    "format version",
];

/// The key figures.
pub(super) fn overview(subject: &Subject<'_>) -> Markup {
    let total = &subject.statistics.total;
    let columns = subject.columns();
    let scores = columns.scores.iter().zip(&total.scores).take(3);
    html! {
        dl.tiles {
            div { dt { "documents" } dd { (grouped(total.documents)) } }
            div {
                dt { "tokens" }
                dd { (grouped(total.tokens)) small { (grouped(total.scored)) " scored" (of_context(total.context)) } }
            }
            @for (name, score) in scores {
                div {
                    dt { "mean " (words(name)) ", nats" }
                    dd { (nats(score.sum.mean())) small { "median " (nats(score.percentile(0.5))) } }
                }
            }
            @for (name, kept) in columns.masks.iter().zip(&total.masks) {
                div {
                    dt { "kept by " (words(name.strip_prefix("mask_").unwrap_or(name))) }
                    dd {
                        (share(kept.tokens, total.scored).map_or_else(|| "–".to_owned(), percent))
                        small { (grouped(kept.tokens)) " tokens" }
                    }
                }
            }
            @for (name, weighed) in columns.weights.iter().zip(&total.weights) {
                div { dt { "mean of " code { (name) } } dd { (nats(weighed.sum.mean())) } }
            }
        }
    }
}

/// The section with rules and facts.
pub(super) fn section(subject: &Subject<'_>) -> Markup {
    let mut rules = Table::new(["column", "rule", "threshold, nats"]);
    for (column, rule) in subject.made.rules() {
        let scores = subject.columns().scores.iter();
        let thresholds = scores.flat_map(|score| subject.made.thresholds(score));
        let own = thresholds.filter(|threshold| threshold.mask == column);
        let told: Vec<String> = own.map(|threshold| threshold.bound()).collect();
        rules.row([column, rule, told.join(", ")]);
    }
    html! {
        div.figures {
            div {
                @if !rules.rows.is_empty() {
                    h3 { "Selections" }
                    (page::table(&rules))
                }
                p.muted {
                    "Loss and entropy are those of each token under the reference, in nats, given the tokens before it. A token "
                    "without context is not scored, never kept, and not counted in shares. Percentiles are off by less than 0.4 %."
                }
            }
            div {
                h3 { "Facts" }
                div.table-frame tabindex="0" role="group" aria-label="Facts" {
                    table.facts {
                        tbody {
                            @for (name, value) in subject.made.facts() {
                                tr { th scope="row" { (safe(&name)) } td { code { (safe(&value)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A column's name in a sentence.
pub(super) fn words(column: &str) -> String {
    column.replace('_', " ")
}

/// A rule in words; none if it is of another version.
fn rule(selection: &Selection) -> Option<String> {
    let by = selection.by.as_deref().unwrap_or("?");
    for (columns, how) in [(&selection.and, "both of"), (&selection.or, "one of")] {
        if let Some(columns) = columns {
            return Some(format!("{how} {}", columns.join(", ")));
        }
    }
    if let Some(formula) = &selection.weights {
        let temperature = selection.temperature.flatten();
        let temperature = temperature.map(|t| format!(", temperature {} nats", exact(t)));
        let exponent = selection.exponent;
        let exponent = exponent.map(|k| format!(" {} of the probability", exact(k)));
        return Some(format!(
            "weights by {by}: {formula}{}{}",
            exponent.unwrap_or_default(),
            temperature.unwrap_or_default()
        ));
    }
    if let (Some(low), Some(high)) = (selection.drop_lowest, selection.drop_highest) {
        return Some(format!(
            "all but the {} with the lowest and the {} with the highest {by}",
            percent(low),
            percent(high)
        ));
    }
    for (keep, how) in [
        (selection.keep_lowest, "with the lowest"),
        (selection.keep_highest, "with the highest"),
    ] {
        if let Some(keep) = keep {
            return Some(format!(
                "the {} {how} {by}{}",
                percent(keep),
                by_source(selection)
            ));
        }
    }
    if let (Some(keep), Some(seed)) = (selection.keep, selection.seed) {
        return Some(format!(
            "{} at random, seed {seed}{}",
            percent(keep),
            by_source(selection)
        ));
    }
    // In double precision, as in the JSON.
    let bound = |bound: Option<Option<f32>>| bound.flatten().map(|bound| exact(f64::from(bound)));
    match (bound(selection.at_least), bound(selection.at_most)) {
        (Some(least), Some(most)) => Some(format!("{by} from {least} to {most} nats")),
        (Some(least), None) => Some(format!("{by} of at least {least} nats")),
        (None, Some(most)) => Some(format!("{by} of at most {most} nats")),
        (None, None) => None,
    }
}

/// The shares of single sources, in words.
fn by_source(selection: &Selection) -> String {
    let sources = selection.keep_by.iter().flatten();
    let sources = sources.map(|(name, &keep)| format!("{name} {}", percent(keep)));
    let sources: Vec<String> = sources.collect();
    match sources.is_empty() {
        true => String::new(),
        false => format!(", by source: {}, others as said", sources.join(", ")),
    }
}

/// Flattens nested objects to one line per value.
pub(in crate::report) fn flatten(name: &str, value: &Value, facts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let field = words(field);
                let name = match name {
                    "" => field,
                    name => format!("{name} {field}"),
                };
                flatten(&name, value, facts);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in (1..).zip(items) {
                flatten(&format!("{name} {number}"), item, facts);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            let told = if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(", ")
            };
            facts.push((name.to_owned(), told));
        }
        Value::Null => {}
        value => facts.push((name.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_rule_has_words() {
        let said = [
            (
                json!({"by": "loss", "keep_lowest": 0.7}),
                "the 70.0 % with the lowest loss",
            ),
            (
                json!({"by": "excess", "keep_highest": 0.6}),
                "the 60.0 % with the highest excess",
            ),
            (
                json!({"by": "random", "keep": 0.5, "seed": 3, "scored": "loss"}),
                "50.0 % at random, seed 3",
            ),
            (
                json!({"by": "loss", "drop_lowest": 0.1, "drop_highest": 0.2}),
                "all but the 10.0 % with the lowest and the 20.0 % with the highest loss",
            ),
            (
                json!({"by": "loss", "at_least": null, "at_most": 2.5}),
                "loss of at most 2.5 nats",
            ),
            (
                json!({"by": "excess", "weights": "sigmoid", "temperature": 0.5}),
                "weights by excess: sigmoid, temperature 0.5 nats",
            ),
            (
                json!({"and": ["mask_loss", "mask_entropy"]}),
                "both of mask_loss, mask_entropy",
            ),
        ];
        for (selection, words) in said {
            let selection = serde_json::from_value(selection).unwrap();
            assert_eq!(rule(&selection).unwrap(), words);
        }
        assert_eq!(rule(&Selection::default()), None);
    }

    #[test]
    fn nothing_that_is_said_is_lost() {
        let metadata = json!({
            "reference": {"models": [{"name": "a", "columns": ["loss_1", "entropy_1"]}, {"name": "b"}]},
            "bos": {"tokens": []}, "vocabulary": 2048, "scope": null,
        });
        let mut facts = Vec::new();
        flatten("", &metadata, &mut facts);
        facts.sort();
        let told: Vec<String> = facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let expected = [
            "bos tokens: none",
            "reference models 1 columns: loss_1, entropy_1",
            "reference models 1 name: a",
            "reference models 2 name: b",
            "vocabulary: 2,048",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn thresholds_are_found_by_their_score() {
        let selections = json!([
            {"column": "mask_loss", "by": "loss", "keep_lowest": 0.7},
            {"column": "mask_entropy", "by": "entropy", "keep_lowest": 0.7},
            {"column": "mask_excess", "by": "excess", "keep_highest": 0.7},
            {"column": "mask_band", "by": "loss", "drop_lowest": 0.1, "drop_highest": 0.1},
        ]);
        let summary = json!({"kept": {
            "loss": {"threshold": [1.0, 2.0]},
            "excess": {"threshold": [0.5, 0.5]},
            "band": {"side": "up to", "threshold": [4.0, 4.0], "lowest": [0.25, 0.25]},
        }});
        let made = Provenance {
            metadata: Value::Null,
            selections: serde_json::from_value(selections).unwrap(),
            summary: serde_json::from_value(summary).unwrap(),
        };
        let told = |score: &str| -> Vec<String> {
            let thresholds = made.thresholds(score).into_iter();
            thresholds
                .map(|t| format!("{} {}", t.mask, t.bound()))
                .collect()
        };
        assert_eq!(
            told("loss"),
            [
                "mask_loss ≤ 1.000–2.000",
                "mask_band ≥ 0.250",
                "mask_band ≤ 4.000"
            ]
        );
        assert_eq!(told("entropy"), [""; 0]);
        assert_eq!(told("excess"), ["mask_excess ≥ 0.500"]);
    }
}
