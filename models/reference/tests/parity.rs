//! Loss and entropy against PyTorch in float64, on every model of the folder `shared/parity` beside the checkout, and
//! the ways to compute the head against each other on the bundled demonstration model.
//!
//! `expected.jsonl` there was made by its `generate.py`: `log_softmax` of the Hugging Face model in double precision.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot run says so, and one that fails may panic"
)]

use std::path::{Path, PathBuf};

use rho_reference::{
    HeadChoice, OpenedReference, Piece, ReferenceOptions, ResolvedDevice, Scorer, Scores, Source,
    head::{plain, session::SessionHead},
    library::{LibraryOptions, find_or_install, load},
};
use serde_json::Value;

/// What the exports owe to float64.
const PARITY: f32 = 1e-4;
/// What padding and other kernels may change.
const SAME: f32 = 1e-5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn scorer(model: &Path, head: HeadChoice) -> rho_reference::Reference {
    let library = find_or_install(&LibraryOptions::from_environment(), &mut |line| {
        eprintln!("{line}")
    })
    .unwrap();
    let environment = load(&library).unwrap();
    let reference = OpenedReference::open(&Source::find(model).unwrap()).unwrap();
    assert_eq!(reference.not_cut(), None, "{}", model.display());
    let options = ReferenceOptions {
        device: ResolvedDevice::Cpu,
        threads: 2,
        head,
    };
    reference.load(&environment, options).unwrap()
}

fn whole(tokens: &[u32]) -> Piece<'_> {
    Piece {
        tokens,
        scored_from: 1,
    }
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= tolerance,
            "{what}: number {i}: expected {expected}, got {got}"
        );
    }
}

fn assert_same(got: &[Scores], expected: &[Scores], tolerance: f32, what: &str) {
    for (got, expected) in got.iter().zip(expected) {
        assert_close(&got.loss, &expected.loss, tolerance, what);
        assert_close(&got.entropy, &expected.entropy, tolerance, what);
    }
}

/// Tokens, losses and entropies of a line of expected.jsonl, its nulls left out.
fn expected(line: &str) -> (Vec<u32>, Scores) {
    let row: Value = serde_json::from_str(line).unwrap();
    let numbers = |name: &str| {
        row[name]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .map(|n| n as f32)
            .collect()
    };
    let tokens = row["input_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as u32)
        .collect();
    (
        tokens,
        Scores {
            loss: numbers("loss"),
            entropy: numbers("entropy"),
        },
    )
}

#[test]
fn equals_float64_on_all_models_and_both_exports() {
    let parity = root().join("../shared/parity");
    let Ok(models) = std::fs::read_dir(&parity) else {
        eprintln!("skipped: {} is not there", parity.display());
        return;
    };
    let mut tried = 0;
    for model in models
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("expected.jsonl").exists())
    {
        let text = std::fs::read_to_string(model.join("expected.jsonl")).unwrap();
        let rows: Vec<_> = text
            .lines()
            .map(expected)
            .filter(|(tokens, _)| tokens.len() > 1)
            .collect();
        for export in ["onnx", "onnx_past"] {
            for head in [HeadChoice::Fastest, HeadChoice::Session, HeadChoice::Logits] {
                let mut scorer = scorer(&model.join(export), head);
                let what = format!("{} {export} {head:?}", model.display());
                let pieces: Vec<_> = rows.iter().map(|(tokens, _)| whole(tokens)).collect();
                let expected: Vec<_> = rows.iter().map(|(_, scores)| scores.clone()).collect();
                let alone: Vec<_> = pieces
                    .iter()
                    .flat_map(|p| scorer.score(&[*p]).unwrap())
                    .collect();
                assert_same(&alone, &expected, PARITY, &what);
                let together = scorer.score(&pieces).unwrap();
                assert_same(&together, &alone, SAME, &format!("{what}, padded"));
                tried += 1;
            }
        }
    }
    assert!(
        tried >= 24,
        "expected four models, two exports, three heads; tried {tried}"
    );
}

#[test]
fn all_heads_agree_on_the_demonstration_model() {
    let tokens: Vec<u32> = (0..300).map(|i| i * 37 % 2000).collect();
    let pieces = [
        whole(&tokens[..5]),
        Piece {
            tokens: &tokens[5..205],
            scored_from: 100,
        },
        whole(&tokens),
    ];
    let scores = |head| {
        scorer(&root().join("models/demo"), head)
            .score(&pieces)
            .unwrap()
    };
    let logits = scores(HeadChoice::Logits);
    assert_eq!(
        logits.iter().map(|s| s.loss.len()).collect::<Vec<_>>(),
        [4, 100, 299]
    );
    assert_same(&scores(HeadChoice::Fastest), &logits, SAME, "kernel");
    assert_same(&scores(HeadChoice::Session), &logits, SAME, "session");
}

/// More rows than a chunk, the last chunk not full, rows in another order than they lie.
#[test]
fn chunks_of_rows_equal_the_plain_head() {
    let options = LibraryOptions::from_environment();
    let library = find_or_install(&options, &mut |line| eprintln!("{line}")).unwrap();
    let environment = load(&library).unwrap();
    let model = rho_graph::Model::open(&root().join("models/demo/model.onnx")).unwrap();
    let cut = model.cut(&model.logits().unwrap()).unwrap();
    let hidden = cut.head.hidden;
    let states: Vec<f32> = (0..11 * hidden)
        .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    let rows: Vec<usize> = (0..11).rev().collect();
    let targets: Vec<u32> = (0..11).map(|i| i * 181).collect();
    let chosen: Vec<f32> = rows
        .iter()
        .flat_map(|r| states[r * hidden..][..hidden].to_vec())
        .collect();
    let expected = plain::score(&cut.head, &chosen, &targets).unwrap();
    let mut head = SessionHead::new(&cut, ResolvedDevice::Cpu, &environment, 1).unwrap();
    head.set_chunk(4);
    let states = ort::value::Tensor::from_array(([11, hidden], states)).unwrap();
    let got = head.score(&states.into_dyn(), &rows, &targets).unwrap();
    assert_close(&got.loss, &expected.loss, SAME, "loss");
    assert_close(&got.entropy, &expected.entropy, SAME, "entropy");
}
