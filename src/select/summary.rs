//! The summary of a selection: counts, kept shares, thresholds; human-readable, and as summary.json for programs.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{
    folder::Times,
    join::Counts as JoinCounts,
    plan::SelectPlan,
    record::{Dropped, DroppedBy},
};
use crate::{
    metadata::{DocumentSelection, Metadata},
    numbers::grouped,
    selections::{
        SelectionSummary,
        counts::{Counts, is_zero},
        of_context,
    },
    terminal_text::safe,
};

/// Counts and times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    shards: u64,
    documents: u64,
    /// Documents and tokens that were dropped. All other numbers are about the documents that are left.
    dropped: u64,
    dropped_tokens: u64,
    /// What was joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<JoinCounts>,
    /// Documents that were dropped, by the first reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_by: Option<DroppedDocuments>,
    /// How documents were selected, and what the last value kept was.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_selection: Option<DocumentSelection>,
    tokens: u64,
    /// Tokens that may not be targets.
    #[serde(skip_serializing_if = "is_zero")]
    context: u64,
    /// Tokens with the score that the rule selects by; of two scores, the first. None if masks of an unknown rule are
    /// copied.
    scored: Option<u64>,
    scope: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) chosen: SelectionSummary,
    /// Speed. Everything above is identical whether or not the run was interrupted.
    speed: Speed,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct DroppedDocuments {
    r#where: u64,
    duplicates: u64,
    documents: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Speed {
    tokens_per_second: f64,
    seconds: f64,
}

impl Summary {
    /// `metadata` is that of the files.
    pub(super) fn of(
        plan: &SelectPlan,
        metadata: &Value,
        joined: Option<JoinCounts>,
        counts: &Counts,
        dropped: &DroppedBy,
        times: Times,
    ) -> Self {
        let Dropped { documents, tokens } = dropped.all();
        let documents_selected = plan.documents.is_some();
        let selected = Metadata::of(metadata).documents.pop();
        let chosen = match &plan.stored {
            Some(stored) => SelectionSummary::of(stored, counts),
            None => SelectionSummary::of(&plan.rule, counts),
        };
        Self {
            joined,
            dropped_by: (plan.drop_duplicates || documents_selected).then_some(DroppedDocuments {
                r#where: dropped.filter.documents,
                duplicates: dropped.duplicates.documents,
                documents: dropped.unselected.documents,
            }),
            document_selection: selected.filter(|_| documents_selected),
            shards: plan.input.shards.len() as u64,
            documents: counts.documents,
            dropped: documents,
            dropped_tokens: tokens,
            tokens: counts.tokens,
            context: counts.context,
            scored: (plan.selects_tokens || plan.stored.is_some()).then(|| counts.scored()),
            scope: plan.scope.name(),
            chosen,
            speed: Speed {
                tokens_per_second: times.tokens as f64 / times.seconds.max(1e-9),
                seconds: times.seconds,
            },
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<12}{text}")
        };
        line(f, "shards", grouped(self.shards))?;
        let by = self.dropped_by.unwrap_or(DroppedDocuments {
            r#where: self.dropped,
            duplicates: 0,
            documents: 0,
        });
        let dropped = [
            (by.r#where, "dropped by --where"),
            (by.duplicates, "dropped as duplicates"),
            (by.documents, "dropped by --documents"),
        ];
        let dropped: String = dropped
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, how)| format!(", {} {how}", grouped(count)))
            .collect();
        line(f, "documents", grouped(self.documents) + &dropped)?;
        let scored = self
            .scored
            .map(|scored| format!(", {} scored", grouped(scored)));
        let scored = scored.unwrap_or_default();
        let (tokens, context) = (grouped(self.tokens), of_context(self.context));
        line(f, "tokens", format!("{tokens}{scored}{context}"))?;
        if let Some(joined) = &self.joined {
            let missing = match joined.missing {
                0 => String::new(),
                missing => format!(", {} documents without one", grouped(missing)),
            };
            let (rows, documents) = (grouped(joined.rows), grouped(joined.documents));
            let text = format!("{rows} rows, for {documents} documents{missing}");
            line(f, "joined", text)?;
        }
        if let Some(selected) = &self.document_selection {
            line(f, "selected", shown(selected))?;
        }
        write!(f, "{}", self.chosen)?;
        write!(
            f,
            "  {:<12}{} tokens/s, {:.1} s",
            "speed",
            grouped(self.speed.tokens_per_second as u64),
            self.speed.seconds
        )
    }
}

/// A selection of documents in words.
fn shown(selected: &DocumentSelection) -> String {
    let count = |count: Option<u64>| count.map_or("?".to_owned(), grouped);
    let (kept, scored) = (count(selected.kept), count(selected.scored));
    let by = safe(&selected.by);
    let statistic = selected.statistic.as_deref().unwrap_or("share");
    let bound = [
        ("up to", selected.highest_kept.flatten()),
        ("from", selected.lowest_kept.flatten()),
    ];
    let bound: String = bound
        .into_iter()
        .filter_map(|(side, score)| Some(format!(", {side} {:.3}", score?)))
        .collect();
    format!("{kept} of {scored} documents with a {statistic} {by}{bound}")
}
