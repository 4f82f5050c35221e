//! `stats`: the tables and the JSON of masks, against NumPy.

use std::fs;
use std::path::Path;
use std::process::Command;

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::{Value, json};

use crate::support::{Random, Run, bundled::bundled, masks::masks, python::python};

const ORACLE: &str = include_str!("stats.py");

fn stats(masks: &Path, arguments: &[&str]) -> Run {
    Run::new(&["stats"]).arg(masks).args(arguments)
}

/// Checks the JSON of `stats` against the oracle; one thread and five give the same bits.
#[track_caller]
fn check(masks: &Path, source: &str, arguments: &[&str]) -> Option<Value> {
    let place = tempfile::tempdir().unwrap();
    let report = stats(masks, &["--json"]).args(arguments).ends_with(0);
    for threads in ["1", "5"] {
        let again = stats(masks, &["--json", "--threads", threads]).args(arguments);
        assert_eq!(
            again.ends_with(0).stdout,
            report.stdout,
            "{threads} threads"
        );
    }
    let python = python()?;
    let path = place.path().join("report.json");
    fs::write(&path, &report.stdout).unwrap();
    let output = Command::new(python)
        .args(["-c", ORACLE])
        .args([masks, &path])
        .arg(source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", masks.display());
    serde_json::from_str(&report.stdout).ok()
}

#[test]
fn every_number_is_that_of_numpy() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    // Infinities, both zeros, empty documents, documents without scores, a computed excess loss.
    for (name, score_type) in [("wide", ScoreType::Float32), ("narrow", ScoreType::Float16)] {
        masks(&at(name), score_type);
        let report = check(&at(name), "shard", &["--min-count", "5", "--top", "7"]);
        if let Some(report) = report {
            assert_eq!(report["source"], "shard");
            assert_eq!(report["sources"].as_array().unwrap().len(), 3);
            assert_eq!(report["total"]["scores"][3]["column"], "excess");
        }
    }
    // Weights instead of masks.
    let weights = [
        "--by",
        "excess",
        "--weights",
        "sigmoid",
        "--min-weight",
        ".1",
    ];
    Run::new(&["select"])
        .args(&weights)
        .arg(at("wide"))
        .arg("--out")
        .arg(at("weights"))
        .ends_with(0);
    check(&at("weights"), "shard", &[]);
    // Scores of a trained model.
    let report = check(&bundled().out, "shard", &[]);
    if let Some(report) = report {
        assert_eq!(report["finished"], true);
        assert_eq!(report["files"], 9);
        assert!(report["tokens"]["masks"][0]["most"][0]["token"].is_string());
    }
}

fn row(id: &str, source: Option<&str>, tokens: &[u32], loss: &[f32]) -> MaskRow {
    MaskRow {
        id: id.to_owned(),
        row: 0,
        input_ids: tokens.to_vec(),
        scores: vec![loss.to_vec()],
        masks: vec![loss.iter().map(|loss| *loss < 2.0).collect()],
        weights: Vec::new(),
        text: None,
        source: source.map(str::to_owned),
        target: None,
        top: None,
    }
}

fn write(out: &Path, source: bool, shards: &[(&str, Vec<MaskRow>)]) {
    let schema = MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_loss".to_owned()],
        weights: Vec::new(),
        text: false,
        source,
        target: false,
        top: None,
        metadata: json!({"format_version": 1, "source_field": "from"}),
    };
    let folder = MasksFolder::create(out).unwrap();
    let mut files = Vec::new();
    for (shard, rows) in shards {
        let mut writer = folder
            .writer(shard, &schema, WriteOptions::default())
            .unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        let written = writer.finish().unwrap();
        folder.publish(shard, &written, &[]).unwrap();
        files.extend(written);
    }
    folder.list(&schema.metadata, &files).unwrap();
    folder.summary(&json!({})).unwrap();
}

#[test]
fn a_column_of_sources_is_counted_by() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let none = f32::NAN;
    write(
        &out,
        true,
        &[
            (
                "a",
                vec![
                    row("1", Some("web/x"), &[1, 2, 3], &[none, 1.0, 3.0]),
                    row("2", None, &[1, 2], &[none, 1.5]),
                    row("3", Some("maths"), &[4], &[none]),
                ],
            ),
            ("b", vec![row("4", Some("web/x"), &[1, 2], &[none, 0.5])]),
        ],
    );
    let ended = stats(&out, &["--min-count", "1"]).ends_with(0);
    let expected = "\
scored and kept, by source
source  documents  tokens  scored  mask_loss
web/x           2       5       3     66.7 %
(none)          1       2       1    100.0 %
maths           1       1       0          -
all             4       8       4     75.0 %

