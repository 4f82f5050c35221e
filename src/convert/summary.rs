//! The counts of a run, human-readable and, as summary.json, for programs. The file is identical whether or not the run
//! was interrupted; the speed is only printed.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{documents::Column, plan::ConvertPlan, record::Counts, targets::Written};
use crate::numbers::grouped;

/// The file that is written last: a folder that has it is complete.
pub(super) const NAME: &str = "summary.json";

/// The counts of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    to: String,
    shards: u64,
    /// Documents in the masks.
    documents: u64,
    /// Tokens in the masks.
    tokens: u64,
    /// The column of masks or weights.
    column: Option<String>,
    /// Target tokens of that column.
    targets: u64,
    /// Documents that an end-of-sequence token was added to.
    ended: u64,
    /// Skipped documents: those without tokens, and those without targets if the trainer cannot read them.
    left_out: u64,
    /// Rows or sequences, as the trainer counts.
    rows: u64,
    files: u64,
    bytes: u64,
    #[serde(skip)]
    speed: Option<(f64, Duration)>,
}

impl Summary {
    pub(super) fn of(plan: &ConvertPlan, counts: &Counts, written: &[&Written]) -> Self {
        let files = written.iter().flat_map(|written| &written.files);
        let empty = match plan.abilities.own_columns {
            true => 0,
            false => counts.empty,
        };
        Self {
            to: plan.to.name(),
            shards: plan.input.shards.len() as u64,
            documents: counts.documents,
            tokens: counts.tokens,
            column: plan
                .settings
                .column
                .as_ref()
                .map(Column::name)
                .map(str::to_owned),
            targets: counts.targets,
            ended: counts.ended,
            left_out: empty + written.iter().map(|written| written.left_out).sum::<u64>(),
            rows: written.iter().map(|written| written.rows).sum(),
            files: files.clone().count() as u64,
            bytes: files.map(|file| file.bytes).sum(),
            speed: None,
        }
    }

    /// Adds the speed.
    pub(super) fn with_speed(self, tokens: u64, took: Duration) -> Self {
        let rate = tokens as f64 / took.as_secs_f64().max(1e-9);
        Self {
            speed: Some((rate, took)),
            ..self
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<12}{text}")
        };
        line(f, "format", self.to.clone())?;
        let left_out = match self.left_out {
            0 => String::new(),
            some => format!(", {} skipped", grouped(some)),
        };
        line(f, "documents", grouped(self.documents) + &left_out)?;
        let targets = self.column.as_ref().map_or(String::new(), |column| {
            format!(", {} targets by {column}", grouped(self.targets))
        });
        line(f, "tokens", grouped(self.tokens) + &targets)?;
        if self.ended > 0 {
            line(
                f,
                "ended",
                format!(
                    "{} documents, with the end-of-sequence token",
                    grouped(self.ended)
                ),
            )?;
        }
        line(f, "rows", grouped(self.rows))?;
        let (files, size) = (grouped(self.files), self.bytes as f64 / 1e6);
        line(f, "files", format!("{files}, {size:.1} MB"))?;
        let Some((rate, took)) = self.speed else {
            return Ok(());
        };
        let seconds = took.as_secs_f64();
        line(
            f,
            "speed",
            format!("{} tokens/s, {seconds:.1} s", grouped(rate as u64)),
        )
    }
}
