//! The summary of a run of `gather`: its summary.json, and what is printed.

use std::fmt;

use serde::Serialize;

use super::{file::Record, plan::GatherPlan};
use crate::{
    metadata::{Metadata, Scope},
    numbers::grouped,
    selections::{SelectionSummary, counts::Counts},
};

/// Counts of all files.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    shards: u64,
    broken_shards: u64,
    documents: u64,
    /// Rows without scores; rejected.jsonl has the reasons.
    pub(crate) rejected: u64,
    tokens: u64,
    scored: u64,
    #[serde(flatten)]
    scope: Scope,
    #[serde(flatten)]
    chosen: SelectionSummary,
}

impl Summary {
    /// The summary of these records.
    pub(super) fn of<'a>(plan: &GatherPlan, records: impl Iterator<Item = &'a Record>) -> Self {
        let (mut counts, mut scored, mut rejected) = (Counts::default(), 0, 0);
        for record in records {
            counts.add(&record.counts);
            scored += record.scored;
            rejected += record.rejected;
        }
        Self {
            shards: plan.files.len() as u64,
            broken_shards: 0,
            documents: counts.documents,
            rejected,
            tokens: counts.tokens,
            scored,
            scope: Metadata::of(&plan.schema.metadata).scope,
            chosen: SelectionSummary::of(&plan.scoring.rule, &counts),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rejected = match self.rejected {
            0 => String::new(),
            rejected => format!(", {} rejected", grouped(rejected)),
        };
        writeln!(f, "  {:<12}{}", "files", grouped(self.shards))?;
        writeln!(
            f,
            "  {:<12}{}{rejected}",
            "documents",
            grouped(self.documents)
        )?;
        let (tokens, scored) = (grouped(self.tokens), grouped(self.scored));
        write!(f, "  {:<12}{tokens}, {scored} scored", "tokens")?;
        match self.chosen.to_string().trim_end() {
            "" => Ok(()),
            chosen => write!(f, "\n{chosen}"),
        }
    }
}
