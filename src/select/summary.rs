//! The summary of a selection: counts, kept shares, thresholds; human-readable, and as summary.json for programs.

use std::fmt;

use serde::Serialize;

use super::{folder::Times, plan::SelectPlan, record::Dropped};
use crate::{
    numbers::grouped,
    selections::{
        SelectionSummary,
        counts::{Counts, is_zero},
        of_context,
    },
};

/// Counts and times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    shards: u64,
    documents: u64,
    /// Documents and tokens that --where dropped. All other numbers are about the documents that are left.
    dropped: u64,
    dropped_tokens: u64,
    tokens: u64,
    /// Tokens that may not be targets.
    #[serde(skip_serializing_if = "is_zero")]
    context: u64,
    /// Tokens with the score that the rule selects by; of two scores, the first.
    scored: u64,
    scope: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) chosen: SelectionSummary,
    /// Speed. Everything above is identical whether or not the run was interrupted.
    speed: Speed,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Speed {
    tokens_per_second: f64,
    seconds: f64,
}

impl Summary {
    pub(super) fn of(plan: &SelectPlan, counts: &Counts, dropped: Dropped, times: Times) -> Self {
        Self {
            shards: plan.input.shards.len() as u64,
            documents: counts.documents,
            dropped: dropped.documents,
            dropped_tokens: dropped.tokens,
            tokens: counts.tokens,
            context: counts.context,
            scored: counts.scored(),
            scope: plan.scope.name(),
            chosen: SelectionSummary::of(&plan.rule, counts),
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
        let dropped = match self.dropped {
            0 => String::new(),
            dropped => format!(", {} dropped by --where", grouped(dropped)),
        };
        line(f, "documents", grouped(self.documents) + &dropped)?;
        let (tokens, scored) = (grouped(self.tokens), grouped(self.scored));
        let context = of_context(self.context);
        line(f, "tokens", format!("{tokens}, {scored} scored{context}"))?;
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
