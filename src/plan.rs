//! What a run of `score` does: a [`ScoringRequest`] to a [`Plan`]. A plan has no open ends; after it nobody looks at the
//! arguments.

use std::{collections::BTreeMap, path::PathBuf};

use rho_formats::{BatchCompression, MasksFolder, ReadOptions, ScoreType};
use rho_selection::Combine;
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{OPTION_NAMES, SpecialToken},
    metadata::{self, FORMAT_VERSION, Metadata, Reference},
    selections::rule::{Rule, Scope},
    tokenization::stored,
};

mod columns;
mod memory;
mod models;
mod request;
mod resolve;

pub(crate) use columns::ScoreColumns;
pub use memory::Memory;
pub(crate) use models::name;
pub(crate) use request::{MaskFiles, ScoringRequest};
pub(crate) use resolve::{Prepared, resolve, say};

/// Everything `score` does, decided.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Names of the shards, in order.
    pub shards: Vec<String>,
    /// Bytes of all shards, as they lie.
    pub bytes: u64,
    /// The masks folder.
    pub out: PathBuf,
    /// The references, in the order in which they were named; at least one.
    pub references: Vec<PlannedModel>,
    /// How the scores of several become one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<String>,
    /// The base model, if the excess loss over one is scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PlannedModel>,
    /// What `verify` found of these models, where the masks are to say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<serde_json::Value>,
    /// Token ids must be below it: width of the logits, of several models the least.
    pub vocabulary: usize,
    /// tokenizer.json; none where token ids are given.
    pub tokenizer: Option<PathBuf>,
    /// SHA-256 of the tokenizer.json that is taken: the file, or what came of it and the files beside it.
    pub tokenizer_fingerprint: Option<String>,
    /// SHA-256 of each file that it came of, by name; none where it is tokenizer.json itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokenizer_files: BTreeMap<String, String>,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// Its version.
    pub library_version: String,
    /// `cpu`, `cuda:N` or `cuda:N,M,...`.
    pub device: String,
    /// Type of the numbers that the products with weights are computed in, of the first reference.
    pub precision: String,
    /// Threads for tokenising and computing.
    pub threads: usize,
    /// Tokens the model sees at once, at most.
    pub context: usize,
    /// Tokens of context that every token of a later window has, at least.
    pub overlap: usize,
    /// Beginning-of-sequence rule and the tokens it puts.
    pub bos: SpecialTokens,
    /// End-of-sequence rule and the tokens it puts.
    pub eos: SpecialTokens,
    /// Tokens per batch, padding included.
    pub batch_tokens: usize,
    /// Documents that are batched together, at most.
    pub look_ahead_documents: usize,
    /// A look-ahead ends with the document that reaches this many tokens.
    pub look_ahead_tokens: usize,
    /// Columns of scores.
    pub scores: Vec<String>,
    /// What is selected by.
    #[serde(rename = "selections")]
    pub(crate) rule: Rule,
    /// Among which tokens to rank.
    #[serde(flatten)]
    pub(crate) scope: Scope,
    /// Field with the text.
    pub text_field: String,
    /// Field with token ids, if that is what is scored.
    pub tokens_field: Option<String>,
    /// Field with the document's id.
    pub id_field: String,
    /// Field with the document's source, if that is kept.
    pub source_field: Option<String>,
    /// Whether text files hold a document per line.
    pub lines: bool,
    /// Larger documents are left out.
    pub max_document_bytes: usize,
    /// Type of the stored scores.
    pub score_type: ScoreType,
    /// Compression of the masks.
    pub compression: BatchCompression,
    /// The masks hold the text.
    pub keep_text: bool,
    /// Most bytes of one mask file.
    pub shard_bytes: u64,
    /// The first bad row is the end.
    pub strict: bool,
    /// The share of bad rows that is the end.
    pub max_rejected: f64,
    /// Which of the runs this one is.
    pub rank: usize,
    /// How many runs share the corpus.
    pub world_size: usize,
    /// Bound of the memory that follows from all this, in bytes.
    pub memory: Memory,
}

