//! The summary of a run: counts, kept shares, thresholds, times; human-readable, and as summary.json for programs.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    finish::RankTimes,
    output::Totals,
    reasons::{Reason, Reasons},
    rejected,
};
use crate::{
    hinted_error::HintedError,
    metadata::{Metadata, Program},
    numbers::grouped,
    plan::Plan,
    selections::{SelectionSummary, counts::is_zero, of_context, rule::Rule},
    terminal_text::safe,
};

/// Counts and times of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Shards masked, broken ones included.
    pub shards: u64,
    /// Shards that ended early (truncated, damaged, unreadable).
    pub broken_shards: u64,
    /// Documents masked.
    pub documents: u64,
    /// Documents skipped; rejected.jsonl has the reasons.
    pub rejected: u64,
    /// The most common reasons, also why shards ended early.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected_reasons: Vec<Reason>,
    /// Documents without a target token, which are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub untargeted: u64,
    /// Tokens of the documents masked.
    pub tokens: u64,
    /// Tokens that may not be targets: they are not ranked, counted or kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub context: u64,
    /// Tokens that have a loss and an entropy, without context.
    pub scored: u64,
    /// Mean loss of the scored tokens, in nats.
    pub mean_loss: Option<f64>,
    /// Mean entropy of the scored tokens, in nats.
    pub mean_entropy: Option<f64>,
    /// Means of the other score columns, named `mean_` and the column.
    #[serde(flatten)]
    pub means: BTreeMap<String, Option<f64>>,
    /// What each selection kept.
    #[serde(flatten)]
    pub(crate) chosen: SelectionSummary,
    /// Batches scored.
    pub batches: u64,
    /// Share of padding among the tokens in batches.
    pub padding: f64,
    /// The device that computed the scores.
    pub device: String,
    /// The models: paths as they were typed, or names and commits on the Hub.
    pub models: Vec<String>,
    /// The program that started the run.
    pub program: Program,
    /// Speed. Everything above is identical whether or not the run was interrupted.
    pub speed: Speed,
}

/// The speed of a run. It does not include runs that were killed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Speed {
    /// Tokens scored per second, without loading the model, summed over all ranks.
    pub tokens_per_second: f64,
    /// Seconds per stage, summed over all ranks and runs.
    pub seconds: Seconds,
}

/// Seconds that each stage was busy; the stages overlap.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// From the first to the last document.
    pub total: f64,
    /// Loading the models, before the first document.
    pub load: f64,
    /// Reading and decompressing.
    pub read: f64,
    /// Tokenising.
    pub tokenize: f64,
    /// Scoring with the models.
    pub score: f64,
    /// The models waited for documents.
    pub starved: f64,
    /// Ranking and writing.
    pub mask: f64,
}

impl Seconds {
    /// Adds the times of another run or rank.
    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.load += other.load;
        self.read += other.read;
        self.tokenize += other.tokenize;
        self.score += other.score;
        self.starved += other.starved;
        self.mask += other.mask;
    }
}

/// The run that a summary describes.
pub(crate) struct Subject<'a> {
    /// The device that computed the scores.
    device: Cow<'a, str>,
    models: Vec<String>,
    program: Program,
    /// The score columns.
    scores: Cow<'a, [String]>,
    rule: Cow<'a, Rule>,
}

impl<'a> Subject<'a> {
    /// The run with this plan.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let metadata = plan.metadata();
        Self {
            models: metadata.models(),
            program: metadata.program.unwrap_or_default(),
            device: Cow::Borrowed(&plan.device),
            scores: Cow::Borrowed(&plan.scores),
            rule: Cow::Borrowed(&plan.rule),
        }
    }

    /// From the recorded plan of a run; none if that is something else.
    pub(super) fn noted(plan: &Value) -> Option<Self> {
        let metadata = Metadata::of(&plan["metadata"]);
        let scores: Vec<String> = serde_json::from_value(plan["scores"].clone()).ok()?;
        Some(Self {
            models: metadata.models(),
            program: metadata.program.unwrap_or_default(),
            device: Cow::Owned(metadata.provider?),
            scores: Cow::Owned(scores),
            rule: Cow::Owned(Rule::of_metadata(&metadata.selections?)?),
        })
    }
}

impl Summary {
    /// The summary of these counts and times.
    pub(crate) fn of(totals: &Totals, subject: &Subject<'_>, times: &[RankTimes]) -> Self {
        let counts = &totals.counts;
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        let mean = |column: &str| {
            let place = subject.scores.iter().position(|name| name == column)?;
            let sum = counts.sums.get(place)?;
            (counts.scored > 0).then(|| sum / counts.scored as f64)
        };
        let others = subject.scores.iter();
        let others = others.filter(|name| !["loss", "entropy"].contains(&name.as_str()));
        let mut speed = Speed::default();
        for rank in times {
            speed.tokens_per_second += rank.tokens as f64 / rank.seconds.total.max(1e-9);
            speed.seconds.add(&rank.seconds);
        }
        Self {
            shards: totals.shards,
            broken_shards: totals.broken_shards,
            documents: counts.documents,
            rejected: counts.rejected,
            rejected_reasons: Vec::new(),
            untargeted: counts.untargeted,
            tokens: counts.tokens,
            context: counts.selected.context,
            scored: counts.scored,
            mean_loss: mean("loss"),
            mean_entropy: mean("entropy"),
            means: others
                .map(|name| (format!("mean_{name}"), mean(name)))
                .collect(),
            chosen: SelectionSummary::of(&subject.rule, &counts.selected),
            batches: counts.batches,
            padding: share(counts.padding, counts.padding + counts.batch_tokens),
            device: subject.device.to_string(),
            models: subject.models.clone(),
            program: subject.program.clone(),
            speed,
        }
    }

