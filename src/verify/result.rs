//! The result of a comparison: verify.json, and human-readable tables.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    difference::{Agreement, Difference, TokenPosition},
    transformers::{Class, Versions},
};
use crate::{
    numbers::{grouped, nats},
    plan::Plan,
    table::Table,
    terminal_text::safe,
};

/// The format version of verify.json.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verification {
    pub(crate) format_version: u64,
    /// Whether every difference is within its tolerance.
    pub(crate) passed: bool,
    pub(crate) model: VerifiedModel,
    /// The checkpoint that Transformers loaded.
    pub(crate) checkpoint: Files,
    /// The class it was loaded as.
    pub(crate) oracle: Class,
    pub(crate) versions: AllVersions,
    pub(crate) sample: Counted,
    /// Nats by which a score may differ from that of Transformers.
    pub(crate) tolerance: f64,
    pub(crate) loss: Difference,
    pub(crate) entropy: Difference,
    pub(crate) masks: Vec<Agreement>,
    /// Nats by which a score may differ between batches.
    pub(crate) batch_tolerance: f64,
    pub(crate) batches: Vec<Batches>,
}

/// The model that was scored, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifiedModel {
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    pub(crate) tokenizer_fingerprint: Option<String>,
    /// `cpu` or `cuda`.
    pub(crate) provider: String,
    pub(crate) precision: String,
    pub(crate) context: usize,
    pub(crate) overlap: usize,
    pub(crate) bos: Value,
    pub(crate) eos: Value,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Files {
    pub(crate) name: String,
    /// SHA-256 over config.json and the weights.
    pub(crate) fingerprint: String,
}

/// The versions of everything that computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AllVersions {
    pub(crate) rho_mask: String,
    pub(crate) onnxruntime: String,
    #[serde(flatten)]
    pub(crate) python: Versions,
}

/// The size of the sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) documents: usize,
    pub(crate) tokens: usize,
    /// Tokens with scores.
    pub(crate) scored: usize,
    pub(crate) windows: usize,
    /// Documents of which only the first windows were compared.
    pub(crate) cut: usize,
}

/// The differences from scores in other batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batches {
    pub(crate) name: String,
    pub(crate) batch_tokens: usize,
    pub(crate) loss: Difference,
    pub(crate) entropy: Difference,
}

impl VerifiedModel {
    pub(crate) fn of(plan: &Plan) -> anyhow::Result<Self> {
        let model = &plan.references[0];
        Ok(Self {
            name: model.name.clone(),
            fingerprint: model.fingerprint.clone(),
            tokenizer_fingerprint: plan.tokenizer_fingerprint.clone(),
            provider: provider(plan).to_owned(),
            precision: model.precision.clone(),
            context: plan.context,
            overlap: plan.overlap,
            bos: serde_json::to_value(&plan.bos)?,
            eos: serde_json::to_value(&plan.eos)?,
        })
    }
}

/// `cpu` or `cuda`.
pub(crate) fn provider(plan: &Plan) -> &str {
    plan.device.split(':').next().unwrap_or_default()
}

impl Verification {
    /// Sets `passed`: whether each difference is within its tolerance.
    pub(crate) fn judge(&mut self) {
        let mut batches = self.batches.iter().flat_map(|b| [&b.loss, &b.entropy]);
        self.passed = [&self.loss, &self.entropy]
            .iter()
            .all(|difference| difference.largest <= self.tolerance)
            && batches.all(|difference| difference.largest <= self.batch_tolerance);
    }

    /// Human-readable tables, at most `width` columns wide if possible.
    pub(crate) fn tables(&self, width: usize) -> String {
        let sample = &self.sample;
        let mut text = format!(
            "{}: {} documents, {} tokens, {} of them scored in {} windows\n",
            safe(&self.model.name),
            grouped(sample.documents as u64),
            grouped(sample.tokens as u64),
            grouped(sample.scored as u64),
            grouped(sample.windows as u64)
        );
        let mut table = Table::new(["from Transformers, nats", "largest", "mean"]);
        let kinds = [("loss", &self.loss), ("entropy", &self.entropy)];
        for (name, apart) in kinds {
            table.row([name.to_owned(), nats(apart.largest), nats(apart.mean)]);
        }
        part(&mut text, &table, width);
        for (name, apart) in kinds {
            place(&mut text, name, apart, "Transformers");
        }
        let mut table = Table::new(["mask bits that agree", "loss", "entropy", "intersection"]);
        for masks in &self.masks {
            let shares = [masks.loss, masks.entropy, masks.intersection];
            let shares = shares.map(|share| format!("{:.3} %", share * 100.0));
            table.row(std::iter::once(format!("keep {}", masks.keep)).chain(shares));
        }
        part(&mut text, &table, width);
        let mut table = Table::new([
            "from other batches, nats",
            "batch tokens",
            "loss",
            "entropy",
        ]);
        for batches in &self.batches {
            table.row([
                batches.name.clone(),
                grouped(batches.batch_tokens as u64),
                nats(batches.loss.largest),
                nats(batches.entropy.largest),
            ]);
        }
        part(&mut text, &table, width);
        for batches in &self.batches {
            for (kind, apart) in [("loss", &batches.loss), ("entropy", &batches.entropy)] {
                if apart.largest > self.batch_tolerance {
                    let kind = format!("{kind} depends on the batch");
                    place(&mut text, &kind, apart, &batches.name);
                }
            }
        }
        let versions = &self.versions;
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\nrho-mask {}, ONNX Runtime {}, {} on {}; Python {}, PyTorch {}, Transformers {}, {} in {}, eager\n",
            versions.rho_mask,
            versions.onnxruntime,
            self.model.precision,
            self.model.provider,
            versions.python.python,
            versions.python.torch,
            versions.python.transformers,
            self.oracle.class,
            self.oracle.dtype
        );
        text
    }

    /// The result in one line.
    pub(crate) fn verdict(&self) -> String {
        let largest = self.loss.largest.max(self.entropy.largest);
        let batches = self.batches.iter();
        let batches = batches.map(|b| b.loss.largest.max(b.entropy.largest));
        let batches = batches.fold(0.0, f64::max);
        let is = |apart: f64, tolerance: f64| match apart <= tolerance {
            true => format!("{} nats, within {tolerance}", nats(apart)),
            false => format!("{} nats, more than {tolerance}", nats(apart)),
        };
        format!(
            "{}: scores differ from those of Transformers by at most {}; between batches by at most {}",
            if self.passed { "passed" } else { "failed" },
            is(largest, self.tolerance),
            is(batches, self.batch_tolerance)
        )
    }
}

fn part(text: &mut String, table: &Table, width: usize) {
    text.push('\n');
    *text += &table.lines(width);
}

/// Adds the location of the largest difference.
fn place(text: &mut String, kind: &str, apart: &Difference, other: &str) {
    if let Some(TokenPosition {
        document,
        shard,
        row,
        token,
        got,
        expected,
    }) = &apart.at
    {
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "{kind}: largest at {} row {row} ({}), token {token}: {got:.6}, {} {expected:.6}",
            safe(shard),
            safe(document),
            safe(other)
        );
    }
}
