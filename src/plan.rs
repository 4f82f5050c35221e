//! The plan of a scoring run: resolves a [`ScoringRequest`] into a [`Plan`]. A plan leaves nothing undecided; no later
//! code reads the arguments.

use std::{collections::BTreeMap, path::PathBuf};

use rho_formats::{
    BatchCompression, FileFormat, MasksFolder, ReadOptions, Sample, ScoreType, TopColumns,
};
use rho_selection::Combine;
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{OPTION_NAMES, SpecialToken},
    content::ContentPlan,
    metadata::{self, FORMAT_VERSION, Metadata, Program, Reference, Sampled},
    reference_server::{Habits, ServerOptions},
    selections::rule::{Rule, Scope},
    tokenization::masks_copy,
};

mod columns;
mod memory;
mod models;
mod request;
mod resolve;
mod schema;

pub(crate) use columns::ScoreColumns;
pub use memory::Memory;
pub(crate) use models::{OpenedModel, ask_server, name};
pub(crate) use request::{MaskFiles, ScoringRequest};
pub(crate) use resolve::{Prepared, resolve, say};
pub(crate) use schema::columns_of;

/// Everything that `score` does, with all defaults resolved.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Names of the shards, in order.
    pub shards: Vec<String>,
    /// Bytes of all shards, as stored.
    pub bytes: u64,
    /// The masks folder.
    pub out: PathBuf,
    /// The references, in the order in which they were named; at least one.
    pub references: Vec<PlannedModel>,
    /// How the scores of several references are combined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<String>,
    /// The base model, if the excess loss over one is scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PlannedModel>,
    /// Results of `verify` for these models, which the masks' metadata records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<serde_json::Value>,
    /// Token ids must be below this: the width of the logits, the smallest of all models.
    pub vocabulary: usize,
    /// tokenizer.json; none if token ids are given.
    pub tokenizer: Option<PathBuf>,
    /// SHA-256 of the tokenizer.json that is used: the file itself, or the one built from it and the files beside it.
    pub tokenizer_fingerprint: Option<String>,
    /// SHA-256 of each file that it was built from, by name; empty if tokenizer.json is used unchanged.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokenizer_files: BTreeMap<String, String>,
    /// ONNX Runtime's library; none if all models are on servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_version: Option<String>,
    /// `cpu`, `cuda:N` or `cuda:N,M,...`; `server` if all models are on servers.
    pub device: String,
    /// Precision of the first reference's matmuls with weights.
    pub precision: String,
    /// Threads for tokenising and computing.
    pub threads: usize,
    /// Most tokens that the model sees at once.
    pub context: usize,
    /// Fewest tokens of context before every token that is scored in a later window.
    pub overlap: usize,
    /// Beginning-of-sequence rule and the tokens that it adds.
    pub bos: SpecialTokens,
    /// End-of-sequence rule and the tokens that it adds.
    pub eos: SpecialTokens,
    /// Tokens per batch, padding included.
    pub batch_tokens: usize,
    /// Most documents that are batched together in a read-ahead block.
    pub look_ahead_documents: usize,
    /// A read-ahead block ends with the document that reaches this many tokens.
    pub look_ahead_tokens: usize,
    /// Names of the score columns.
    pub scores: Vec<String>,
    /// The rule to select tokens by.
    #[serde(rename = "selections")]
    pub(crate) rule: Rule,
    /// Among which tokens to rank.
    #[serde(flatten)]
    pub(crate) scope: Scope,
    /// The fields with the content, and which of its tokens may be targets.
    #[serde(flatten)]
    pub content: ContentPlan,
    /// Field with a text after which the documents are scored too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_field: Option<String>,
    /// Field with the document's id.
    pub id_field: String,
    /// Field with the document's source, if it is stored.
    pub source_field: Option<String>,
    /// Whether text files hold one document per line.
    pub lines: bool,
    /// Larger documents are skipped.
    pub max_document_bytes: usize,
    /// How many documents are read, from the first on, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The share of the rows that is read, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<Sampled>,
    /// Type of the stored scores.
    pub score_type: ScoreType,
    /// How many of the most likely tokens are stored for each position, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<usize>,
    /// Format of the mask files.
    pub format: FileFormat,
    /// Compression of the masks.
    pub compression: BatchCompression,
    /// Whether the masks store the text.
    pub keep_text: bool,
    /// Whether the masks store the scores of context tokens.
    pub score_context: bool,
    /// Most bytes of one mask file.
    pub shard_bytes: u64,
    /// Whether to stop at the first bad row or shard.
    pub strict: bool,
    /// Share of bad rows above which the run stops.
    pub max_rejected: f64,
    /// Share of documents without a target above which the run stops.
    pub max_untargeted: f64,
    /// Rank of this run.
    pub rank: usize,
    /// Number of runs that share the corpus.
    pub world_size: usize,
    /// Bound of the memory that follows from the plan, in bytes.
    pub memory: Memory,
}