    /// The same summary with the reasons of what was skipped.
    pub(super) fn with_reasons(self, reasons: &Reasons) -> Self {
        Self {
            rejected_reasons: reasons.most_common(),
            ..self
        }
    }

    /// An error if all rows of the corpus were rejected: that is a wrong setting, not a bad row.
    ///
    /// # Errors
    ///
    /// If there are rows, but no document.
    pub(crate) fn must_have_documents(&self, corpus: &str) -> anyhow::Result<()> {
        if self.documents > 0 || self.rejected + self.untargeted == 0 {
            return Ok(());
        }
        let rows = grouped(self.rejected + self.untargeted);
        let mut reasons = self.rejected_reasons.iter().map(Reason::to_string);
        let first = reasons.next().unwrap_or_else(|| "unknown".to_owned());
        Err(HintedError::with_details(
            format!(
                "{corpus}: expected documents, got none: all {rows} rows are rejected, most often {first}"
            ),
            reasons.collect(),
            "check how the corpus is read (the options that name fields, --chat-template, --lines); then start over with --restart, or \
             name another folder",
        ))
    }

    /// An error if too many rows of the corpus have no token that may be a target. A run that is too short for the check
    /// while it is running ends with it.
    ///
    /// # Errors
    ///
    /// If their share is above `most`.
    pub(crate) fn must_be_targeted(&self, most: f64) -> anyhow::Result<()> {
        let rows = self.documents + self.rejected + self.untargeted;
        rejected::must_be_targeted(most, self.untargeted, rows)
    }

    /// Whether a part of the corpus was skipped.
    pub fn incomplete(&self) -> bool {
        self.rejected + self.untargeted + self.broken_shards > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.models.iter().map(|model| safe(model));
        let models: Vec<_> = models.collect();
        let mean = |mean: Option<f64>| mean.map_or("-".to_owned(), |m| format!("{m:.3}"));
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<12}{text}")
        };
        if !models.is_empty() {
            line(f, "model", models.join(", "))?;
        }
        line(
            f,
            "shards",
            with_others(self.shards, self.broken_shards, "ended early"),
        )?;
        line(
            f,
            "documents",
            with_others(self.documents, self.rejected, "rejected"),
        )?;
        if self.untargeted > 0 {
            let without = format!("{} without a target, left out", grouped(self.untargeted));
            line(f, "", without)?;
        }
        for reason in &self.rejected_reasons {
            line(f, "", safe(&reason.to_string()).into_owned())?;
        }
        line(
            f,
            "tokens",
            format!(
                "{}, {} scored{}",
                grouped(self.tokens),
                grouped(self.scored),
                of_context(self.context)
            ),
        )?;
        let loss = format!("loss {} nats", mean(self.mean_loss));
        let entropy = match (self.mean_loss, self.mean_entropy) {
            // A server gives none.
            (Some(_), None) => String::new(),
            (_, entropy) => format!(", entropy {} nats", mean(entropy)),
        };
        line(f, "mean", loss + &entropy)?;
        let word = |name: &str| name.trim_start_matches("mean_").replace('_', " ");
        let others = self.means.iter();
        let others = others.map(|(name, m)| format!("{} {} nats", safe(&word(name)), mean(*m)));
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            line(f, "", others.join(", "))?;
        }
        write!(f, "{}", self.chosen)?;
        line(
            f,
            "padding",
            format!(
                "{:.1} % of {} batches",
                self.padding * 100.0,
                grouped(self.batches)
            ),
        )?;
        let s = &self.speed.seconds;
        let starved = if s.total > 0.0 {
            (s.starved / s.total * 100.0).min(100.0)
        } else {
            0.0
        };
        line(
            f,
            "speed",
            format!(
                "{} tokens/s on {}, {:.1} s (and {:.1} s to load)",
                grouped(self.speed.tokens_per_second as u64),
                safe(&self.device),
                s.total,
                s.load
            ),
        )?;
        let busy = format!(
            "read {:.1} s, tokenize {:.1} s, score {:.1} s, mask {:.1} s",
            s.read, s.tokenize, s.score, s.mask
        );
        line(
            f,
            "busy",
            format!("{busy}; the reference waited {starved:.0} % of the time"),
        )?;
        write!(
            f,
            "  {:<12}rho-mask {}",
            "program",
            safe(&self.program.to_string())
        )
    }
}

fn with_others(count: u64, others: u64, what: &str) -> String {
    if others == 0 {
        grouped(count)
    } else {
        format!("{}, {} {what}", grouped(count), grouped(others))
    }
}
