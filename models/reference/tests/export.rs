//! Our exports compared with Transformers in float64 and with optimum's exports: every tiny checkpoint in
//! `models/graph/tests/fixtures`, and those in the folder `shared/parity` next to the checkout.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot run says so, and one that fails may panic"
)]

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use ort::environment::Environment;
use rho_checkpoint::Checkpoint;
use rho_graph::{Dtype, ExportError, ExportHead, ExportOptions, Prepared};
use rho_reference::{
    HeadChoice, Precision, Reference, ReferenceModel, ReferenceOptions, ResolvedDevice, Scorer,
    Scores, Source, TokenWindow, Top,
};
use rho_runtime::{LibraryOptions, find_or_install, load};
use serde_json::Value;

/// Largest difference between an f32 export and float64.
const PARITY: f32 = 1e-4;
/// Largest change by padding.
const SAME: f32 = 1e-5;
/// f16 has 11 bits of mantissa; losses of these models go up to about 20 nats.
const HALF: f32 = 5e-2;

static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let options = LibraryOptions::from_environment();
    load(&find_or_install(&options, &mut |line| eprintln!("{line}")).unwrap()).unwrap()
});

/// A checkpoint with documents and their expected scores.
struct Fixture {
    name: String,
    checkpoint: PathBuf,
    /// optimum's exports, if there are any.
    exports: Vec<PathBuf>,
    rows: Vec<(Vec<u32>, Scores)>,
}

fn fixtures() -> Vec<Fixture> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph/tests/fixtures");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity");
    if !shared.exists() {
        eprintln!("skipped in part: {} does not exist", shared.display());
    }
    let folders = [own, shared]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).ok());
    let folders = folders.flatten().flatten().map(|entry| entry.path());
    let folders = folders.filter(|folder| folder.join("expected.jsonl").exists());
    let mut fixtures: Vec<Fixture> = folders
        .map(|folder| {
            let inner = folder.join("hf");
            let exports = ["onnx", "onnx_past"].map(|name| folder.join(name));
            Fixture {
                name: folder.file_name().unwrap().to_string_lossy().into_owned(),
                checkpoint: if inner.exists() {
                    inner
                } else {
                    folder.clone()
                },
                exports: exports.into_iter().filter(|path| path.exists()).collect(),
                rows: rows(&folder.join("expected.jsonl")),
            }
        })
        .collect();
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(fixtures.len() >= 20, "{} fixtures", fixtures.len());
    fixtures
}

/// Tokens, losses and entropies of documents of more than one token, without nulls.
fn rows(expected: &Path) -> Vec<(Vec<u32>, Scores)> {
    let text = std::fs::read_to_string(expected).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let list = |name: &str| row[name].as_array().unwrap().clone();
        let scores = |name: &str| -> Vec<f32> {
            list(name)
                .iter()
                .filter_map(Value::as_f64)
                .map(|n| n as f32)
                .collect()
        };
        let tokens = list("input_ids")
            .iter()
            .map(|n| n.as_u64().unwrap() as u32)
            .collect();
        let (loss, entropy) = (scores("loss"), scores("entropy"));
        let top = Top::default();
        (tokens, Scores { loss, entropy, top })
    };
    let rows: Vec<(Vec<u32>, Scores)> = text.lines().map(row).collect();
    rows.into_iter()
        .filter(|(tokens, _)| tokens.len() > 1)
        .collect()
}

fn export(checkpoint: &Path, out: &Path, options: ExportOptions) {
    let whole = || -> Result<(), ExportError> {
        let prepared = Prepared::new(Checkpoint::open(checkpoint)?, options)?;
        prepared.write(out, &mut |_| ControlFlow::Continue(()))?;
        Ok(())
    };
    whole().unwrap_or_else(|error| panic!("{}: {error}", checkpoint.display()));
}