/// A model that scores.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedModel {
    /// Its display name: its name and commit on the Hub, or the last part of its path.
    pub name: String,
    /// Its name and commit on the Hub, if it is from there, or that it is bundled.
    #[serde(skip)]
    pub hub: Option<String>,
    /// Its path as it was typed, if it is local.
    #[serde(skip)]
    pub typed: Option<String>,
    /// The server that it is on, if it is not in files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<PlannedServer>,
    /// The ONNX model; empty on a server.
    #[serde(skip_serializing_if = "is_empty")]
    pub path: PathBuf,
    /// SHA-256 of the model's files; empty on a server, which does not show them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// Bytes of these files; 0 on a server.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// Width of its logits.
    pub vocabulary: usize,
    /// Settings of its checkpoint that `--ignore-setting` ignores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_settings: Vec<String>,
    /// Precision of its matmuls with weights.
    pub precision: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn is_empty(path: &std::path::Path) -> bool {
    path.as_os_str().is_empty()
}

/// A server that a model is on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlannedServer {
    /// Its URL, without secrets.
    pub(crate) url: String,
    /// What it does.
    #[serde(flatten)]
    pub(crate) habits: Option<Habits>,
    /// How it is asked.
    #[serde(flatten)]
    pub(crate) options: ServerOptions,
}

/// A rule for special tokens, and the tokens that it adds.
#[derive(Debug, Clone, Serialize)]
pub struct SpecialTokens {
    /// The rule of `--bos` or `--eos`.
    pub rule: SpecialToken,
    /// The tokens added to each text.
    pub tokens: Vec<u32>,
}

impl Plan {
    /// The part of the masks' metadata that is known before the first row.
    pub(crate) fn metadata(&self) -> Metadata {
        let columns = self.columns();
        let model = |i: usize, model: &PlannedModel| metadata::Model {
            name: model.name.clone(),
            path: model.typed.clone(),
            server: model.server.as_ref().map(|server| server.url.clone()),
            fingerprint: model.fingerprint.clone(),
            vocabulary: model.vocabulary,
            precision: model.precision.clone(),
            columns: columns.of_model(i),
            ignored_settings: model.ignored_settings.clone(),
        };
        let reference = match &self.references[..] {
            [
                PlannedModel {
                    name,
                    server: Some(server),
                    vocabulary,
                    ..
                },
            ] => Reference {
                name: Some(name.clone()),
                server: Some(server.url.clone()),
                vocabulary: Some(*vocabulary),
                ..Reference::default()
            },
            [one] => Reference {
                name: one.hub.clone(),
                path: one.typed.clone(),
                fingerprint: Some(one.fingerprint.clone()),
                vocabulary: Some(one.vocabulary),
                ignored_settings: one.ignored_settings.clone(),
                ..Reference::default()
            },
            several => Reference {
                models: Some((0..).zip(several).map(|(i, m)| model(i, m)).collect()),
                combine: self.combine.clone(),
                vocabulary: Some(self.vocabulary),
                ..Reference::default()
            },
        };
        let special = |tokens: &SpecialTokens| metadata::SpecialTokens {
            rule: Some(tokens.rule.name().to_owned()),
            tokens: Some(tokens.tokens.clone()),
        };
        let verified = match &self.verified[..] {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(json!(several)),
        };
        Metadata {
            format_version: Some(FORMAT_VERSION),
            program: Some(Program::this()),
            reference: Some(reference),
            base: self
                .base
                .as_ref()
                .map(|base| model(self.references.len(), base)),
            tokenizer: metadata::Tokenizer {
                fingerprint: self.tokenizer_fingerprint.clone(),
                files: self.tokenizer_files.clone(),
            },
            provider: self.device.split(':').next().map(str::to_owned),
            precision: Some(self.precision.clone()),
            context: Some(self.context),
            overlap: Some(self.overlap),
            bos: special(&self.bos),
            eos: special(&self.eos),
            targets: self.content.metadata(),
            top: self.top,
            context_field: self.context_field.clone(),
            selections: Some(self.rule.metadata()),
            scope: self.scope.metadata(),
            source_field: self.source_field.clone(),
            limit: self.limit,
            sample: self.sample,
            filters: Vec::new(),
            joined: Vec::new(),
            duplicates: None,
            documents: Vec::new(),
            verified,
            dynamics: None,
        }
    }

