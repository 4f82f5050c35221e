//! What a run of `score` does. A [`Plan`] has no open ends; after it nobody looks at the arguments.

use std::path::PathBuf;

use rho_formats::{BatchCompression, ReadOptions, ScoreType};
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{Scope, SpecialToken},
    memory::Memory,
};

mod model;
mod resolve;

pub(crate) use resolve::{Prepared, resolve, say};

/// Paper, appendix H: loss 70 % and entropy 70 %, intersected, did best.
pub(crate) const DEFAULT_KEEP: f64 = 0.7;

/// Everything `score` does, decided.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Names of the shards, in order.
    pub shards: Vec<String>,
    /// Bytes of all shards, as they lie.
    pub bytes: u64,
    /// The masks folder.
    pub out: PathBuf,
    /// The ONNX model.
    pub model: PathBuf,
    /// SHA-256 of the model's files.
    pub model_fingerprint: String,
    /// Width of the logits.
    pub vocabulary: usize,
    /// tokenizer.json; none where token ids are given.
    pub tokenizer: Option<PathBuf>,
    /// SHA-256 of tokenizer.json.
    pub tokenizer_fingerprint: Option<String>,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// Its version.
    pub library_version: String,
    /// `cpu`, `cuda:N` or `cuda:N,M,...`.
    pub device: String,
    /// Type of the numbers that the products with weights are computed in.
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
    /// Share kept by lowest loss.
    pub keep_loss: f64,
    /// Share kept by lowest entropy.
    pub keep_entropy: f64,
    /// Among which tokens to rank.
    pub scope: Scope,
    /// Tokens in one scope `batch`.
    pub scope_tokens: usize,
    /// Field with the text.
    pub text_field: String,
    /// Field with token ids, if that is what is scored.
    pub tokens_field: Option<String>,
    /// Field with the document's id.
    pub id_field: String,
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

/// A rule for special tokens and what it comes to.
#[derive(Debug, Clone, Serialize)]
pub struct SpecialTokens {
    /// What was asked for.
    pub rule: SpecialToken,
    /// The tokens put around each text.
    pub tokens: Vec<u32>,
}

impl Plan {
    /// The masks' metadata: what is known before the first row.
    pub fn metadata(&self) -> serde_json::Value {
        let selection = |column: &str, by: &str, keep: f64| json!({"column": column, "by": by, "keep_lowest": keep});
        json!({
            "format_version": 1,
            "reference": {"fingerprint": self.model_fingerprint, "vocabulary": self.vocabulary},
            "tokenizer": {"fingerprint": self.tokenizer_fingerprint},
            "provider": self.device.split(':').next(),
            "precision": self.precision,
            "context": self.context,
            "overlap": self.overlap,
            "bos": self.bos,
            "eos": self.eos,
            "scope": self.scope,
            "scope_tokens": self.scope_tokens,
            "selections": [
                selection("mask_loss", "loss", self.keep_loss),
                selection("mask_entropy", "entropy", self.keep_entropy),
                {"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]},
            ],
        })
    }

    /// Whether the masks go to standard output.
    pub fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Everything that must be the same for a run to be gone on with: what the masks and their bytes follow from.
    pub(crate) fn what_changes_masks(&self) -> serde_json::Value {
        json!({
            "metadata": self.metadata(),
            "library_version": self.library_version,
            "batch_tokens": self.batch_tokens,
            "look_ahead_documents": self.look_ahead_documents,
            "look_ahead_tokens": self.look_ahead_tokens,
            "text_field": self.text_field,
            "tokens_field": self.tokens_field,
            "id_field": self.id_field,
            "lines": self.lines,
            "max_document_bytes": self.max_document_bytes,
            "score_dtype": self.score_type,
            "compression": self.compression,
            "keep_text": self.keep_text,
            "shard_size": self.shard_bytes,
        })
    }

    /// How the corpus is read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            text_field: self.text_field.clone(),
            tokens_field: self.tokens_field.clone(),
            id_field: self.id_field.clone(),
            lines: self.lines,
            max_document_bytes: self.max_document_bytes,
        }
    }
}
