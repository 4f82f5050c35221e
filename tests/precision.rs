//! `--precision`: how close int8 and bf16 are to f32 on a trained model, the metadata of the masks, and refusals.

use std::path::Path;

use rho_formats::MaskRow;
use rho_graph::DataType::{F16, F32, I64};
use rho_reference::{Precision, matmul::Multiplier};

use crate::support::{
    Random, Run, bundled::SHARDS, files, metadata, onnx::Graph, read_json, root, rows, skipped,
    write,
};

/// The share of mask bits that must equal those of f32, for each mask at keep 0.6.
const AGREEMENT: f64 = 0.99;
/// The relative tolerance of the mean loss.
const MEAN_LOSS: f64 = 0.005;

/// Scores the bundled corpus with the bundled model, which is trained.
fn score(precision: &str, out: &Path) -> Vec<MaskRow> {
    Run::score(&root().join("examples/corpus"), out)
        .args(&["--keep", "0.6", "--precision", precision])
        .ends_with(0);
    SHARDS.iter().flat_map(|shard| rows(out, shard)).collect()
}

fn mean_loss(rows: &[MaskRow]) -> f64 {
    let scored = rows.iter().flat_map(|row| &row.scores[0]);
    let scored: Vec<f64> = scored
        .filter(|s| s.is_finite())
        .map(|&s| f64::from(s))
        .collect();
    scored.iter().sum::<f64>() / scored.len() as f64
}

#[test]
fn masks_are_nearly_those_of_f32() {
    let place = tempfile::tempdir().unwrap();
    let exact = score("f32", &place.path().join("f32"));
    for precision in ["int8", "bf16"] {
        if precision == "bf16" && Multiplier::detect(Precision::Bf16).is_err() {
            skipped("this processor has no avx512_bf16");
            continue;
        }
        let out = place.path().join(precision);
        let near = score(precision, &out);
        assert_eq!(metadata(&out, SHARDS[0])["precision"], precision);
        // Loss and entropy.
        for mask in 0..2 {
            let (mut same, mut all) = (0, 0);
            for (near, exact) in near.iter().zip(&exact) {
                assert_eq!(near.input_ids, exact.input_ids);
                let bits = near.masks[mask].iter().zip(&exact.masks[mask]).skip(1);
                all += bits.clone().count();
                same += bits.filter(|(near, exact)| near == exact).count();
            }
            let share = same as f64 / all as f64;
            assert!(
                share >= AGREEMENT,
                "{precision}, mask {mask}: {share} of the bits agree"
            );
        }
        let (got, expected) = (mean_loss(&near), mean_loss(&exact));
        assert!(
            (got / expected - 1.0).abs() <= MEAN_LOSS,
            "{precision}: expected a mean loss of {expected}, got {got}"
        );
    }
}

#[test]
fn the_plan_names_the_precision() {
    let place = tempfile::tempdir().unwrap();
    let corpus = root().join("examples/corpus/notes.jsonl.gz");
    for (precision, expected) in [("auto", "f32"), ("f32", "f32"), ("int8", "int8")] {
        let run = Run::score(&corpus, &place.path().join("out"))
            .args(&["--show-plan", "--precision", precision])
            .ends_with(0);
        let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(plan["precision"], expected, "{precision}");
    }
    let bf16 = Run::score(&corpus, &place.path().join("out"))
        .args(&["--show-plan", "--precision", "bf16"])
        .end();
    if Multiplier::detect(Precision::Bf16).is_ok() {
        assert_eq!(bf16.code, Some(0), "{}", bf16.stderr);
    } else {
        assert_eq!(bf16.code, Some(2));
        assert!(bf16.stderr.contains("avx512_bf16"), "{}", bf16.stderr);
        assert!(bf16.stderr.contains("hint: --precision int8"));
    }
}

/// A folder that was started in f32 is not resumed in int8.
#[test]
fn another_precision_is_another_run() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (
        root().join("examples/corpus/texts/notes.txt"),
        place.path().join("out"),
    );
    Run::score(&corpus, &out).ends_with(0);
    let before = read_json(&out.join("summary.json"));
    let said = Run::score(&corpus, &out)
        .args(&["--precision", "int8"])
        .ends_with(2)
        .stderr;
    assert!(said.contains("precision"), "{said}");
    assert_eq!(read_json(&out.join("summary.json")), before);
}

/// A model whose logits are `embedding[token] x body x head`, in one type.
fn model(path: &Path, dtype: rho_graph::DataType, product: &str) {
    let mut random = Random(3);
    let mut draw = |n: usize| (0..n).map(|_| random.signed()).collect::<Vec<f32>>();
    Graph::default()
        .input("input_ids", I64, "batch_size sequence_length")
        .output("logits", dtype, "batch_size sequence_length 50")
        .floats("embedding", dtype, &[50, 8], &draw(400))
        .floats("body", dtype, &[8, 8], &draw(64))
        .floats("head", dtype, &[8, 50], &draw(400))
        .node("Gather", "embedding input_ids", "rows")
        .node(product, "rows body", "hidden")
        .node("MatMul", "hidden head", "logits")
        .write(&path.join("model.onnx"));
    write(
        &path.join("config.json"),
        "{\"max_position_embeddings\": 64}",
    );
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write(&at("a.jsonl"), "{\"input_ids\": [1, 2, 3]}\n");
    model(&at("half"), F16, "MatMul");
    model(&at("quantised"), F32, "MatMulNBits");
    model(&at("bare"), F32, "Add");
    for (name, precision, words) in [
        (
            "half",
            "f32",
            "--precision f32: expected weights stored in f32, got f16",
        ),
        (
            "half",
            "int8",
            "the weights body are of type F16, expected f32",
        ),
        (
            "quantised",
            "int8",
            "already quantised (operator MatMulNBits)",
        ),
        ("bare", "int8", "no matmul with constant weights"),
    ] {
        let before = files(place.path());
        let run = Run::score_tokens(&at("a.jsonl"), &at(name), &at("out"));
        let said = run.args(&["--precision", precision]).ends_with(2).stderr;
        assert!(said.contains(words), "expected {words:?} in {said}");
        assert!(said.contains("hint: omit --precision"), "{said}");
        assert_eq!(files(place.path()), before);
    }
}

/// Documents in one batch get the same scores as alone.
#[test]
fn batches_do_not_change_scores() {
    let place = tempfile::tempdir().unwrap();
    let corpus = root().join("examples/corpus/notes.jsonl.gz");
    let score = |tokens: &str| {
        let out = place.path().join(tokens);
        Run::score(&corpus, &out)
            .args(&["--precision", "int8", "--batch-tokens", tokens])
            .ends_with(0);
        rows(&out, "notes.jsonl.gz")
    };
    let (alone, together) = (score("1"), score("4096"));
    crate::support::assert_same_scores(&together, &alone, 1e-5, "batches");
}
