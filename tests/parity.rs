//! Loss and entropy of real exports against PyTorch in float64.
//!
//! `generate.py` in the folder `shared/parity` beside the project wrote the models and their `expected.jsonl`:
//! `log_softmax` of the Hugging Face model in double precision, one row per document. The rows hold `input_ids`, so the
//! file of expectations is also the corpus.

use std::fs;

use serde_json::Value;

use crate::support::{Run, assert_close, beside, rows, write};

/// The tolerance of the exports against float64.
const PARITY: f32 = 1e-4;

#[test]
fn exports_score_as_pytorch_does() {
    let Some(parity) = beside("parity") else {
        return;
    };
    let mut tried = 0;
    for entry in fs::read_dir(parity).unwrap() {
        let model = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(model.join("expected.jsonl")) else {
            continue;
        };
        let expected: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(
            expected
                .iter()
                .any(|row| row["input_ids"].as_array().unwrap().len() == 1)
        );
        for export in ["onnx", "onnx_past"] {
            let what = format!("{} {export}", model.file_name().unwrap().display());
            let place = tempfile::tempdir().unwrap();
            let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
            write(&corpus.join("expected.jsonl"), &text);
            write(&corpus.join("nothing.jsonl"), "{\"input_ids\": []}\n");
            let ended = Run::score_tokens(&corpus, &model.join(export), &out).ends_with(0);
            assert!(
                ended.lines_with("cannot be cut").is_empty(),
                "{}",
                ended.stderr
            );

            let got = rows(&out, "expected.jsonl");
            assert_eq!(got.len(), expected.len(), "{what}");
            for (got, expected) in got.iter().zip(&expected) {
                let what = format!("{what}, {} tokens", got.input_ids.len());
                assert_eq!(
                    Value::from(got.input_ids.clone()),
                    expected["input_ids"],
                    "{what}"
                );
                for (scores, column) in got.scores.iter().zip(["loss", "entropy"]) {
                    // Null is NaN on both sides.
                    let expected: Vec<f32> = expected[column]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|score| score.as_f64().map_or(f32::NAN, |score| score as f32))
                        .collect();
                    assert_close(scores, &expected, PARITY, &format!("{what}, {column}"));
                }
                assert!(got.masks.iter().all(|mask| !mask[0]), "{what}");
            }
            let nothing = rows(&out, "nothing.jsonl");
            assert_eq!(nothing.len(), 1, "{what}");
            assert_eq!(nothing[0].id, "nothing.jsonl#0", "{what}");
            assert!(
                nothing[0].input_ids.is_empty() && nothing[0].scores[0].is_empty(),
                "{what}"
            );
            tried += 1;
        }
    }
    assert!(
        tried >= 8,
        "expected four models in two exports, got {tried}"
    );
}
