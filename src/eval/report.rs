//! The output of `eval`: one JSON object, or tables.

use serde::Serialize;
use serde_json::Value;

use super::{
    choices::Answered,
    statistics::{Bootstrap, Estimate},
    text::{DocumentSums, Sum},
};
use crate::{numbers::grouped, table::Table};

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// How it was measured: model, tokenizer, windows.
    pub(crate) made: Value,
    pub(crate) resamples: usize,
    pub(crate) seed: u64,
    pub(crate) sets: Vec<Set>,
}

/// The results of a set.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Set {
    Text(Box<TextSet>),
    Choices(ChoiceSet),
}

impl Set {
    /// The number of skipped rows or questions.
    pub(crate) fn rejected(&self) -> u64 {
        match self {
            Self::Text(set) => set.rejected,
            Self::Choices(set) => set.rejected,
        }
    }
}

/// The loss of a group of tokens.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    /// Documents that have at least one of them.
    documents: u64,
    tokens: u64,
    /// Nats per token.
    loss: Estimate,
    perplexity: Estimate,
}

/// A set of documents.
#[derive(Debug, Serialize)]
pub(crate) struct TextSet {
    name: String,
    /// Rows without a document, or with one that could not be scored.
    rejected: u64,
    #[serde(flatten)]
    all: Tokens,
    /// Bytes whose tokens were scored.
    bytes: Option<u64>,
    bits_per_byte: Option<Estimate>,
    after: Option<Tokens>,
    masks: Option<Masked>,
}

/// The results by mask.
#[derive(Debug, Serialize)]
struct Masked {
    column: String,
    /// Documents that the masks do not have; kept and dropped do not count them.
    unmatched: u64,
    kept: Option<Tokens>,
    dropped: Option<Tokens>,
}

/// A set of questions.
#[derive(Debug, Serialize)]
pub(crate) struct ChoiceSet {
    name: String,
    questions: u64,
    /// Questions with a choice that could not be scored.
    rejected: u64,
    accuracy: Estimate,
    /// By likelihood per UTF-8 byte of the choice.
    accuracy_normalised: Estimate,
    /// Nats per token of the right choices.
    loss: Estimate,
}

impl Tokens {
    fn of(sums: impl Iterator<Item = Sum>, bootstrap: &Bootstrap) -> Option<Self> {
        let sums: Vec<Sum> = sums.filter(|sum| sum.tokens > 0).collect();
        let pairs: Vec<(f64, f64)> = sums.iter().map(|sum| sum.pair()).collect();
        let loss = bootstrap.ratio(&pairs)?;
        Some(Self {
            documents: sums.len() as u64,
            tokens: sums.iter().map(|sum| sum.tokens).sum(),
            loss,
            perplexity: loss.through(f64::exp),
        })
    }
}

impl TextSet {
    /// None if nothing was scored.
    pub(crate) fn of(
        name: &str,
        documents: &[DocumentSums],
        rejected: u64,
        column: Option<&str>,
        bootstrap: &Bootstrap,
    ) -> Option<Self> {
        let bytes: Vec<(f64, f64)> = documents
            .iter()
            .filter_map(|document| document.bytes)
            .map(|(nats, bytes)| (nats, bytes as f64))
            .collect();
        let scored = documents.iter().filter(|document| document.all.tokens > 0);
        let masked = || documents.iter().filter_map(|document| document.masked);
        Some(Self {
            name: name.to_owned(),
            rejected,
            all: Tokens::of(documents.iter().map(|d| d.all), bootstrap)?,
            bytes: (!bytes.is_empty()).then(|| bytes.iter().map(|b| b.1 as u64).sum()),
            bits_per_byte: bootstrap
                .ratio(&bytes)
                .map(|nats| nats.times(std::f64::consts::LN_2.recip())),
            after: Tokens::of(documents.iter().filter_map(|d| d.after), bootstrap),
            masks: column.map(|column| Masked {
                column: column.to_owned(),
                unmatched: scored.filter(|d| d.masked.is_none()).count() as u64,
                kept: Tokens::of(masked().map(|m| m.0), bootstrap),
                dropped: Tokens::of(masked().map(|m| m.1), bootstrap),
            }),
        })
    }