/// Checks every fixture and reports all that fail.
fn for_each_fixture(look: impl Fn(&Fixture) + std::panic::RefUnwindSafe) {
    let wrong = |fixture: &Fixture| {
        let fixture = std::panic::AssertUnwindSafe(fixture);
        std::panic::catch_unwind(|| look(*fixture)).is_err()
    };
    let only = std::env::var("FIXTURE").ok();
    let fixtures = fixtures().into_iter();
    let chosen = fixtures.filter(|f| only.as_ref().is_none_or(|only| f.name.contains(only)));
    let wrong = chosen.filter(wrong);
    let names: Vec<String> = wrong.map(|fixture| fixture.name).collect();
    assert!(names.is_empty(), "wrong: {}", names.join(", "));
}

fn opened(model: &Path) -> ReferenceModel {
    let opened = ReferenceModel::open(&Source::find(model).unwrap()).unwrap();
    assert_eq!(opened.not_cut(), None, "{}", model.display());
    opened
}

fn scorer(model: &Path, precision: Precision, head: HeadChoice) -> Reference {
    let options = ReferenceOptions {
        device: ResolvedDevice::Cpu,
        threads: 2,
        head,
        precision,
        top: 0,
    };
    opened(model).load(&ENVIRONMENT, options).unwrap()
}

/// Scores each document alone, then all together, padded, and asserts that padding changes little. Returns the former.
fn score(scorer: &mut Reference, rows: &[(Vec<u32>, Scores)], what: &str) -> Vec<Scores> {
    let window = |(tokens, _): &'_ (Vec<u32>, Scores)| tokens.clone();
    let tokens: Vec<Vec<u32>> = rows.iter().map(window).collect();
    let windows = tokens.iter().map(|tokens| TokenWindow {
        tokens,
        scored_from: 1,
    });
    let windows: Vec<TokenWindow<'_>> = windows.collect();
    let alone = windows
        .iter()
        .flat_map(|window| scorer.score(&[*window]).unwrap());
    let alone: Vec<Scores> = alone.collect();
    let together = scorer.score(&windows).unwrap();
    let apart = distance(&together, &alone);
    assert!(apart <= SAME, "{what}: padding changes scores by {apart}");
    alone
}

/// The largest difference of any loss or entropy.
fn distance(got: &[Scores], expected: &[Scores]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let of = |got: &[f32], expected: &[f32]| {
        assert_eq!(got.len(), expected.len());
        let pairs = got.iter().zip(expected);
        // A NaN counts as infinitely far.
        pairs.fold(0f32, |most, (a, b)| match (a - b).abs() {
            gap if gap.is_nan() => f32::INFINITY,
            gap => most.max(gap),
        })
    };
    let pairs = got.iter().zip(expected);
    pairs.fold(0f32, |most, (got, expected)| {
        let loss = of(&got.loss, &expected.loss);
        most.max(loss).max(of(&got.entropy, &expected.entropy))
    })
}

fn expected(fixture: &Fixture) -> Vec<Scores> {
    fixture
        .rows
        .iter()
        .map(|(_, scores)| scores.clone())
        .collect()
}

/// Whether a portable export is refused. Qwen 3.5's is: its layers need operators that only ONNX Runtime has.
fn refuses_portable(fixture: &Fixture) -> bool {
    let options = ExportOptions {
        portable: true,
        ..ExportOptions::default()
    };
    let checkpoint = Checkpoint::open(&fixture.checkpoint).unwrap();
    let refused = matches!(
        Prepared::new(checkpoint, options),
        Err(ExportError::NotPortable { .. })
    );
    assert_eq!(
        refused,
        fixture.name.starts_with("qwen3_5"),
        "{}",
        fixture.name
    );
    refused
}

