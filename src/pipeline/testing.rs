//! Helpers that the pipeline's tests share.

use std::path::Path;

use rho_formats::{BatchCompression, FileFormat, ScoreType, Shard};
use rho_selection::KeepRatio;

use crate::{
    cli::{RuleName, SelectionArgs, SpecialToken},
    plan::{Memory, Plan, PlannedModel, SpecialTokens},
    selections::{
        options,
        rule::{Rule, Scope},
    },
};

/// The intersection, with these keep ratios.
pub(super) fn rule(keep_loss: f64, keep_entropy: f64) -> Rule {
    let ratio = |ratio| Some(KeepRatio::new(ratio).unwrap());
    let args = SelectionArgs {
        keep_loss: ratio(keep_loss),
        keep_entropy: ratio(keep_entropy),
        ..SelectionArgs::default()
    };
    let there = ["loss", "entropy"];
    options::resolve(RuleName::Intersection, &args, &there)
        .unwrap()
        .0
}

/// A plan for a fake scorer: token ids from the field `ids`, all sizes small.
pub(super) fn plan(out: &Path, shards: &[Shard]) -> Plan {
    let none = || SpecialTokens {
        rule: SpecialToken::Auto,
        tokens: vec![],
    };
    Plan {
        shards: shards.iter().map(|s| s.name.clone()).collect(),
        bytes: 0,
        out: out.to_owned(),
        references: vec![PlannedModel {
            name: "fake".into(),
            path: "fake".into(),
            fingerprint: "fake".into(),
            hub: None,
            typed: None,
            server: None,
            bytes: 0,
            vocabulary: 5000,
            ignored_settings: Vec::new(),
            precision: "f32".into(),
        }],
        combine: None,
        base: None,
        verified: Vec::new(),
        vocabulary: 5000,
        tokenizer: None,
        tokenizer_fingerprint: None,
        tokenizer_files: Default::default(),
        library: None,
        library_version: None,
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
        scores: ["loss", "entropy"].map(String::from).to_vec(),
        rule: rule(0.7, 0.6),
        scope: Scope::Batch(700),
        content: crate::content::ContentPlan {
            text_field: "text".into(),
            tokens_field: Some("ids".into()),
            ..crate::content::ContentPlan::default()
        },
        context_field: None,
        id_field: "id".into(),
        source_field: None,
        lines: false,
        max_document_bytes: 1 << 28,
        limit: None,
        sample: None,
        score_type: ScoreType::Float32,
        top: None,
        format: FileFormat::ArrowStream,
        compression: BatchCompression::None,
        keep_text: false,
        score_context: true,
        shard_bytes: 1 << 30,
        strict: false,
        max_rejected: 1.0,
        max_untargeted: 1.0,
        rank: 0,
        world_size: 1,
        memory: Memory::default(),
    }
}
