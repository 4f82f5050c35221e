//! Loss and entropy compared with PyTorch in float64, on every model in the folder `shared/parity` next to the
//! checkout; and the ways to compute the head compared with each other on the bundled demonstration model.
//!
//! Its `generate.py` wrote `expected.jsonl` there: `log_softmax` of the Hugging Face model in double precision.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot run says so, and one that fails may panic"
)]

use std::path::{Path, PathBuf};

use rho_reference::{
    HeadChoice, Precision, ReferenceModel, ReferenceOptions, ResolvedDevice, Scorer, Scores,
    Source, TokenWindow, Top,
    head::{plain, session::SessionHead},
    matmul::Multiplier,
};
use rho_runtime::{LibraryOptions, find_or_install, load};
use serde_json::Value;

/// Largest difference between the exports and float64.
const PARITY: f32 = 1e-4;
/// Largest change by padding.
const SAME: f32 = 1e-5;
/// Largest difference between our attention and the exporter's, both in f32: about a dozen ulps of the largest losses.
const ATTENTION: f32 = 3e-5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn scorer(model: &Path, head: HeadChoice) -> rho_reference::Reference {
    scorer_in(Precision::AsStored, model, head)
}

/// Also with the most likely tokens.
fn with_top(top: usize, model: &Path, head: HeadChoice) -> rho_reference::Reference {
    loaded(Precision::AsStored, top, model, head)
}

fn scorer_in(precision: Precision, model: &Path, head: HeadChoice) -> rho_reference::Reference {
    loaded(precision, 0, model, head)
}

fn loaded(
    precision: Precision,
    top: usize,
    model: &Path,
    head: HeadChoice,
) -> rho_reference::Reference {
    let library = find_or_install(&LibraryOptions::from_environment(), &mut |line| {
        eprintln!("{line}")
    })
    .unwrap();
    let environment = load(&library).unwrap();
    let reference = ReferenceModel::open(&Source::find(model).unwrap()).unwrap();
    assert_eq!(reference.not_cut(), None, "{}", model.display());
    let options = ReferenceOptions {
        device: ResolvedDevice::Cpu,
        threads: 2,
        head,
        precision,
        top,
    };
    reference.load(&environment, options).unwrap()
}

fn whole(tokens: &[u32]) -> TokenWindow<'_> {
    TokenWindow {
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

/// Tokens, losses and entropies of a line of expected.jsonl, without its nulls.
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
            top: Top::default(),
        },
    )
}

