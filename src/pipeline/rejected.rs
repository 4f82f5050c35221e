//! Watches the rows that hold no document: a few are bad rows, many mean a wrong setting.

use std::collections::HashMap;

use rho_formats::Rejection;

use super::record::Counts;
use crate::{hinted_error::HintedError, plan::Plan};

/// Rows after which the share is checked.
const FIRST_ROWS: u64 = 1_000;
/// Most kinds of reasons that are counted separately.
const KINDS: usize = 1_000;

/// Counts rows, and the reasons of those that were rejected.
pub(super) struct Rejected<'a> {
    plan: &'a Plan,
    rows: u64,
    rejected: u64,
    /// The number of reasons of each kind, and the first reason.
    reasons: HashMap<String, (u64, String)>,
}

impl<'a> Rejected<'a> {
    /// `before`: the counts from before an interruption.
    pub(super) fn new(plan: &'a Plan, before: &Counts) -> Self {
        Self {
            plan,
            rows: before.rows,
            rejected: before.rejected,
            reasons: HashMap::new(),
        }
    }

    /// Adds the rows of a read-ahead block; an error if the run must stop.
    pub(super) fn look_ahead(&mut self, rows: usize, rejected: &[Rejection]) -> anyhow::Result<()> {
        if self.plan.strict
            && let Some(Rejection { shard, row, reason }) = rejected.first()
        {
            return Err(HintedError::error(
                format!("{shard} row {row}: {reason}"),
                "omit --strict, which stops at the first bad row, to skip such rows and list them in rejected.jsonl",
            ));
        }
        self.rows += rows as u64;
        self.rejected += rejected.len() as u64;
        for Rejection { shard, row, reason } in rejected {
            let kind = kind(reason);
            if let Some((count, _)) = self.reasons.get_mut(&kind) {
                *count += 1;
            } else if self.reasons.len() < KINDS {
                let first = format!("{reason} ({shard} row {row})");
                self.reasons.insert(kind, (1, first));
            }
        }
        let most = self.plan.max_rejected;
        if self.rows >= FIRST_ROWS && self.rejected as f64 > most * self.rows as f64 {
            return Err(self.too_many(most));
        }
        Ok(())
    }

    /// Handles a shard that ended early; an error with --strict.
    pub(super) fn broken(&self, shard: &str, row: i64, reason: &str) -> anyhow::Result<()> {
        if self.plan.strict {
            return Err(HintedError::error(
                format!("{shard} row {row}: the shard ends early: {reason}"),
                "omit --strict, which stops at the first bad row or shard, to continue with the other shards",
            ));
        }
        Ok(())
    }

    fn too_many(&self, most: f64) -> anyhow::Error {
        let mut reasons: Vec<_> = self.reasons.values().collect();
        reasons.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let shown: Vec<String> = reasons
            .iter()
            .take(3)
            .map(|(count, first)| format!("\n  {count} times: {first}"))
            .collect();
        HintedError::error(
            format!(
                "expected at most {:.3} % rejected rows, got {} of {}; the most common reasons:{}",
                most * 100.0,
                self.rejected,
                self.rows,
                shown.concat()
            ),
            "check the settings, because so many rows are rarely bad; if they are, raise --max-rejected",
        )
    }
}

/// A reason without its numbers and quoted names, so that similar reasons are counted together.
fn kind(reason: &str) -> String {
    let mut kind = String::new();
    let mut quoted = false;
    for c in reason.chars() {
        quoted ^= c == '"';
        if !(quoted || c == '"' || c.is_ascii_digit()) {
            kind.push(c);
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    #[test]
    fn like_reasons_are_of_one_kind() {
        let a = super::kind("no field \"text\"; the line has \"a1\", \"b\" at column 12");
        let b = super::kind("no field \"text\"; the line has \"c\", \"d\" at column 3");
        assert_eq!(a, b);
    }
}
