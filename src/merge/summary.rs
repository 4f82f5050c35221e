//! The summary of a merge: counts and kept shares; human-readable, and as summary.json for programs.

use std::fmt;

use serde::Serialize;

use super::{duplicates::Part, plan::MergePlan};
use crate::{
    masks::summary::SummaryFile,
    metadata,
    numbers::grouped,
    selections::{
        SelectionSummary,
        counts::Counts,
        rule::{Pick, Rule},
    },
};

/// Counts of all folders.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// The number of folders.
    merged: u64,
    shards: u64,
    /// Of the folders' own summaries; none if one of them does not say.
    broken_shards: Option<u64>,
    documents: u64,
    rejected: Option<u64>,
    /// Documents that an earlier folder has too, and the shards of the same names among them.
    dropped: u64,
    dropped_shards: u64,
    tokens: u64,
    scored: u64,
    #[serde(flatten)]
    scope: metadata::Scope,
    #[serde(flatten)]
    chosen: SelectionSummary,
}

impl Summary {
    /// The summary of these counts, with the thresholds of the folders' own summaries.
    pub(super) fn of(
        plan: &MergePlan,
        parts: &[Part],
        rule: Option<&Rule>,
        mut counts: Counts,
        rejected: u64,
    ) -> anyhow::Result<Self> {
        let mut told = Vec::new();
        for input in &plan.inputs {
            told.push(SummaryFile::read(&input.folder)?.unwrap_or_default());
        }
        if let Some(rule) = rule {
            bounds(rule, &told, &mut counts);
        }
        let sum = |of: fn(&SummaryFile) -> Option<u64>| told.iter().map(of).sum::<Option<u64>>();
        let total = |of: fn(&Part) -> u64| parts.iter().map(of).sum();
        let known = metadata::Metadata::of(&plan.inputs[0].first.schema().metadata);
        Ok(Self {
            merged: plan.inputs.len() as u64,
            shards: total(|part| part.shards),
            broken_shards: sum(|told| told.broken_shards),
            documents: counts.documents,
            rejected: sum(|told| told.rejected).map(|_| rejected),
            dropped: total(|part| part.dropped),
            dropped_shards: total(|part| part.dropped_shards.len() as u64),
            tokens: counts.tokens,
            scored: counts.scored(),
            scope: known.scope,
            chosen: rule
                .map(|rule| SelectionSummary::of(rule, &counts))
                .unwrap_or_default(),
        })
    }
}

/// Adds the lowest and the highest threshold of all folders.
fn bounds(rule: &Rule, told: &[SummaryFile], counts: &mut Counts) {
    for (selection, counts) in rule.selections.iter().zip(&mut counts.selections) {
        let Pick::Ranked(direction, _) = selection.pick else {
            continue;
        };
        for told in told {
            let Some(kept) = told.kept.get(&selection.name) else {
                continue;
            };
            for (first, bounds) in [(true, kept.lowest), (false, kept.threshold)] {
                for score in bounds.map_or(Vec::new(), |(low, high)| vec![low, high]) {
                    let key = Some(direction.key(score as f32));
                    counts.bounds(if first { (key, None) } else { (None, key) });
                }
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |count: u64, others: &[(Option<u64>, &str)]| {
            let others = others.iter().filter_map(|(count, what)| {
                let count = count.filter(|&count| count > 0)?;
                Some(format!(", {} {what}", grouped(count)))
            });
            grouped(count) + &others.collect::<String>()
        };
        let shards = [
            (self.broken_shards, "ended early"),
            (Some(self.dropped_shards), "dropped as duplicates"),
        ];
        let documents = [
            (self.rejected, "rejected"),
            (Some(self.dropped), "dropped as duplicates"),
        ];
        let tokens = format!("{}, {} scored", grouped(self.tokens), grouped(self.scored));
        let lines = [
            ("folders", grouped(self.merged)),
            ("shards", with(self.shards, &shards)),
            ("documents", with(self.documents, &documents)),
            ("tokens", tokens),
        ];
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(name, text)| format!("  {name:<12}{text}"))
            .collect();
        write!(f, "{}", lines.join("\n"))?;
        let chosen = self.chosen.to_string();
        match chosen.trim_end() {
            "" => Ok(()),
            chosen => write!(f, "\n{chosen}"),
        }
    }
}
