//! `select --where`: documents are dropped, then tokens are ranked; against NumPy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::ScoreType;
use serde_json::{Value, json};

use crate::support::{Run, bundled::bundled, masks::masks, metadata, python::python};

const ORACLE: &str = include_str!("filter.py");

fn select(from: &Path, out: &Path, expression: &str) -> Run {
    Run::new(&[
        "select", "--by", "loss", "--keep", "0.5", "--where", expression, "--out",
    ])
    .arg(out)
    .arg(from)
}

#[track_caller]
fn are_right(from: &Path, cases: &[(PathBuf, Value)]) {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .args(["-c", ORACLE])
        .arg(from)
        .arg(serde_json::to_string(cases).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn documents_are_dropped_before_tokens_are_ranked() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    // Scores of every kind: infinite ones, equal ones, documents without any.
    masks(&at("masks"), ScoreType::Float32);
    let expressions = [
        ("mean(loss) < 1", "less(row.of('mean', 'loss'), 1)"),
        ("not mean(loss) < 1", "no(less(row.of('mean', 'loss'), 1))"),
        (
            "tokens > 12 and median(entropy) > 0",
            "both(more(len(row['input_ids']), 12), more(row.of('median', 'entropy'), 0))",
        ),
        (
            "scored == 0 or max(base_loss) > 8",
            "either(equal(len(row.scores('loss')), 0), more(row.of('max', 'base_loss'), 8))",
        ),
        (
            "min(excess) > -5 or length < 4",
            "either(more(row.of('min', 'excess'), -5), less(len(row['input_ids']), 4))",
        ),
        (
            "kept(old) > 1.06 or share(mask_old) == 1",
            "either(more(row.share('mask_old'), 1.06), equal(row.share('mask_old'), 1))",
        ),
        (
            "median(loss) == 1.5 or median(loss) == 2",
            "either(equal(row.of('median', 'loss'), 1.5), equal(row.of('median', 'loss'), 2))",
        ),
    ];
    let scopes = [
        ("document", 1 << 20, &["--scope", "document"][..]),
        ("batch", 333, &["--batch", "333"]),
        ("corpus", 1 << 20, &["--scope", "corpus"]),
    ];
    let mut made = Vec::new();
    for (expression, python) in expressions {
        for (scope, batch, options) in scopes {
            let out = at(&format!("out-{}", made.len()));
            let ended = select(&at("masks"), &out, expression)
                .args(options)
                .args(&["--threads", "3"])
                .ends_with(0);
            assert!(
                ended.stderr.contains("dropped by --where"),
                "{}",
                ended.stderr
            );
            let case =
                json!({"where": expression, "python": python, "scope": scope, "batch": batch});
            made.push((out, case));
        }
    }
    are_right(&at("masks"), &made);
    // Real scores, an expression that is true for all, and a second one.
    let from = &bundled().out;
    let python = "less(row.of('mean', 'loss'), 5)";
    let case = json!({"where": "mean(loss) < 5", "python": python, "scope": "corpus", "batch": 1});
    select(from, &at("some"), "mean(loss) < 5")
        .args(&["--scope", "corpus"])
        .ends_with(0);
    are_right(from, &[(at("some"), case)]);
    let ended = select(&at("some"), &at("again"), "mean(loss) < 6").ends_with(0);
    assert!(!ended.stderr.contains("dropped"), "{}", ended.stderr);
    let recorded = metadata(&at("again"), "pages.jsonl");
    assert_eq!(
        recorded["where"],
        json!(["mean(loss) < 5", "mean(loss) < 6"])
    );
    let tables = Run::new(&["diff", "--json"])
        .arg(from)
        .arg(at("some"))
        .ends_with(1);
    let report: Value = serde_json::from_str(&tables.stdout).unwrap();
    assert_eq!(report["total"]["only_b"], 0);
    let report = at("report.html");
    Run::new(&["report", "--out"])
        .arg(&report)
        .arg(at("some"))
        .ends_with(0);
    assert!(
        fs::read_to_string(&report)
            .unwrap()
            .contains("mean(loss) &lt; 5")
    );
}

#[test]
fn what_is_no_expression_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    for (expression, expected) in [
        ("mean(los) < 4", "the closest is \"loss\""),
        ("mean(loss)", "expected a comparison"),
        ("men(loss) < 4", "the closest is \"mean\""),
        ("kept(odl) < 1", "the closest is \"mask_old\""),
        ("", "expected a name or a number"),
    ] {
        let ended = select(&at("masks"), &at("out"), expression).ends_with(2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert!(!at("out").exists(), "something was written");
    }
    let ended = select(&at("masks"), &at("none"), "tokens > 1e9").ends_with(2);
    assert!(
        ended.stderr.contains("got none of 2,901"),
        "{}",
        ended.stderr
    );
    assert!(!at("none/state.json").exists());
    // Another expression is another plan.
    select(&at("masks"), &at("out"), "tokens > 3").ends_with(0);
    let ended = select(&at("masks"), &at("out"), "tokens > 4").ends_with(2);
    assert!(ended.stderr.contains("tokens > 3"), "{}", ended.stderr);
    select(&at("masks"), &at("out"), "tokens > 4")
        .arg("--restart")
        .ends_with(0);
}