    /// Whether the masks have none of its documents.
    pub(crate) fn no_masks(&self) -> bool {
        let nothing = |masks: &Masked| masks.kept.is_none() && masks.dropped.is_none();
        self.masks.as_ref().is_some_and(nothing)
    }

    /// Whether a document has the marker.
    pub(crate) fn has_marker(&self) -> bool {
        self.after.is_some()
    }

    /// Adds its rows to the table.
    fn rows(&self, table: &mut Table) {
        let mut row = |of: &str, tokens: &Tokens, bits: Option<Estimate>| {
            table.row([
                format!("{} {of}", self.name).trim_end().to_owned(),
                grouped(tokens.documents),
                grouped(tokens.tokens),
                told(Some(tokens.loss), 4),
                told(Some(tokens.perplexity), 3),
                told(bits, 4),
            ]);
        };
        row("", &self.all, self.bits_per_byte);
        if let Some(after) = &self.after {
            row("after the marker", after, None);
        }
        if let Some(masks) = &self.masks {
            for (of, tokens) in [("kept", &masks.kept), ("dropped", &masks.dropped)] {
                if let Some(tokens) = tokens {
                    row(&format!("{of} by {}", masks.column), tokens, None);
                }
            }
        }
    }
}

impl ChoiceSet {
    /// None if no question could be scored.
    pub(crate) fn of(
        name: &str,
        answers: &[Option<Answered>],
        bootstrap: &Bootstrap,
    ) -> Option<Self> {
        let scored: Vec<Answered> = answers.iter().copied().flatten().collect();
        let share = |right: fn(&Answered) -> bool| {
            let pairs = scored.iter().map(|a| (f64::from(u8::from(right(a))), 1.0));
            bootstrap.ratio(&pairs.collect::<Vec<_>>())
        };
        let losses: Vec<(f64, f64)> = scored.iter().map(|a| a.answer.pair()).collect();
        Some(Self {
            name: name.to_owned(),
            questions: scored.len() as u64,
            rejected: (answers.len() - scored.len()) as u64,
            accuracy: share(|a| a.right)?,
            accuracy_normalised: share(|a| a.right_by_bytes)?,
            loss: bootstrap.ratio(&losses)?,
        })
    }
}

impl Report {
    /// Human-readable tables, at most `width` columns wide if possible.
    pub(crate) fn tables(&self, width: usize) -> String {
        let mut text = Table::new([
            "set",
            "documents",
            "tokens",
            "loss, nats",
            "perplexity",
            "bits per byte",
        ]);
        let mut choices = Table::new([
            "set",
            "questions",
            "accuracy",
            "by likelihood per byte",
            "loss of the right choice",
        ]);
        let (mut texts, mut chosen) = (false, false);
        for set in &self.sets {
            match set {
                Set::Text(set) => {
                    set.rows(&mut text);
                    texts = true;
                }
                Set::Choices(set) => {
                    choices.row([
                        set.name.clone(),
                        grouped(set.questions),
                        told(Some(set.accuracy), 4),
                        told(Some(set.accuracy_normalised), 4),
                        told(Some(set.loss), 4),
                    ]);
                    chosen = true;
                }
            }
        }
        let mut lines = Vec::new();
        lines.extend(texts.then(|| text.lines(width)));
        lines.extend(chosen.then(|| choices.lines(width)));
        if self.resamples >= 2 {
            lines.push(format!(
                "in brackets: 95 % intervals over documents, {} resamples, seed {}",
                grouped(self.resamples as u64),
                self.seed
            ));
        }
        lines.join("\n")
    }
}

/// A number with its interval.
fn told(estimate: Option<Estimate>, digits: usize) -> String {
    match estimate {
        None => "–".to_owned(),
        Some(Estimate {
            value,
            interval: None,
            ..
        }) => format!("{value:.digits$}"),
        Some(Estimate {
            value,
            interval: Some((low, high)),
            ..
        }) => format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]"),
    }
}
