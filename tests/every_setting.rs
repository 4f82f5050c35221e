//! Changes each setting of each family's real configuration in turn: the export computes what Transformers computes, or
//! refuses the setting by name. The real Transformers generates thousands of cases (see
//! models/graph/tests/settings_sweep.py).

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
};

use rho_checkpoint::Checkpoint;
use rho_graph::{ExportError, ExportOptions, Prepared};
use rho_reference::{
    HeadChoice, Precision, ReferenceModel, ReferenceOptions, ResolvedDevice, Scorer, Scores,
    Source, TokenWindow,
};
use rho_runtime::{LibraryOptions, find_or_install, load};
use serde_json::Value;

use crate::support::torch::python_with_torch;

/// The tolerance of an export in f32 against float64; changed settings may make numbers larger than those of the
/// fixtures.
const PARITY: f64 = 5e-4;

/// Settings that Transformers 5.16 itself reads differently from any trained model: we follow the training code
/// (docs/export.md).
fn is_known_otherwise(case: &Value) -> bool {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let key = text("key");
    match text("family") {
        // Eager attention adds ALiBi's bias twice; the fixture's own values are from the other implementation.
        "falcon" => {
            key == "alibi" || (text("fixture") == "falcon_alibi" && key == "output_attentions")
        }
        // A rotation for all layers is scaled on those with full attention only, not omitted.
        "olmo3" => {
            key.starts_with("rope_parameters")
                || key.starts_with("rope_scaling")
                || key == "rope_theta"
        }
        _ => false,
    }
}

/// `RHO_MASK_SWEEP` names an existing folder of cases.
fn sweep() -> (PathBuf, Option<tempfile::TempDir>) {
    if let Some(folder) = std::env::var_os("RHO_MASK_SWEEP") {
        return (PathBuf::from(folder), None);
    }
    let place = tempfile::tempdir().unwrap();
    let script = "models/graph/tests/settings_sweep.py";
    let mut python = Command::new(python_with_torch());
    let status = python.arg(script).arg(place.path()).status().unwrap();
    assert!(status.success(), "{script}: {status}");
    (place.path().to_owned(), Some(place))
}

/// Tokens, losses and entropies, without the null of token 0.
fn rows(expected: &Path) -> Vec<(Vec<u32>, [Vec<f64>; 2])> {
    let text = std::fs::read_to_string(expected).unwrap();
    let rows = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let scores = |name: &str| {
            row[name]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_f64)
        };
        let ids = row["input_ids"].as_array().unwrap().iter();
        let tokens = ids.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap());
        (
            tokens.collect(),
            ["loss", "entropy"].map(|name| scores(name).collect()),
        )
    });
    rows.collect()
}

/// The largest difference of any score; `Err` if the checkpoint is refused.
fn distance(
    folder: &Path,
    environment: &ort::environment::Environment,
) -> Result<f64, ExportError> {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let prepared = Prepared::new(Checkpoint::open(folder)?, ExportOptions::default())?;
    prepared.write(&out, &mut |_| ControlFlow::Continue(()))?;
    let options = ReferenceOptions {
        device: ResolvedDevice::Cpu,
        threads: 1,
        head: HeadChoice::Fastest,
        precision: Precision::AsStored,
        top: 0,
    };
    let opened = ReferenceModel::open(&Source::find(&out).unwrap()).unwrap();
    let mut reference = opened.load(environment, options).unwrap();
    let mut most = 0f64;
    // Longer documents are cut into windows, where a rotation changes with the length.
    let outline = &Source::find(&out).unwrap().config;
    let longest = outline.max_positions.unwrap_or(usize::MAX);
    for (tokens, expected) in rows(&folder.join("expected.jsonl")) {
        if tokens.len() > longest {
            continue;
        }
        let window = TokenWindow {
            tokens: &tokens,
            scored_from: 1,
        };
        let scores = reference.score(&[window]).unwrap();
        let Scores { loss, entropy, .. } = &scores[0];
        for (got, expected) in [loss, entropy].into_iter().zip(&expected) {
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                let gap = (f64::from(*got) - expected).abs();
                most = if gap.is_nan() {
                    f64::INFINITY
                } else {
                    most.max(gap)
                };
            }
        }
    }
    Ok(most)
}

#[test]
#[ignore = "needs PyTorch and Transformers"]
fn every_setting_is_read_or_refused() {
    let (folder, _place) = sweep();
    let libraries = LibraryOptions::from_environment();
    let library = find_or_install(&libraries, &mut |_| {}).unwrap();
    let environment = load(&library).unwrap();
    let text = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 1000, "{} cases", cases.len());
    let only = std::env::var("FIXTURE").ok();
    let mut wrong = Vec::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut without_need: BTreeMap<String, String> = BTreeMap::new();
    let mut same = 0;
    for case in &cases {
        let name = format!("{} {} = {}", case["fixture"], case["key"], case["value"]);
        if only
            .as_ref()
            .is_some_and(|only| !case["fixture"].as_str().unwrap().contains(only))
        {
            continue;
        }
        match distance(&folder.join(case["folder"].as_str().unwrap()), &environment) {
            Ok(gap) if gap <= PARITY => same += 1,
            Ok(_) if is_known_otherwise(case) => {}
            Ok(gap) => wrong.push(format!("{name}: {gap} from Transformers")),
            Err(error) => {
                *refused.entry(case["family"].to_string()).or_default() += 1;
                if case["changes"] == false {
                    let key = format!("{} {}", case["family"], case["key"]);
                    without_need.insert(key, format!("{} {error}", case["value"]));
                }
            }
        }
    }
    if std::env::var_os("RHO_MASK_SWEEP").is_some() {
        let list: Vec<String> = without_need
            .iter()
            .map(|(key, why)| format!("{key}: {why}"))
            .collect();
        std::fs::write(folder.join("refused.txt"), list.join("\n")).unwrap();
        std::fs::write(folder.join("wrong.txt"), wrong.join("\n")).unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    // Refusing everything would pass as well, and be useless.
    assert!(
        same * 2 > refused.values().sum::<usize>(),
        "{same} taken, refused {refused:?}"
    );
}
