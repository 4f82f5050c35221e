//! Watches the rows that hold no document: a few are bad rows, many mean a wrong setting.

use std::collections::BTreeSet;

use rho_formats::Rejection;

use super::{
    reasons::{Reason, Reasons},
    record::Counts,
};
use crate::{hinted_error::HintedError, left_out::ENDS_EARLY, plan::Plan};

/// Why a document is left out that could be scored, but not trained on.
pub(crate) const UNTARGETED: &str = "expected a token that may be a target, got none";

/// The rejection of a document without a target.
pub(super) fn untargeted(shard: &str, row: i64) -> Rejection {
    Rejection {
        shard: shard.to_owned(),
        row,
        reason: UNTARGETED.to_owned(),
    }
}

/// Whether a document was left out because it has no target: such documents are counted by themselves.
pub(super) fn is_untargeted(rejection: &Rejection) -> bool {
    rejection.reason == UNTARGETED
}

/// Rows after which the share is checked.
const FIRST_ROWS: u64 = 1_000;

/// Counts rows, and the reasons of those that were rejected.
pub(super) struct Rejected<'a> {
    plan: &'a Plan,
    rows: u64,
    rejected: u64,
    untargeted: u64,
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
            untargeted: before.untargeted,
            reasons: Reasons::default(),
            broken: BTreeSet::new(),
        }
    }

    /// Adds the rows of a read-ahead block; an error if the run must stop.
    pub(super) fn look_ahead(&mut self, rows: usize, rejected: &[Rejection]) -> anyhow::Result<()> {
        if self.plan.strict
            && let Some(Rejection { shard, row, reason }) =
                rejected.iter().find(|rejection| !is_untargeted(rejection))
        {
            return Err(HintedError::error(
                format!("{shard} row {row}: {reason}"),
                "omit --strict, which stops at the first bad row, to skip such rows and list them in rejected.jsonl",
            ));
        }
        self.rows += rows as u64;
        let untargeted = rejected.iter().filter(|r| is_untargeted(r)).count();
        self.untargeted += untargeted as u64;
        self.rejected += (rejected.len() - untargeted) as u64;
        rejected
            .iter()
            .for_each(|rejection| self.reasons.add(rejection));
        let most = self.plan.max_rejected;
        if self.rows >= FIRST_ROWS && self.rejected as f64 > most * self.rows as f64 {
            return Err(self.too_many(most));
        }
        if self.rows >= FIRST_ROWS {
            must_be_targeted(self.plan.max_untargeted, self.untargeted, self.rows)?;
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

/// An error if too many documents have no token that may be a target.
pub(crate) fn must_be_targeted(most: f64, untargeted: u64, rows: u64) -> anyhow::Result<()> {
    if untargeted as f64 <= most * rows as f64 {
        return Ok(());
    }
    Err(HintedError::error(
        format!(
            "expected at most {:.3} % of rows without a token that may be a target, got {untargeted} of {rows}",
            most * 100.0
        ),
        "look at some of them in rejected.jsonl: the roles, the template or the field of the targets may be others; if so \
         many have none, raise --max-untargeted",
    ))
}
