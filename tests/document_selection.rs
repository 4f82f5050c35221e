//! `select --documents` and `select --drop-duplicates`: whole documents, against NumPy and pandas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rho_formats::ScoreType;
use serde_json::{Value, json};

use crate::support::{
    Random, Run, bundled::bundled, bytes_without_times, files, masks::masks, python::python,
    read_json,
};

const ORACLE: &str = include_str!("document_selection.py");

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
fn documents_are_those_of_sorting_all_values() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("wide"), ScoreType::Float32);
    masks(&at("narrow"), ScoreType::Float16);
    let all: [(&[&str], Value); 12] = [
        (
            &["--by", "loss"],
            json!({"by": "loss", "keep": 0.7, "direction": "lowest"}),
        ),
        (
            &["--by", "loss", "--statistic", "median", "--keep", "0.5"],
            json!({"by": "loss", "statistic": "median", "keep": 0.5, "direction": "lowest"}),
        ),
        (
            &["--by", "loss", "--direction", "highest", "--keep", "0.33"],
            json!({"by": "loss", "keep": 0.33, "direction": "highest"}),
        ),
        (
            &["--by", "entropy", "--keep", "0.01"],
            json!({"by": "entropy", "keep": 0.01, "direction": "lowest"}),
        ),
        (
            &["--by", "entropy", "--keep", "1"],
            json!({"by": "entropy", "keep": 1.0, "direction": "lowest"}),
        ),
        (
            &["--by", "column:entropy", "--keep", "0.5"],
            json!({"by": ["entropy"], "keep": 0.5, "direction": "highest"}),
        ),
        (
            &[
                "--by",
                "column:loss,entropy",
                "--combine",
                "mean",
                "--direction",
                "lowest",
                "--keep",
                "0.4",
            ],
            json!({"by": ["loss", "entropy"], "combine": "mean", "keep": 0.4, "direction": "lowest"}),
        ),
        (
            &["--by", "loss", "--keep", "0.25", "--drop-duplicates"],
            json!({"by": "loss", "keep": 0.25, "direction": "lowest", "duplicates": true}),
        ),
        (
            &[
                "--by",
                "loss",
                "--keep",
                "0.6",
                "--where",
                "tokens >= 5",
                "--statistic",
                "mean",
            ],
            json!({"by": "loss", "keep": 0.6, "direction": "lowest", "where": "len(row['input_ids']) >= 5"}),
        ),
        (
            &[
                "--by",
                "entropy",
                "--keep",
                "0.6",
                "--where",
                "tokens != 9",
                "--statistic",
                "median",
                "--drop-duplicates",
            ],
            json!({"by": "entropy", "statistic": "median", "keep": 0.6, "direction": "lowest", "duplicates": true, "where": "len(row['input_ids']) != 9"}),
        ),
        (
            &["--by", "excess", "--keep", "0.5"],
            json!({"by": "excess", "keep": 0.5, "direction": "highest"}),
        ),
        (
            &["--by", "kept", "--keep", "0.5"],
            json!({"by": "kept", "mask": "mask_old", "keep": 0.5, "direction": "highest"}),
        ),
    ];
    for from in ["wide", "narrow", "bundled"] {
        let folder = match from {
            "bundled" => bundled().out.clone(),
            name => at(name),
        };
        let mut made = Vec::new();
        for (i, (arguments, case)) in all.iter().enumerate() {
            let mut case = case.clone();
            let mut arguments = arguments.to_vec();
            if from == "bundled" {
                if case["by"] == "excess" {
                    continue;
                }
                if case["by"] == "kept" {
                    case["mask"] = json!("mask_loss");
                    arguments.extend(["--mask", "mask_loss"]);
                }
            }
            let out = at(&format!("{from}-{i}"));
            let run =
                Run::select(&folder, &out, &arguments).args(&["--documents", "--threads", "3"]);
            let ended = run.ends_with(0);
            assert!(ended.stderr.contains("  selected    "), "{}", ended.stderr);
            made.push((out, case));
        }
        are_right(&folder, &made);
    }
}

#[test]
fn duplicates_are_dropped_and_the_earlier_document_stays() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let cases: [(&[&str], Value); 4] = [
        (&["--drop-duplicates"], json!({"duplicates": true})),
        (
            &["--drop-duplicates", "--where", "tokens < 6"],
            json!({"duplicates": true, "where": "len(row['input_ids']) < 6"}),
        ),
        (
            &["--where", "tokens < 6"],
            json!({"where": "len(row['input_ids']) < 6"}),
        ),
        (
            &[
                "--drop-duplicates",
                "--by",
                "loss",
                "--keep",
                "0.4",
                "--scope",
                "corpus",
            ],
            json!({"duplicates": true, "tokens": 0.4}),
        ),
    ];
    let mut made = Vec::new();
    for (i, (arguments, case)) in cases.into_iter().enumerate() {
        let out = at(&format!("out-{i}"));
        let ended = Run::select(&at("masks"), &out, arguments).ends_with(0);
        let dropped = ended.stderr.contains("dropped as duplicates");
        assert_eq!(dropped, case["duplicates"] == true, "{}", ended.stderr);
        made.push((out, case));
    }
    are_right(&at("masks"), &made);
    // There is nothing left to drop, and the masks stay as they are.
    Run::select(&at("out-0"), &at("again"), &["--drop-duplicates"]).ends_with(0);
    let summary = read_json(&at("again/summary.json"));
    assert_eq!(summary["dropped"], 0);
    assert_eq!(
        summary["documents"],
        read_json(&at("out-0/summary.json"))["documents"]
    );
}