#[test]
fn equals_float64_on_all_models_and_both_exports() {
    let parity = root().join("../shared/parity");
    let Ok(models) = std::fs::read_dir(&parity) else {
        eprintln!("skipped: {} does not exist", parity.display());
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
                let windows: Vec<_> = rows.iter().map(|(tokens, _)| whole(tokens)).collect();
                let expected: Vec<_> = rows.iter().map(|(_, scores)| scores.clone()).collect();
                let alone: Vec<_> = windows
                    .iter()
                    .flat_map(|p| scorer.score(&[*p]).unwrap())
                    .collect();
                assert_same(&alone, &expected, PARITY, &what);
                let together = scorer.score(&windows).unwrap();
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
    let windows = [
        whole(&tokens[..5]),
        TokenWindow {
            tokens: &tokens[5..205],
            scored_from: 100,
        },
        whole(&tokens),
    ];
    let scores = |head| {
        scorer(&root().join("models/demo"), head)
            .score(&windows)
            .unwrap()
    };
    let logits = scores(HeadChoice::Logits);
    assert_eq!(
        logits.iter().map(|s| s.loss.len()).collect::<Vec<_>>(),
        [4, 100, 299]
    );
    assert_same(&scores(HeadChoice::Fastest), &logits, ATTENTION, "kernel");
    assert_same(&scores(HeadChoice::Session), &logits, ATTENTION, "session");
    let int8 = |head| {
        scorer_in(Precision::Int8, &root().join("models/demo"), head)
            .score(&windows)
            .unwrap()
    };
    let kernel = int8(HeadChoice::Fastest);
    assert_same(&int8(HeadChoice::Session), &kernel, SAME, "int8, session");
    // With uncut logits the head is int8 too.
    assert_same(&int8(HeadChoice::Logits), &kernel, 0.5, "int8, logits");
    assert_ne!(int8(HeadChoice::Logits), logits);
}

/// Measures the work, not the time: one session for the body, one for a session head, and the bytes they return.
#[test]
fn nothing_is_handed_out_but_what_is_needed() {
    const TOKENS: u64 = 2 * 200;
    const HIDDEN: u64 = 128;
    const VOCABULARY: u64 = 2048;
    let tokens: Vec<u32> = (0..200).collect();
    let windows = [whole(&tokens), whole(&tokens)];
    for (head, sessions, bytes) in [
        // The hidden states; a loss and an entropy per scored token; all logits.
        (HeadChoice::Fastest, 1, TOKENS * HIDDEN * 4),
        (HeadChoice::Session, 2, (TOKENS - 2) * 2 * 4),
        (HeadChoice::Logits, 1, TOKENS * VOCABULARY * 4),
    ] {
        let mut reference = scorer(&root().join("models/demo"), head);
        let before = reference.work_done();
        reference.score(&windows).unwrap();
        let work = reference.work_done();
        let handed = work.bytes_handed_out - before.bytes_handed_out;
        assert_eq!((work.sessions, handed), (sessions, bytes), "{head:?}");
    }
}

/// More rows than a chunk, a last chunk that is not full, and rows in another order than in memory.
#[test]
fn chunks_of_rows_equal_the_plain_head() {
    let options = LibraryOptions::from_environment();
    let library = find_or_install(&options, &mut |line| eprintln!("{line}")).unwrap();
    let environment = load(&library).unwrap();
    let model = rho_graph::Model::open(&root().join("models/demo/model.onnx")).unwrap();
    let cut = model.cut(&model.logits().unwrap()).unwrap();
    let hidden = cut.head.hidden;
    let mut states: Vec<f32> = (0..11 * hidden)
        .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
        .collect();
    // All tokens of this row are equally likely.
    states[3 * hidden..4 * hidden].fill(0.0);
    let rows: Vec<usize> = (0..11).rev().collect();
    let targets: Vec<u32> = (0..11).map(|i| i * 181).collect();
    let chosen: Vec<f32> = rows
        .iter()
        .flat_map(|r| states[r * hidden..][..hidden].to_vec())
        .collect();
    let expected = plain::score(&cut.head, &chosen, &targets).unwrap();
    let mut head = SessionHead::new(&cut, ResolvedDevice::Cpu, &environment, 1, 8).unwrap();
    head.set_chunk(4);
    let states = ort::value::Tensor::from_array(([11, hidden], states)).unwrap();
    let got = head.score(&states.into_dyn(), &rows, &targets).unwrap();
    assert_close(&got.loss, &expected.loss, SAME, "loss");
    assert_close(&got.entropy, &expected.entropy, SAME, "entropy");
    let top = plain::top(&cut.head, &chosen, 8).unwrap();
    assert_eq!(got.top.ids, top.ids);
    assert_eq!(top.ids[7 * 8..8 * 8], [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_close(&got.top.logprobs, &top.logprobs, SAME, "log-probabilities");
}

/// The most likely tokens do not depend on how the head is computed, and no other score on them.
#[test]
fn all_heads_take_the_same_most_likely_tokens() {
    const COUNT: usize = 5;
    let tokens: Vec<u32> = (0..90).map(|i| i * 37 % 2000).collect();
    let windows = [
        whole(&tokens[..5]),
        TokenWindow {
            tokens: &tokens,
            scored_from: 40,
        },
    ];
    let demo = root().join("models/demo");
    let scores = |head| with_top(COUNT, &demo, head).score(&windows).unwrap();
    let logits = scores(HeadChoice::Logits);
    for head in [HeadChoice::Fastest, HeadChoice::Session, HeadChoice::Logits] {
        let got = scores(head);
        let without = scorer(&demo, head).score(&windows).unwrap();
        for ((got, without), (window, expected)) in
            got.iter().zip(&without).zip(windows.iter().zip(&logits))
        {
            assert_eq!(without.top, Top::default());
            assert_eq!((&got.loss, &got.entropy), (&without.loss, &without.entropy));
            assert_eq!(got.top.ids.len(), COUNT * got.loss.len());
            assert_eq!(got.top.ids, expected.top.ids, "{head:?}");
            assert_close(
                &got.top.logprobs,
                &expected.top.logprobs,
                ATTENTION,
                &format!("{head:?}"),
            );
            let targets = window.tokens[window.scored_from..].iter();
            let mut hits = 0;
            for (i, target) in targets.enumerate() {
                let own = &got.top.ids[i * COUNT..][..COUNT];
                if let Some(at) = own.iter().position(|id| id == target) {
                    assert_eq!(got.top.logprobs[i * COUNT + at], -got.loss[i]);
                    hits += 1;
                }
            }
            assert!(hits < targets_of(window));
        }
    }
}

fn targets_of(window: &TokenWindow<'_>) -> usize {
    window.tokens.len() - window.scored_from
}

/// Limits for int8 and bf16 losses compared with float64: the relative error of their mean, and the mean absolute
/// error in nats. The models in the folder have random weights and a hidden_size of 64, where rounding shows most.
const REDUCED: [(Precision, f64, f64); 2] =
    [(Precision::Int8, 5e-3, 0.1), (Precision::Bf16, 5e-3, 0.05)];

#[test]
fn reduced_precisions_are_near_and_do_not_depend_on_the_batch() {
    let parity = root().join("../shared/parity");
    let Ok(models) = std::fs::read_dir(&parity) else {
        eprintln!("skipped: {} does not exist", parity.display());
        return;
    };
    let models = models.flatten().map(|e| e.path());
    let mut tried = 0;
    for model in models.filter(|p| p.join("expected.jsonl").exists()) {
        let text = std::fs::read_to_string(model.join("expected.jsonl")).unwrap();
        let rows: Vec<_> = text
            .lines()
            .map(expected)
            .filter(|(tokens, _)| tokens.len() > 1)
            .collect();
        let windows: Vec<_> = rows.iter().map(|(tokens, _)| whole(tokens)).collect();
        let expected: Vec<_> = rows.iter().map(|(_, scores)| scores.clone()).collect();
        for export in ["onnx", "onnx_past"] {
            for (precision, most, each) in REDUCED {
                if Multiplier::detect(precision).is_err() {
                    eprintln!("skipped: this processor has no {precision}");
                    continue;
                }
                let what = format!("{} {export} {precision}", model.display());
                let mut scorer = scorer_in(precision, &model.join(export), HeadChoice::Fastest);
                let alone: Vec<_> = windows
                    .iter()
                    .flat_map(|p| scorer.score(&[*p]).unwrap())
                    .collect();
                let together = scorer.score(&windows).unwrap();
                assert_same(&together, &alone, SAME, &format!("{what}, padded"));
                let losses = |scores: &[Scores]| -> Vec<f64> {
                    let all = scores.iter().flat_map(|s| &s.loss);
                    all.map(|&l| f64::from(l)).collect()
                };
                let (got, expected) = (losses(&alone), losses(&expected));
                let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
                let off: Vec<_> = (got.iter().zip(&expected))
                    .map(|(got, expected)| (got - expected).abs())
                    .collect();
                let (off, mean_off) = (mean(&off), (mean(&got) / mean(&expected) - 1.0).abs());
                assert!(
                    off > 0.0 && off <= each && mean_off <= most,
                    "{what}: losses are off by {off} on average, their mean by {mean_off}"
                );
                tried += 1;
            }
        }
    }
    assert!(
        tried >= 8,
        "expected four models, two exports; tried {tried}"
    );
}

#[test]
fn a_reduced_precision_is_the_cpus() {
    let source = Source::find(&root().join("models/demo")).unwrap();
    let reference = ReferenceModel::open(&source).unwrap();
    let cuda = ResolvedDevice::Cuda(0);
    let error = reference
        .check_precision(Precision::Int8, cuda)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "precision int8 is computed on the cpu, got device cuda:0"
    );
    reference
        .check_precision(Precision::AsStored, cuda)
        .unwrap();
    reference
        .check_precision(Precision::Int8, ResolvedDevice::Cpu)
        .unwrap();
}
