//! `diff`: how far two masks agree, against NumPy.

use std::fs;
use std::path::Path;
use std::process::Command;

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::{Value, json};

use crate::support::{Random, Run, bundled::bundled, masks::masks, python::python};

const ORACLE: &str = include_str!("diff.py");

fn diff(a: &Path, b: &Path, arguments: &[&str]) -> Run {
    Run::new(&["diff"]).arg(a).arg(b).args(arguments)
}

/// The report as JSON, the same for every limit of memory, and checked by the oracle. The exit code must match it.
#[track_caller]
fn check(a: &Path, b: &Path, join: &str) -> Value {
    let arguments = ["--json", "--join", join];
    let ended = diff(a, b, &arguments).end();
    let report: Value = serde_json::from_str(&ended.stdout).expect(&ended.stderr);
    let code = if report["equal"] == true { 0 } else { 1 };
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    // Through files on disk, even for a few documents; sums of floats may differ in their order.
    let small = diff(a, b, &arguments).args(&["--memory", "2kB"]).end();
    let report_small: Value = serde_json::from_str(&small.stdout).unwrap();
    for field in ["equal", "only_a", "only_b", "columns_only_a"] {
        assert_eq!(report_small[field], report[field], "{field}");
    }
    let again = diff(a, b, &arguments).args(&["--memory", "2kB"]).end();
    assert_eq!(again.stdout, small.stdout, "not the same at each run");
    let Some(python) = python() else {
        return report;
    };
    let place = tempfile::tempdir().unwrap();
    for told in [ended.stdout, small.stdout] {
        let path = place.path().join("report.json");
        fs::write(&path, told).unwrap();
        let output = Command::new(&python)
            .args(["-c", ORACLE])
            .args([a, b, &path])
            .arg(join)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    report
}

/// A finished folder of these shards.
fn folder(out: &Path, schema: &MaskSchema, shards: &[(&str, Vec<MaskRow>)]) {
    let folder = MasksFolder::create(out).unwrap();
    let mut all = Vec::new();
    for (shard, rows) in shards {
        let mut writer = folder
            .writer(shard, schema, WriteOptions::default())
            .unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        let files = writer.finish().unwrap();
        assert!(folder.publish(shard, &files, &[]).unwrap());
        all.extend(files);
    }
    folder.list(&schema.metadata, &all).unwrap();
    folder.summary(&json!({})).unwrap();
}

fn schema(source: bool) -> MaskSchema {
    MaskSchema {
        scores: vec!["loss".to_owned(), "entropy".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_loss".to_owned(), "mask_random".to_owned()],
        weights: vec!["weight_loss".to_owned()],
        text: false,
        source,
        target: false,
        top: None,
        metadata: json!({"format_version": 1, "precision": "f32"}),
    }
}

fn rows(count: i64, seed: u32, tokens: u32) -> Vec<MaskRow> {
    let mut random = Random(seed);
    let row = |row| {
        let length = (random.next() % 9) as usize;
        let mut numbers = |from: f32| -> Vec<f32> {
            let number = |_| match random.next() % 12 {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => 1.5,
                _ => random.signed() + from,
            };
            (0..length).map(number).collect()
        };
        let scores = vec![numbers(3.0), numbers(0.0)];
        let mut bits = || {
            (0..length)
                .map(|_| random.next().is_multiple_of(3))
                .collect()
        };
        MaskRow {
            id: format!("d{row}"),
            row,
            masks: vec![bits(), bits()],
            input_ids: (0..length).map(|_| random.next() % tokens).collect(),
            scores,
            weights: vec![vec![0.25; length]],
            text: None,
            source: [Some("web"), Some("code"), None][random.next() as usize % 3]
                .map(str::to_owned),
            target: None,
            top: None,
        }
    };
    (0..count).map(row).collect()
}

/// Other bits and scores for the same documents.
fn changed(rows: &[MaskRow], seed: u32) -> Vec<MaskRow> {
    let mut random = Random(seed);
    let mut rows = rows.to_vec();
    for row in &mut rows {
        for mask in &mut row.masks {
            mask.iter_mut()
                .for_each(|bit| *bit ^= random.next().is_multiple_of(5));
        }
        for score in row.scores.iter_mut().flatten() {
            *score = match random.next() % 9 {
                0 => f32::NAN,
                1 => f32::NEG_INFINITY,
                2..5 => *score,
                _ => *score + random.signed() * 0.1,
            };
        }
    }
    rows
}

#[test]
fn every_number_is_that_of_numpy() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let (x, y) = (rows(300, 1, 5), rows(120, 2, 900));
    let shards = vec![("x.jsonl", x.clone()), ("sub/y.jsonl", y.clone())];
    for source in [false, true] {
        let name = |name: &str| at(&format!("{name}-{source}"));
        let schema = schema(source);
        folder(&name("a"), &schema, &shards);
        // Some documents are missing, some are new, some have other tokens, another id or another source.
        let mut other = changed(&x, 3);
        other.retain(|row| row.row % 17 != 4);
        for row in &mut other {
            match row.row % 20 {
                3 => row.input_ids.iter_mut().for_each(|id| *id += 1),
                5 => row.id += "'",
                7 => row.source = Some("books".to_owned()),
                _ => {}
            }
        }
        let longer = rows(140, 9, 900)[120..].to_vec();
        let mut of_y = changed(&y, 4);
        of_y.extend(longer);
        // In another order, and another shard.
        let new = rows(30, 8, 7);
        let shards = [("sub/y.jsonl", of_y), ("new", new), ("x.jsonl", other)];
        folder(&name("b"), &schema, &shards);
        let report = check(&name("a"), &name("b"), "row");
        assert_eq!(report["equal"], false);
        for field in ["only_a", "only_b", "other_tokens", "other_id"] {
            assert!(report["total"][field].as_u64().unwrap() > 0, "{field}");
        }
        // Documents with the same tokens: one token, often.
        check(&name("a"), &name("b"), "tokens");
        // Without sources on one side.
        check(&name("a"), &at("a-false"), "row");
    }
}

#[test]
fn real_masks_are_compared() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("wide"), ScoreType::Float32);
    masks(&at("narrow"), ScoreType::Float16);
    let report = check(&at("wide"), &at("narrow"), "row");
    assert_eq!(report["total"]["masks"][0]["jaccard"], 1.0);
    let select = |keep: &str, out: &Path| {
        Run::new(&["select", "--by", "intersection", "--keep", keep, "--out"])
            .arg(out)
            .arg(&bundled().out)
            .ends_with(0);
    };
    select("0.7", &at("same"));
    select("0.5", &at("half"));
    let report = check(&bundled().out, &at("half"), "row");
    assert_eq!(report["settings"], json!(["selections"]));
    assert_eq!(report["total"]["scores"][0]["correlation"], 1.0);
    let report = check(&bundled().out, &at("same"), "row");
    assert_eq!(report["equal"], true);
    // Columns that only one has are a difference.
    Run::new(&["select", "--by", "random", "--out"])
        .arg(at("random"))
        .arg(&bundled().out)
        .ends_with(0);
    let report = check(&bundled().out, &at("random"), "tokens");
    assert_eq!(report["columns_only_b"], json!(["mask_random"]));
    // A file alone, and tables.
    let file = |folder: &Path| folder.join("pages.jsonl.arrow");
    let ended = diff(&file(&bundled().out), &file(&at("same")), &[]).ends_with(0);
    assert!(ended.stdout.starts_with("equal: a is "), "{}", ended.stdout);
    let ended = diff(&bundled().out, &at("half"), &["--sources", "2"]).ends_with(1);
    let said = &ended.stdout;
    for text in [
        "different: a is ",
        "settings that differ: selections\n",
        "documents, by source\n",
        "mask_intersection, by source\n",
        "loss, by source\n",
        "(7 others)",
        "correlation",
    ] {
        assert!(said.contains(text), "{text:?}: {said}");
    }
    assert!(
        said.lines().skip(1).all(|line| line.chars().count() <= 100),
        "{said}"
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let missing = diff(&bundled().out, &at("none"), &[]).ends_with(2);
    assert!(missing.stderr.contains("expected masks, got nothing"));
    masks(&at("masks"), ScoreType::Float32);
    let damaged = at("masks/c.txt.arrow");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes.truncate(bytes.len() - 100);
    fs::write(&damaged, bytes).unwrap();
    let ended = diff(&at("masks"), &at("masks"), &[]).ends_with(2);
    assert!(ended.stderr.contains("c.txt.arrow"), "{}", ended.stderr);
}
