//! A finished masks folder with chosen scores, as `score` would write it.

use std::path::Path;

use rho_formats::{
    MaskRow, MaskSchema, MasksFolder, ScoreType, TopColumns, TopTokens, WriteOptions,
};
use serde_json::json;

use super::Random;

/// Three shards with every kind of score: common ones, equal ones, infinities, both zeros, documents without any.
/// `base_loss`, `loss` and `entropy`; in 16 bits also the most likely tokens; small files, so that shards have several.
pub(crate) fn masks(out: &Path, score_type: ScoreType) {
    let schema = MaskSchema {
        scores: ["base_loss", "loss", "entropy"].map(String::from).to_vec(),
        score_type,
        masks: vec!["mask_old".to_owned()],
        weights: Vec::new(),
        text: true,
        source: false,
        target: false,
        top: top_columns(score_type),
        metadata: json!({"format_version": 1, "tokenizer": {"fingerprint": "t"}, "scope": "batch"}),
    };
    let folder = MasksFolder::create(out).unwrap();
    let mut random = Random(7);
    let mut files = Vec::new();
    // One has so many documents that it has several record batches and files.
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
        weights: Vec::new(),
        text: Some(format!("text of {row}")),
        source: None,
        target: None,
        top: top_columns(score_type).map(|columns| top(row, length, columns)),
    }
}

/// Half of the folders have the most likely tokens.
fn top_columns(score_type: ScoreType) -> Option<TopColumns> {
    (score_type == ScoreType::Float16).then_some(TopColumns {
        count: 2,
        score_type,
    })
}

fn top(row: i64, length: usize, columns: TopColumns) -> TopTokens {
    let items = 0..length * columns.count;
    let scored = |i: &usize| i / columns.count > 0 && row % 50 != 7;
    TopTokens {
        ids: items
            .clone()
            .map(|i| if scored(&i) { i as u32 % 50 } else { 0 })
            .collect(),
        logprobs: items
            .map(|i| {
                if scored(&i) {
                    i as f32 / -8.0
                } else {
                    f32::NAN
                }
            })
            .collect(),
    }
}

/// The five tokens of the documentation's examples, as the only document of a shard `five.jsonl`; with bits and with
/// weights.
pub(crate) fn five_tokens(out: &Path) {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let schema = MaskSchema {
        scores: names(&["loss", "entropy"]),
        score_type: ScoreType::Float32,
        masks: names(&["mask_intersection"]),
        weights: names(&["weight_loss"]),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format_version": 1, "reference": {"vocabulary": 50257}}),
    };
    let row = MaskRow {
        id: "dog".to_owned(),
        row: 0,
        input_ids: vec![464, 3290, 3332, 319, 262],
        scores: vec![
            vec![f32::NAN, 7.21, 2.05, 0.88, 0.31],
            vec![f32::NAN, 6.9, 3.1, 1.72, 0.95],
        ],
        masks: vec![vec![false, true, false, true, true]],
        weights: vec![vec![0.0, 0.5, 0.0, 1.0, 0.25]],
        text: None,
        source: None,
        target: None,
        top: None,
    };
    one_shard(out, "five.jsonl", &schema, &[row]);
}

/// A finished masks folder of one shard.
pub(crate) fn one_shard(out: &Path, shard: &str, schema: &MaskSchema, rows: &[MaskRow]) {
    let folder = MasksFolder::create(out).unwrap();
    let mut writer = folder
        .writer(shard, schema, WriteOptions::default())
        .unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    let written = writer.finish().unwrap();
    assert!(folder.publish(shard, &written, &[]).unwrap());
    folder.list(&schema.metadata, &written).unwrap();
    folder.summary(&json!({})).unwrap();
}
