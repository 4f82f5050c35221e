//! The rows that workers scored, gathered in a masks folder: the same masks as those of `score`, whatever an engine did to
//! the files.

use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::read_masks;

use crate::support::{Ended, Run, python::python, read_json, rows, skipped, write};

/// Writes `scores/`: the answers of two workers in Parquet and Arrow, as engines leave them.
fn answers(place: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let Some(python) = python() else {
        skipped("the masks of workers: no Python with pyarrow");
        return None;
    };
    let status = Command::new(python)
        .args(["-c", include_str!("gather.py")])
        .arg(env!("CARGO_BIN_EXE_rho-mask"))
        .arg(place)
        .args(arguments)
        .status();
    assert!(status.unwrap().success());
    Some(place.join("scores"))
}

fn gather(scores: &Path, out: &Path, arguments: &[&str]) -> Run {
    Run::new(&["gather"])
        .arg(scores)
        .arg("--out")
        .arg(out)
        .args(arguments)
}

#[test]
fn gathered_scores_are_those_of_score_and_can_be_selected() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let Some(scores) = answers(place.path(), &["--scores-only"]) else {
        return;
    };
    let ended = gather(&scores, &at("masks"), &["--scores-only"]).ends_with(1);
    assert!(
        ended.stderr.contains("documents   40, 2 rejected"),
        "{}",
        ended.stderr
    );
    let rejected = std::fs::read_to_string(at("masks/rejected.jsonl")).unwrap();
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines.len(), 2, "{rejected}");
    assert!(
        lines[0].starts_with(r#"{"shard":"bare.parquet","row":20,"reason":"#),
        "{rejected}"
    );

    // The same documents by `score`, in the order of the files.
    Run::score(&at("corpus.jsonl"), &at("scored"))
        .args(&["--by", "loss", "--keep", "0.5", "--scope", "corpus"])
        .ends_with(0);
    let selection = ["--by", "loss", "--keep", "0.5", "--scope", "corpus"];
    Run::new(&["select"])
        .arg(at("masks"))
        .arg("--out")
        .arg(at("selected"))
        .args(&selection)
        .ends_with(0);
    let own: Vec<_> = read_masks(at("selected"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let other = rows(&at("scored"), "corpus.jsonl");
    assert_eq!(own.len(), other.len());
    for (own, other) in own.iter().zip(&other) {
        assert_eq!(own.id, other.id);
        assert_eq!(own.input_ids, other.input_ids);
        for (own, other) in own
            .scores
            .iter()
            .flatten()
            .zip(other.scores.iter().flatten())
        {
            assert!((own - other).abs() <= 1e-5 || own.is_nan() && other.is_nan());
        }
    }
    let kept = |rows: &[rho_formats::MaskRow]| -> usize {
        rows.iter()
            .flat_map(|row| &row.masks[0])
            .filter(|kept| **kept)
            .count()
    };
    assert_eq!(kept(&own), kept(&other));
    let summary = read_json(&at("masks/summary.json"));
    assert_eq!(summary["documents"], 40);
    assert_eq!(summary["rejected"], 2);
    // Again: nothing is left to do, and it ends as it did.
    let again = gather(&scores, &at("masks"), &["--scores-only"]).ends_with(1);
    assert!(again.stderr.contains("all files are gathered already"));
}

#[test]
fn lists_of_a_fixed_size_may_have_lost_it() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let top = ["--by", "loss", "--top", "2"];
    let Some(scores) = answers(place.path(), &top) else {
        return;
    };
    gather(&scores, &at("masks"), &top).ends_with(1);
    Run::score(&at("corpus.jsonl"), &at("scored"))
        .args(&top)
        .args(&["--scope", "document"])
        .ends_with(0);
    let own = read_masks(at("masks")).unwrap().map(Result::unwrap);
    let own: Vec<_> = own.collect();
    let other = rows(&at("scored"), "corpus.jsonl");
    assert_eq!(own.len(), other.len());
    for (own, other) in own.iter().zip(&other) {
        let (own, other) = (own.top.as_ref().unwrap(), other.top.as_ref().unwrap());
        assert!(!own.ids.is_empty());
        assert_eq!(own.ids, other.ids);
        for (own, other) in own.logprobs.iter().zip(&other.logprobs) {
            assert!((own - other).abs() <= 1e-5 || own.is_nan() && other.is_nan());
        }
    }
    // Parquet alone does not say the size.
    std::fs::remove_file(scores.join("whole.arrow")).unwrap();
    let three = gather(&scores, &at("three"), &["--by", "loss", "--top", "3"]);
    let Ended { stderr, .. } = three.ends_with(2);
    assert!(
        stderr.contains("lists of 3 items, got one of 2"),
        "{stderr}"
    );
}

#[test]
fn other_columns_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let Some(scores) = answers(place.path(), &["--by", "loss", "--keep", "0.5"]) else {
        return;
    };
    let refused = |arguments: &[&str], expected: &[&str]| {
        let out = place.path().join("masks");
        let Ended { stderr, .. } = gather(&scores, &out, arguments).ends_with(2);
        for expected in expected {
            assert!(stderr.contains(expected), "{stderr}");
        }
        assert!(!out.exists());
    };
    refused(
        &[],
        &[
            "mask_entropy",
            "got none",
            "hint: give `gather` the options",
        ],
    );
    // One of the files says how it was scored.
    refused(
        &["--by", "loss", "--keep", "0.7"],
        &["expected the same --keep as the options, 0.7", "got 0.5"],
    );
    refused(
        &["--by", "loss", "--keep", "0.5", "--score-dtype", "float16"],
        &["\"loss\"", "Float16", "Float32"],
    );
    write(&scores.join("a.jsonl"), "{}\n");
    refused(
        &["--scores-only"],
        &["expected a Parquet or Arrow file", "got a JSON lines file"],
    );
}
