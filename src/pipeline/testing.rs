//! What the tests of the pipeline share.

use std::path::Path;

use rho_formats::{BatchCompression, ScoreType, Shard};

use crate::{
    cli::{Scope, SpecialToken},
    memory::Memory,
    plan::{Plan, SpecialTokens},
};

/// A plan for a fake scorer: token ids from the field `ids`, everything small.
pub(super) fn plan(out: &Path, shards: &[Shard]) -> Plan {
    let none = || SpecialTokens {
        rule: SpecialToken::Auto,
        tokens: vec![],
    };
    Plan {
        shards: shards.iter().map(|s| s.name.clone()).collect(),
        bytes: 0,
        out: out.to_owned(),
        model: "fake".into(),
        model_fingerprint: "fake".into(),
        vocabulary: 5000,
        tokenizer: None,
        tokenizer_fingerprint: None,
        library: "none".into(),
        library_version: "0".into(),
        device: "cpu".into(),
        precision: "f32".into(),
        threads: 2,
        context: 32,
        overlap: 8,
        bos: none(),
        eos: none(),
        batch_tokens: 64,
        look_ahead_documents: 7,
        look_ahead_tokens: 200,
        keep_loss: 0.7,
        keep_entropy: 0.6,
        scope: Scope::Batch,
        scope_tokens: 700,
        text_field: "text".into(),
        tokens_field: Some("ids".into()),
        id_field: "id".into(),
        source_field: None,
        lines: false,
        max_document_bytes: 1 << 28,
        score_type: ScoreType::Float32,
        compression: BatchCompression::None,
        keep_text: false,
        shard_bytes: 1 << 30,
        strict: false,
        max_rejected: 1.0,
        rank: 0,
        world_size: 1,
        memory: Memory::default(),
    }
}