loss, in nats, by source
source   mean     1%     5%    25%    50%    75%    95%    99%
web/x   1.500  0.501  0.501  0.501  1.002  3.000  3.000  3.000
(none)  1.500  1.500  1.500  1.500  1.500  1.500  1.500  1.500
maths       -      -      -      -      -      -      -      -
all     1.500  0.501  0.501  0.501  1.002  1.502  3.000  3.000

means of kept and of dropped tokens, in nats
mask       kept   share  loss kept  dropped
mask_loss     3  75.0 %      1.000    3.000

by position in the document
token   scored  mask_loss   loss
0            0          -      -
1            3    100.0 %  1.000
2 to 3       1      0.0 %  3.000

most kept by mask_loss, of 2 different tokens that were scored at least 1 times (2 at all)
token  id  scored  kept    share   loss
        2       3     3  100.0 %  1.000

least kept by mask_loss
token  id  scored  kept  share   loss
        3       1     0  0.0 %  3.000
";
    assert!(
        ended
            .stdout
            .contains("the source of documents is their field \"from\"")
    );
    let at = ended.stdout.find("scored and kept").unwrap();
    assert_eq!(&ended.stdout[at..], expected);
    check(&out, "source", &["--min-count", "1"]);
    // Only the largest; the others as one.
    let ended = stats(&out, &["--sources", "1"]).ends_with(0);
    assert!(
        ended
            .stdout
            .contains("\n(2 others)          2       3       1    100.0 %\nall"),
        "{}",
        ended.stdout
    );
    // Narrow tables fit.
    let ended = stats(&out, &["--width", "40", "--min-count", "1"]).ends_with(0);
    let tables = ended.stdout.split("\n\n").skip(1);
    let lines = tables.flat_map(|part| part.lines().skip(1));
    let longest = lines.map(|line| line.chars().count()).max();
    assert!(
        longest.is_some_and(|longest| longest <= 40),
        "{}",
        ended.stdout
    );
}

/// More sources than are counted by themselves, in an order that each thread meets otherwise.
#[test]
fn many_sources_are_counted_in_bounded_memory() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let mut random = Random(7);
    let shards: Vec<(String, Vec<MaskRow>)> = (0..12)
        .map(|shard| {
            let document = |i: u32| {
                let source = match i % 200 {
                    0 => None,
                    _ => Some(format!("é{}", random.next() % 1500)),
                };
                let loss = [f32::NAN, (i % 7) as f32, random.signed().abs()];
                row(
                    &format!("{shard}-{i}"),
                    source.as_deref(),
                    &[1, 2, 3],
                    &loss,
                )
            };
            (format!("{shard}"), (0..400).map(document).collect())
        })
        .collect();
    let shards: Vec<(&str, Vec<MaskRow>)> = shards
        .iter()
        .map(|(name, rows)| (name.as_str(), rows.clone()))
        .collect();
    write(&out, true, &shards);
    if let Some(report) = check(&out, "source", &["--min-count", "1"]) {
        assert_eq!(report["sources"].as_array().unwrap().len(), 1024);
        assert!(report["other_sources"]["documents"].as_u64().unwrap() > 500);
    }
    // The number of the others is not known.
    let ended = stats(&out, &["--sources", "3"]).ends_with(0);
    assert!(ended.stdout.contains("\n(others) "), "{}", ended.stdout);
    let report = place.path().join("r.html");
    let run = Run::new(&["report"]).arg(&out).arg("--out").arg(&report);
    run.ends_with(0);
    let html = fs::read_to_string(&report).unwrap();
    assert!(html.contains("Only the first 1,024 sources by name"));
}

#[test]
fn masks_of_nothing() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write(&at("no documents"), false, &[("a", vec![])]);
    write(
        &at("no tokens"),
        false,
        &[("a", vec![row("1", None, &[], &[])])],
    );
    let none = [f32::NAN; 3];
    write(
        &at("no scores"),
        false,
        &[("a", vec![row("1", None, &[7, 8, 9], &none)])],
    );
    for name in ["no documents", "no tokens", "no scores"] {
        check(&at(name), "shard", &[]);
        let ended = stats(&at(name), &[]).ends_with(0);
        assert!(ended.stdout.contains("\nall  "), "{}", ended.stdout);
        assert!(!ended.stdout.contains("NaN"), "{}", ended.stdout);
    }
    // Folders without masks.
    fs::create_dir(at("empty")).unwrap();
    for name in ["empty", "missing"] {
        let ended = stats(&at(name), &[]).ends_with(2);
        assert_eq!(ended.stdout, "");
        let said = ended.lines_with("expected masks, got no");
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        assert_eq!(ended.lines_with("hint: name a folder").len(), 1);
    }
    // Something else.
    fs::write(at("text.arrow"), "no arrow").unwrap();
    let ended = stats(&at("text.arrow"), &[]).ends_with(2);
    assert_eq!(
        ended
            .lines_with("expected masks as an Arrow stream or file")
            .len(),
        1
    );
}