#[test]
fn every_family_equals_float64_and_optimum() {
    for_each_fixture(|fixture| {
        let folder = tempfile::tempdir().unwrap();
        let truth = expected(fixture);
        let mut ours = Vec::new();
        for (head, portable) in [
            (ExportHead::HiddenStates, false),
            (ExportHead::Logits, false),
            (ExportHead::HiddenStates, true),
            (ExportHead::Logits, true),
        ] {
            let out = folder.path().join(format!("{head:?}{portable}"));
            let options = ExportOptions {
                head,
                portable,
                ..ExportOptions::default()
            };
            if portable && refuses_portable(fixture) {
                continue;
            }
            export(&fixture.checkpoint, &out, options);
            let choices: &[HeadChoice] = match portable {
                true => &[HeadChoice::Fastest],
                false => &[HeadChoice::Fastest, HeadChoice::Session, HeadChoice::Logits],
            };
            for &choice in choices {
                let what = format!("{} {head:?} portable {portable} {choice:?}", fixture.name);
                let mut scorer = scorer(&out, Precision::AsStored, choice);
                assert!(scorer.attention_as_exported().is_none(), "{what}");
                let got = score(&mut scorer, &fixture.rows, &what);
                let gap = distance(&got, &truth);
                assert!(gap <= PARITY, "{what}: {gap} from float64");
                ours.push(got);
            }
        }
        for export in &fixture.exports {
            let what = format!("{} {}", fixture.name, export.display());
            let mut scorer = scorer(export, Precision::AsStored, HeadChoice::Fastest);
            let theirs = score(&mut scorer, &fixture.rows, &what);
            for ours in &ours {
                let gap = distance(ours, &theirs);
                assert!(gap <= PARITY, "{what}: optimum's export is {gap} away");
            }
        }
    });
}

#[test]
fn f16_and_external_data_are_near() {
    for_each_fixture(|fixture| {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole");
        let options = ExportOptions {
            dtype: Dtype::F16,
            ..ExportOptions::default()
        };
        export(&fixture.checkpoint, &whole, options);
        let apart = folder.path().join("apart");
        export(
            &fixture.checkpoint,
            &apart,
            ExportOptions {
                inline: 0,
                ..options
            },
        );
        let is_apart = apart.join("model.onnx.data").exists();
        let largest = std::fs::metadata(whole.join("model.onnx")).unwrap().len();
        assert!(is_apart || largest < 200_000, "{}", fixture.name);
        let mut scorers =
            [&whole, &apart].map(|model| scorer(model, Precision::AsStored, HeadChoice::Fastest));
        let [got, same] = scorers
            .each_mut()
            .map(|scorer| score(scorer, &fixture.rows, &fixture.name));
        assert_eq!(distance(&same, &got), 0.0, "{}", fixture.name);
        let gap = distance(&got, &expected(fixture));
        assert!(gap <= HALF, "{}: f16 is {gap} away", fixture.name);
    });
}

#[test]
fn int8_is_the_same_stored_and_asked_for() {
    for_each_fixture(|fixture| {
        let folder = tempfile::tempdir().unwrap();
        let (whole, small) = (folder.path().join("f32"), folder.path().join("int8"));
        export(&fixture.checkpoint, &whole, ExportOptions::default());
        let options = ExportOptions {
            dtype: Dtype::Int8,
            ..ExportOptions::default()
        };
        export(&fixture.checkpoint, &small, options);
        assert!(opened(&small).is_stored_in_8_bits(), "{}", fixture.name);
        assert!(!opened(&whole).is_stored_in_8_bits(), "{}", fixture.name);
        let mut scorers =
            [&whole, &small].map(|model| scorer(model, Precision::Int8, HeadChoice::Fastest));
        let [asked, stored] = scorers
            .each_mut()
            .map(|scorer| score(scorer, &fixture.rows, &fixture.name));
        // The weights have the same int8 levels; stored scales are rounded once more.
        let gap = distance(&stored, &asked);
        assert!(gap <= PARITY, "{}: {gap} apart", fixture.name);
        // ONNX Runtime's own operator rounds activations differently.
        let mut plain = scorer(&small, Precision::AsStored, HeadChoice::Fastest);
        let got = score(&mut plain, &fixture.rows, &fixture.name);
        let mean = |scores: &[Scores]| {
            let losses: Vec<f32> = scores.iter().flat_map(|s| s.loss.clone()).collect();
            losses.iter().sum::<f32>() / losses.len() as f32
        };
        let gap = (mean(&got) - mean(&stored)).abs();
        assert!(gap <= 0.05, "{}: mean losses are {gap} apart", fixture.name);
    });
}