/// A model that scores.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedModel {
    /// What it is called: its name and commit on the Hub, or the last part of the path that was typed.
    pub name: String,
    /// Its name and commit on the Hub, if it is from there.
    #[serde(skip)]
    pub hub: Option<String>,
    /// The ONNX model.
    pub path: PathBuf,
    /// SHA-256 of the model's files.
    pub fingerprint: String,
    /// Bytes of these files.
    pub bytes: u64,
    /// Width of its logits.
    pub vocabulary: usize,
    /// Settings of its checkpoint that were left out of account on request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_settings: Vec<String>,
    /// Type of the numbers that its products with weights are computed in.
    pub precision: String,
}

/// A rule for special tokens and what it comes to.
#[derive(Debug, Clone, Serialize)]
pub struct SpecialTokens {
    /// What was asked for.
    pub rule: SpecialToken,
    /// The tokens put around each text.
    pub tokens: Vec<u32>,
}

impl Plan {
    /// The masks' metadata, as far as it is known before the first row.
    pub(crate) fn metadata(&self) -> Metadata {
        let columns = self.columns();
        let model = |i: usize, model: &PlannedModel| metadata::Model {
            name: model.name.clone(),
            fingerprint: model.fingerprint.clone(),
            vocabulary: model.vocabulary,
            precision: model.precision.clone(),
            columns: columns.of_model(i),
            ignored_settings: model.ignored_settings.clone(),
        };
        let reference = match &self.references[..] {
            [one] => Reference {
                // A name that means the same everywhere; those of folders may change.
                name: one.hub.clone(),
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
            selections: Some(self.rule.metadata()),
            scope: self.scope.metadata(),
            source_field: self.source_field.clone(),
            verified,
            dynamics: None,
        }
    }

    /// What the models make of a token.
    pub(crate) fn columns(&self) -> ScoreColumns {
        let combine = [Combine::Min, Combine::Max]
            .into_iter()
            .find(|combine| self.combine.as_deref() == Some(combine.name()));
        ScoreColumns {
            references: self.references.len(),
            combine: combine.unwrap_or(Combine::Mean),
            base: self.base.is_some(),
        }
    }

    /// All models that score: the references, then the base.
    pub(crate) fn models(&self) -> impl Iterator<Item = &PlannedModel> {
        self.references.iter().chain(&self.base)
    }

    /// Whether the masks go to standard output.
    pub fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Whether masks or weights are written, not scores alone.
    pub(crate) fn makes_masks(&self) -> bool {
        !self.rule.selections.is_empty()
    }

    /// Everything that must be the same for a run to be gone on with: what the masks and their bytes follow from.
    pub(crate) fn what_changes_masks(&self) -> serde_json::Value {
        json!({
            "metadata": self.metadata(),
            "library_version": self.library_version,
            "scores": self.scores,
            "batch_tokens": self.batch_tokens,
            "look_ahead_documents": self.look_ahead_documents,
            "look_ahead_tokens": self.look_ahead_tokens,
            "text_field": self.text_field,
            "tokens_field": self.tokens_field,
            "id_field": self.id_field,
            "source_field": self.source_field,
            "lines": self.lines,
            "max_document_bytes": self.max_document_bytes,
            "score_dtype": self.score_type,
            "compression": self.compression,
            "keep_text": self.keep_text,
            "shard_size": self.shard_bytes,
        })
    }

    /// Writes the tokenizer into the masks folder, if there is one.
    pub(crate) fn put_tokenizer(&self, folder: &MasksFolder) -> anyhow::Result<()> {
        match &self.tokenizer {
            Some(path) => stored::put(folder, path, self.tokenizer_fingerprint.as_deref()),
            None => Ok(()),
        }
    }

    /// How the corpus is read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            text_field: self.text_field.clone(),
            tokens_field: self.tokens_field.clone(),
            id_field: self.id_field.clone(),
            source_field: self.source_field.clone(),
            lines: self.lines,
            max_document_bytes: self.max_document_bytes,
            names: OPTION_NAMES,
        }
    }
}
