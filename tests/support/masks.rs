//! A finished masks folder with scores of our choice, as `score` would leave it.

use std::path::Path;

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::json;

use super::Random;

/// Three shards with every kind of score: common ones, equal ones, infinities, both zeros, documents without any.
/// `base_loss`, `loss` and `entropy`; small record files, so that shards have several.
pub(crate) fn masks(out: &Path, score_type: ScoreType) {
    let schema = MaskSchema {
        scores: ["base_loss", "loss", "entropy"].map(String::from).to_vec(),
        score_type,
        masks: vec!["mask_old".to_owned()],
        text: true,
        source: false,
        metadata: json!({"format_version": 1, "tokenizer": {"fingerprint": "t"}, "scope": "batch"}),
    };
    let folder = MasksFolder::create(out).unwrap();
    let mut random = Random(7);
    let mut files = Vec::new();
    // One has so many documents that its record batches, and so its files, are several.
    for (shard, documents) in [
        ("b/two.jsonl", 2600),
        ("a", 0),
        ("c.txt", 1),
        ("d.jsonl", 300),
    ] {
        let options = WriteOptions {
            file_bytes: 60_000,
            ..WriteOptions::default()
        };
        let mut writer = folder.writer(shard, &schema, options).unwrap();
        for row in 0..documents {
            writer
                .write(&document(row, &mut random, score_type))
                .unwrap();
        }
        let written = writer.finish().unwrap();
        assert!(folder.publish(shard, &written, &[]).unwrap());
        files.extend(written);
    }
    assert!(files.len() > 5, "{files:?}");
    folder.list(&schema.metadata, &files).unwrap();
    folder.summary(&json!({})).unwrap();
}

fn document(row: i64, random: &mut Random, score_type: ScoreType) -> MaskRow {
    let length = (random.next() % 30) as usize;
    let scores = (0..3)
        .map(|_| {
            (0..length)
                .map(|i| {
                    let score = match random.next() % 40 {
                        _ if i == 0 || row % 50 == 7 => f32::NAN,
                        0 => f32::INFINITY,
                        1 => f32::NEG_INFINITY,
                        2 => -0.0,
                        3 => 0.0,
                        4 => f32::NAN,
                        5..15 => (random.next() % 4) as f32,
                        _ => random.signed() * 9.0,
                    };
                    score_type.round(score)
                })
                .collect()
        })
        .collect();
    MaskRow {
        id: format!("{row}"),
        row,
        input_ids: (0..length).map(|_| random.next() % 50).collect(),
        scores,
        masks: vec![vec![true; length]],
        text: Some(format!("text of {row}")),
        source: None,
    }
}
