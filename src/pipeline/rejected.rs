//! Watches the rows that hold no document: a few are bad rows, many mean a wrong setting.

use std::collections::BTreeSet;

use rho_formats::Rejection;

use super::{
    reasons::{Reason, Reasons},
    record::Counts,
};
use crate::{hinted_error::HintedError, left_out::ENDS_EARLY, plan::Plan};

/// Rows after which the share is checked.
const FIRST_ROWS: u64 = 1_000;

/// Counts rows, and the reasons of those that were rejected.
pub(super) struct Rejected<'a> {
    plan: &'a Plan,
    rows: u64,
    rejected: u64,
    reasons: Reasons,
    /// The shards whose early end is counted.
    broken: BTreeSet<String>,
}

impl<'a> Rejected<'a> {
    /// `before`: the counts from before an interruption.
    pub(super) fn new(plan: &'a Plan, before: &Counts) -> Self {
        Self {
            plan,
            rows: before.rows,
            rejected: before.rejected,
            reasons: Reasons::default(),
            broken: BTreeSet::new(),
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
        rejected
            .iter()
            .for_each(|rejection| self.reasons.add(rejection));
        let most = self.plan.max_rejected;
        if self.rows >= FIRST_ROWS && self.rejected as f64 > most * self.rows as f64 {
            return Err(self.too_many(most));
        }
        Ok(())
    }

    /// Handles a shard that ended early, counted once; an error with --strict.
    pub(super) fn broken(&mut self, shard: &str, row: i64, reason: &str) -> anyhow::Result<()> {
        if self.broken.insert(shard.to_owned()) {
            self.reasons.add(&Rejection {
                shard: shard.to_owned(),
                row,
                reason: format!("{ENDS_EARLY}{reason}"),
            });
        }
        if self.plan.strict {
            return Err(HintedError::error(
                format!("{shard} row {row}: the shard ends early: {reason}"),
                "omit --strict, which stops at the first bad row or shard, to continue with the other shards",
            ));
        }
        Ok(())
    }

    /// The most common reasons in this run.
    pub(super) fn most_common(&self) -> Vec<Reason> {
        self.reasons.most_common()
    }

    fn too_many(&self, most: f64) -> anyhow::Error {
        let reasons = self.most_common();
        HintedError::with_details(
            format!(
                "expected at most {:.3} % rejected rows, got {} of {}; the most common reasons:",
                most * 100.0,
                self.rejected,
                self.rows
            ),
            reasons.iter().map(Reason::to_string).collect(),
            "check the settings, because so many rows are rarely bad; if they are, raise --max-rejected",
        )
    }
}