#[test]
fn documents_that_were_selected_merge_and_select_again() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let rule = ["--documents", "--by", "loss", "--keep", "0.5"];
    Run::select(&bundled().out, &at("half"), &rule).ends_with(0);
    Run::select(&at("half"), &at("quarter"), &rule).ends_with(0);
    let said = |folder: &str| {
        let name = files(&at(folder))
            .into_iter()
            .find(|name| name.ends_with(".arrow"));
        let columns = rho_formats::MaskColumns::open(&at(folder).join(name.unwrap())).unwrap();
        columns.schema().metadata.clone()
    };
    let metadata = said("quarter");
    let [first, second] = &metadata["documents"].as_array().unwrap()[..] else {
        panic!("{metadata}");
    };
    assert_eq!(first["kept"], second["scored"]);
    assert_eq!(first["statistic"], "mean");
    // One rule is not two.
    let merged = Run::new(&["merge"])
        .arg(at("half"))
        .arg(at("quarter"))
        .arg("--out")
        .arg(at("merged"));
    let ended = merged.ends_with(2);
    assert!(ended.stderr.contains("--documents"), "{}", ended.stderr);
}

#[test]
fn killed_anywhere_it_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let rule = [
        "--documents",
        "--by",
        "loss",
        "--keep",
        "0.5",
        "--drop-duplicates",
    ];
    Run::select(&at("masks"), &at("whole"), &rule).ends_with(0);
    let expected = bytes_without_times(&at("whole"));
    let mut random = Random(11);
    let mut killed = 0;
    for _ in 0..6 {
        let _ = fs::remove_dir_all(at("out"));
        loop {
            let mut run = Run::select(&at("masks"), &at("out"), &rule).0;
            let mut child = run
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            sleep(Duration::from_millis(u64::from(random.next() % 150)));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        assert!(bytes_without_times(&at("out")) == expected);
        assert_eq!(
            fs::read_dir(at("out")).unwrap().count(),
            fs::read_dir(at("whole")).unwrap().count()
        );
    }
    assert!(killed > 0);
}

#[test]
fn what_cannot_be_selected_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let no = |arguments: &[&str], expected: &[&str]| {
        let ended = Run::select(&at("masks"), &at("out"), arguments).ends_with(2);
        for text in expected {
            assert!(ended.stderr.contains(text), "{text:?}: {}", ended.stderr);
        }
        assert!(!at("out").exists(), "something was written: {arguments:?}");
    };
    no(&[], &["--by: expected a rule", "hint: "]);
    no(
        &["--keep", "0.5", "--drop-duplicates"],
        &["--keep", "expected --by"],
    );
    no(&["--documents"], &["--documents", "--by", "hint: "]);
    no(
        &["--documents", "--by", "random"],
        &["--by random", "--documents"],
    );
    no(
        &["--documents", "--by", "surprise"],
        &["column:NAME or kept", "surprise"],
    );
    no(&["--by", "kept"], &["--by kept", "--documents"]);
    no(
        &["--by", "loss", "--statistic", "mean"],
        &["--statistic", "--documents"],
    );
    no(&["--by", "loss", "--direction", "lowest"], &["--direction"]);
    no(
        &["--documents", "--by", "kept", "--statistic", "mean"],
        &["--statistic", "share"],
    );
    no(
        &["--documents", "--by", "kept", "--mask", "mask_new"],
        &["mask_new", "mask_old"],
    );
    no(
        &["--documents", "--by", "loss", "--mask", "mask_old"],
        &["--mask"],
    );
    no(
        &["--documents", "--by", "loss", "--keep", "2"],
        &["between 0 and 1"],
    );
    no(
        &["--documents", "--by", "column:los"],
        &["\"los\"", "\"loss\""],
    );
    no(&["--documents", "--by", "column:"], &["column:NAME"]);
    no(
        &["--documents", "--by", "column:loss,entropy"],
        &["--combine"],
    );
    no(
        &[
            "--documents",
            "--by",
            "column:loss,loss",
            "--combine",
            "max",
        ],
        &["twice"],
    );
    no(
        &["--documents", "--by", "column:loss", "--combine", "max"],
        &["--combine"],
    );
    for option in [
        &["--scope", "document"][..],
        &["--keep-by", "a=0.5"],
        &["--batch", "9"],
        &["--seed", "1"],
        &["--weights", "rank"],
        &["--above", "1"],
    ] {
        let arguments = [&["--documents", "--by", "loss"], option].concat();
        no(&arguments, &[option[0], "belongs to --documents"]);
    }
    // Nothing is left.
    let run = Run::select(
        &at("masks"),
        &at("none"),
        &["--documents", "--by", "loss", "--keep", "0"],
    );
    let ended = run.ends_with(2);
    assert!(
        ended.stderr.contains("--documents: expected documents"),
        "{}",
        ended.stderr
    );
    let differs = ["--documents", "--by", "loss", "--keep", "0.5"];
    let ended = Run::select(&at("masks"), &at("none"), &differs).ends_with(2);
    assert!(
        ended.stderr.contains("--documents (keep lowest)"),
        "{}",
        ended.stderr
    );
}