    /// The score columns of the models.
    pub(crate) fn columns(&self) -> ScoreColumns {
        let combine = [Combine::Min, Combine::Max]
            .into_iter()
            .find(|combine| self.combine.as_deref() == Some(combine.name()));
        ScoreColumns {
            references: self.references.len(),
            combine: combine.unwrap_or(Combine::Mean),
            base: self.base.is_some(),
            context: self.context_field.is_some(),
            entropy: self.references.iter().all(|model| model.server.is_none()),
        }
    }

    /// The columns of the most likely tokens.
    pub(crate) fn top_columns(&self) -> Option<TopColumns> {
        self.top.map(|count| TopColumns {
            count,
            score_type: self.score_type,
        })
    }

    /// All models that score: the references, then the base.
    pub(crate) fn models(&self) -> impl Iterator<Item = &PlannedModel> {
        self.references.iter().chain(&self.base)
    }

    /// Whether the masks go to standard output.
    pub fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Whether masks or weights are written, not only scores.
    pub(crate) fn makes_masks(&self) -> bool {
        !self.rule.selections.is_empty()
    }

    /// Everything that determines the masks and their bytes. A resumed run must have the same.
    pub(crate) fn what_changes_masks(&self) -> serde_json::Value {
        let mut settings = json!({
            "metadata": self.metadata(),
            "library_version": self.library_version,
            "scores": self.scores,
            "batch_tokens": self.batch_tokens,
            "look_ahead_documents": self.look_ahead_documents,
            "look_ahead_tokens": self.look_ahead_tokens,
            "id_field": self.id_field,
            "source_field": self.source_field,
            "lines": self.lines,
            "max_document_bytes": self.max_document_bytes,
            "score_dtype": self.score_type,
            "top": self.top,
            "compression": self.compression,
            "keep_text": self.keep_text,
            "shard_size": self.shard_bytes,
        });
        if !self.score_context {
            settings["score_context"] = json!(false);
        }
        // By the names of their options, as the other settings.
        let content = serde_json::to_value(&self.content).unwrap_or_default();
        for (name, value) in content.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        record_format(&mut settings, self.format);
        settings
    }

    /// Writes the tokenizer, if there is one, into the masks folder.
    pub(crate) fn put_tokenizer(&self, folder: &MasksFolder) -> anyhow::Result<()> {
        match &self.tokenizer {
            Some(path) => masks_copy::put(folder, path, self.tokenizer_fingerprint.as_deref()),
            None => Ok(()),
        }
    }

    /// How the corpus is read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            content: self.content.fields(),
            context_field: self.context_field.clone(),
            id_field: self.id_field.clone(),
            source_field: self.source_field.clone(),
            lines: self.lines,
            max_document_bytes: self.max_document_bytes,
            sample: self
                .sample
                .and_then(|sample| Sample::new(sample.rate, sample.seed)),
            names: OPTION_NAMES,
        }
    }
}

/// Adds the format of mask files to the settings of a run; not that of streams, so that earlier runs resume.
pub(crate) fn record_format(settings: &mut serde_json::Value, format: FileFormat) {
    if format != FileFormat::ArrowStream {
        settings["format"] = json!(format);
    }
}
