//! Several models in one pass: a base beside the reference, several references.

use std::fs;
use std::path::{Path, PathBuf};

use rho_formats::MaskRow;
use serde_json::Value;

use crate::support::{
    Run, assert_close, beside, demo, metadata, read_json, rows,
    tiny::{tiny_drawn, with_tokenizer},
    write,
};

const SHARD: &str = "pages.jsonl";

/// Models that differ only in their weights, and a corpus.
pub(crate) struct Workspace(tempfile::TempDir);

impl Workspace {
    pub(crate) fn new(models: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (seed, name) in (7..).zip(models) {
            tiny_drawn(&place.at(name), 2048, seed);
            with_tokenizer(&place.at(name));
        }
        place
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `score` of a shard of the examples into `out`.
    pub(crate) fn score(&self, out: &str, models: &[(&str, &str)]) -> Run {
        let corpus = Path::new("examples/corpus").join(SHARD);
        let mut run = Run::score(&corpus, &self.at(out));
        for (option, model) in models {
            run = run.args(&[&format!("--{option}")]).arg(self.at(model));
        }
        run
    }

    fn rows(&self, out: &str) -> Vec<MaskRow> {
        rows(&self.at(out), SHARD)
    }

    pub(crate) fn summary(&self, out: &str) -> Value {
        read_json(&self.at(out).join("summary.json"))
    }
}

/// One column of scores of all documents, by its name; as bits, so that NaN equals NaN.
fn column(place: &Workspace, out: &str, name: &str) -> Vec<u32> {
    values(place, out, name)
        .iter()
        .map(|s| s.to_bits())
        .collect()
}

fn values(place: &Workspace, out: &str, name: &str) -> Vec<f32> {
    let names = columns(place, out);
    let at = names.iter().position(|n| n == name).unwrap();
    let rows = place.rows(out);
    rows.iter().flat_map(|row| row.scores[at].clone()).collect()
}

fn columns(place: &Workspace, out: &str) -> Vec<String> {
    let path = place.at(out).join(format!("{SHARD}.arrow"));
    rho_formats::read_masks(&path)
        .unwrap()
        .schema()
        .scores
        .clone()
}

/// A score as stored in 16 bits.
fn half(score: f32) -> f32 {
    half::f16::from_f32(score).to_f32()
}

#[test]
fn a_base_scores_the_same_tokens_in_the_same_pass() {
    let place = Workspace::new(&["ref", "base"]);
    for dtype in ["float32", "float16"] {
        let (both, reference, base) = (
            format!("both-{dtype}"),
            format!("ref-{dtype}"),
            format!("base-{dtype}"),
        );
        let dtype = ["--score-dtype", dtype];
        let ended = place
            .score(&both, &[("model", "ref"), ("base", "base")])
            .args(&["--by", "excess", "--keep", "0.6"])
            .args(&dtype)
            .ends_with(0);
        place
            .score(&reference, &[("model", "ref")])
            .args(&dtype)
            .ends_with(0);
        place
            .score(&base, &[("model", "base")])
            .args(&dtype)
            .ends_with(0);

        assert_eq!(
            columns(&place, &both),
            ["loss", "entropy", "base_loss", "excess"]
        );
        for name in ["loss", "entropy"] {
            assert!(
                column(&place, &both, name) == column(&place, &reference, name),
                "{name}"
            );
        }
        assert!(column(&place, &both, "base_loss") == column(&place, &base, "loss"));
        let (loss, base_loss) = (
            values(&place, &both, "loss"),
            values(&place, &both, "base_loss"),
        );
        let difference = base_loss
            .iter()
            .zip(&loss)
            .map(|(base, loss)| match dtype[1] {
                "float16" => half(base - loss),
                _ => base - loss,
            });
        let difference: Vec<u32> = difference.map(f32::to_bits).collect();
        assert!(column(&place, &both, "excess") == difference);

        // The highest 60 %; among equal scores, the earlier ones.
        let excess = values(&place, &both, "excess");
        let mut ranked: Vec<usize> = (0..excess.len()).filter(|&i| !excess[i].is_nan()).collect();
        ranked.sort_by(|&a, &b| excess[b].total_cmp(&excess[a]));
        let scored = ranked.len();
        ranked.truncate((0.6 * scored as f64).round() as usize);
        let mut kept = vec![false; excess.len()];
        ranked.iter().for_each(|&i| kept[i] = true);
        let rows = place.rows(&both);
        let got: Vec<bool> = rows.iter().flat_map(|row| row.masks[0].clone()).collect();
        assert!(got == kept);

        let said = metadata(&place.at(&both), SHARD);
        let of = |out: &str| metadata(&place.at(out), SHARD)["reference"]["fingerprint"].clone();
        assert_eq!(said["base"]["fingerprint"], of(&base));
        assert_eq!(said["reference"]["fingerprint"], of(&reference));
        assert_ne!(of(&base), of(&reference));
        assert_eq!(said["selections"][0]["keep_highest"], 0.6);
        let (summary, alone) = (place.summary(&both), place.summary(&base));
        assert_eq!(summary["mean_base_loss"], alone["mean_loss"]);
        let mean = excess
            .iter()
            .filter(|e| !e.is_nan())
            .map(|&e| f64::from(e))
            .sum::<f64>();
        let mean = mean / scored as f64;
        assert!((summary["mean_excess"].as_f64().unwrap() - mean).abs() < 1e-9);
        assert_eq!(summary["kept"]["excess"]["tokens"], ranked.len());
        let threshold = excess[*ranked.last().unwrap()];
        assert_eq!(
            summary["kept"]["excess"]["threshold"][0],
            f64::from(threshold)
        );
        let told = ended.lines_with("base loss ");
        assert!(
            told.len() == 1 && told[0].contains("excess "),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn several_references_become_one_token_by_token() {
    let place = Workspace::new(&["a", "b", "c", "base"]);
    for (name, _) in [("a", 0), ("b", 1), ("c", 2)] {
        place
            .score(&format!("{name}-alone"), &[("model", name)])
            .ends_with(0);
    }
    let models = [
        ("model", "a"),
        ("model", "b"),
        ("model", "c"),
        ("base", "base"),
    ];
    let own = |kind: &str| -> Vec<Vec<f32>> {
        let alone = ["a-alone", "b-alone", "c-alone"];
        alone.iter().map(|out| values(&place, out, kind)).collect()
    };
    for how in ["min", "mean", "max"] {
        let run = place.score(how, &models);
        // The mean is the default.
        let run = if how == "mean" {
            run
        } else {
            run.args(&["--combine", how])
        };
        run.ends_with(0);
        let expected =
            "loss entropy base_loss excess loss_1 entropy_1 loss_2 entropy_2 loss_3 entropy_3";
        assert_eq!(columns(&place, how).join(" "), expected);
        for kind in ["loss", "entropy"] {
            let own = own(kind);
            for (i, own) in own.iter().enumerate() {
                let got = column(&place, how, &format!("{kind}_{}", i + 1));
                assert!(
                    got == own.iter().map(|s| s.to_bits()).collect::<Vec<_>>(),
                    "{kind} {i}"
                );
            }
            let combined = values(&place, how, kind);
            for (i, combined) in combined.iter().enumerate() {
                let scores = [own[0][i], own[1][i], own[2][i]];
                let expected = match how {
                    "min" => scores.into_iter().fold(f32::INFINITY, f32::min),
                    "max" => scores.into_iter().fold(f32::NEG_INFINITY, f32::max),
                    _ => (scores[0] + scores[1] + scores[2]) / 3.0,
                };
                let unscored = scores[0].is_nan() && combined.is_nan();
                assert!(
                    unscored || *combined == expected,
                    "{how} {kind} {i}: {combined} {expected}"
                );
            }
        }
        let (loss, base) = (
            values(&place, how, "loss"),
            values(&place, how, "base_loss"),
        );
        let difference: Vec<u32> = base
            .iter()
            .zip(&loss)
            .map(|(b, l)| (b - l).to_bits())
            .collect();
        assert!(column(&place, how, "excess") == difference);

        let said = metadata(&place.at(how), SHARD);
        assert_eq!(said["reference"]["combine"], how);
        for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
            let model = &said["reference"]["models"][i];
            let alone = metadata(&place.at(&format!("{name}-alone")), SHARD);
            assert_eq!(model["name"], name);
            assert_eq!(model["fingerprint"], alone["reference"]["fingerprint"]);
            assert_eq!(model["columns"][0], format!("loss_{}", i + 1));
            let mean = &place.summary(&format!("{name}-alone"))["mean_loss"];
            assert_eq!(&place.summary(how)[format!("mean_loss_{}", i + 1)], mean);
        }
    }
}

/// Real exports, against PyTorch in float64.
#[test]
fn a_base_and_references_are_what_pytorch_computes() {
    let Some(parity) = beside("parity") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
    let expected = |model: &str| {
        let text = fs::read_to_string(parity.join(model).join("expected.jsonl")).unwrap();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.collect::<Vec<_>>()
    };
    let (llama, qwen, base) = (expected("llama"), expected("qwen2"), expected("gpt2"));
    let text = fs::read(parity.join("llama/expected.jsonl")).unwrap();
    write(&corpus.join("a.jsonl"), text);
    Run::score_tokens(&corpus, &parity.join("llama/onnx"), &out)
        .arg("--model")
        .arg(parity.join("qwen2/onnx"))
        .arg("--base")
        .arg(parity.join("gpt2/onnx"))
        .ends_with(0);
    let got = rows(&out, "a.jsonl");
    assert_eq!(got.len(), llama.len());
    for (d, got) in got.iter().enumerate() {
        let column = |rows: &[Value], name: &str| -> Vec<f64> {
            let scores = rows[d][name].as_array().unwrap().iter();
            scores
                .map(|score| score.as_f64().unwrap_or(f64::NAN))
                .collect()
        };
        let mean = |name: &str| -> Vec<f64> {
            let (a, b) = (column(&llama, name), column(&qwen, name));
            a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()
        };
        let (loss, base) = (mean("loss"), column(&base, "loss"));
        let excess = base.iter().zip(&loss).map(|(b, l)| b - l).collect();
        let all = [loss, mean("entropy"), base, excess, column(&llama, "loss")];
        for (i, expected) in all.into_iter().enumerate() {
            let expected: Vec<f32> = expected.iter().map(|&score| score as f32).collect();
            // Twice the tolerance of one export, because it is a difference of two.
            assert_close(
                &got.scores[i],
                &expected,
                2e-4,
                &format!("document {d}, column {i}"),
            );
        }
    }
}

#[test]
fn models_that_do_not_belong_together_are_refused() {
    let place = Workspace::new(&["ref", "base", "small"]);
    let refuses = |models: &[(&str, &str)], arguments: &[&str], words: &[&str]| {
        let ended = place.score("out", models).args(arguments).ends_with(2);
        for word in words.iter().chain(&["hint: "]) {
            assert!(ended.stderr.contains(word), "{word:?}: {}", ended.stderr);
        }
        assert!(!place.at("out").exists(), "something was written");
    };
    let both = [("model", "ref"), ("base", "base")];

    let mut other = read_json(&demo().join("tokenizer.json"));
    other["version"] = "1.1".into();
    let own = fs::read(place.at("base/tokenizer.json")).unwrap();
    write(&place.at("base/tokenizer.json"), other.to_string());
    let words = [
        "base/tokenizer.json",
        "ref/tokenizer.json",
        "SHA-256",
        "--tokenizer",
    ];
    refuses(&both, &[], &words);
    refuses(&[("model", "ref"), ("model", "base")], &[], &words);
    // A tokenizer named explicitly applies to both.
    let tokenizer = place.at("ref/tokenizer.json");
    let named = ["--tokenizer", tokenizer.to_str().unwrap(), "--show-plan"];
    place.score("out", &both).args(&named).ends_with(0);
    write(&place.at("base/tokenizer.json"), own);

    tiny_drawn(&place.at("small"), 2000, 5);
    fs::remove_file(place.at("small/tokenizer.json")).unwrap();
    let small = [("model", "ref"), ("base", "small")];
    refuses(&small, &[], &["small", "2048 tokens, got 2000"]);

    refuses(
        &[("model", "ref")],
        &["--by", "excess"],
        &["\"base_loss\"", "got loss, entropy", "--base"],
    );
    refuses(
        &[("model", "ref")],
        &["--combine", "max"],
        &["--combine: expected several"],
    );
    refuses(&[("model", "ref"), ("base", "nowhere")], &[], &["nowhere"]);
    refuses(
        &both,
        &["--by", "loss", "--seed", "1"],
        &["--seed", "--by loss"],
    );
    refuses(&both, &["--by", "loss", "--batch", "0"], &["--batch"]);

    // The smaller context of the two, unless another that both allow is requested.
    write(
        &place.at("base/config.json"),
        r#"{"max_position_embeddings": 100}"#,
    );
    let plan = |arguments: &[&str]| -> Value {
        let run = place.score("out", &both).args(arguments).arg("--show-plan");
        serde_json::from_str(&run.ends_with(0).stdout).unwrap()
    };
    assert_eq!(plan(&[])["context"], 100);
    assert_eq!(plan(&["--context", "60"])["context"], 60);
    refuses(
        &both,
        &["--context", "200"],
        &["expected 2 to 100 tokens, got 200"],
    );
    let bytes = |model: &str| {
        fs::metadata(place.at(model).join("model.onnx"))
            .unwrap()
            .len()
    };
    assert_eq!(plan(&[])["memory"]["models"], bytes("ref") + bytes("base"));
}

#[test]
fn another_base_is_not_gone_on_with() {
    let place = Workspace::new(&["ref", "base", "other"]);
    place
        .score("out", &[("model", "ref"), ("base", "base")])
        .ends_with(0);
    for (models, word) in [
        (
            &[("model", "ref"), ("base", "other")][..],
            "--base (fingerprint): ",
        ),
        (&[("model", "ref")], "--base: base before, none now"),
        (
            &[("model", "other"), ("base", "base")],
            "--model (fingerprint): ",
        ),
        (
            &[("model", "ref"), ("model", "other"), ("base", "base")],
            "--model (models): ",
        ),
    ] {
        let ended = place.score("out", models).ends_with(2);
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
        assert!(ended.stderr.contains("--restart"), "{}", ended.stderr);
    }
    let again = place
        .score("out", &[("model", "ref"), ("base", "base")])
        .ends_with(0);
    assert!(again.stderr.contains("masked already"), "{}", again.stderr);
    assert!(again.stderr.contains("base loss"), "{}", again.stderr);
}
