//! Masks with a column of targets: context tokens are never ranked, counted or kept, by any rule, in any format.
//!
//! The oracle is a folder of the same documents without that column, in which context tokens have no score.

use std::{fs, path::Path};

use rho_formats::{MaskColumns, MaskRow, MaskSchema, ScoreType};
use serde_json::{Value, json};

use crate::support::{Random, Run, files, masks::one_shard, read_json, rows};

/// Writes the masks with targets and their oracle.
fn both(place: &Path, score_type: ScoreType) {
    let schema = MaskSchema {
        scores: ["base_loss", "loss", "entropy"].map(String::from).to_vec(),
        score_type,
        masks: vec!["mask_old".to_owned()],
        weights: vec!["weight_old".to_owned()],
        text: false,
        source: true,
        target: true,
        top: None,
        metadata: json!({"format_version": 1, "reference": {"vocabulary": 50}}),
    };
    let mut random = Random(11);
    let marked: Vec<MaskRow> = (0..700)
        .map(|row| document(row, &mut random, score_type))
        .collect();
    let oracle: Vec<MaskRow> = marked.iter().map(without_context).collect();
    for (name, rows) in [("marked", &marked), ("oracle", &oracle)] {
        fs::write(
            place.join(name.to_owned() + ".jsonl"),
            scores_of_another(rows, &marked),
        )
        .unwrap();
    }
    one_shard(&place.join("marked"), "a.jsonl", &schema, &marked);
    let plain = MaskSchema {
        target: false,
        ..schema
    };
    one_shard(&place.join("oracle"), "a.jsonl", &plain, &oracle);
}

/// A file of another program: a number for each token that has a loss in `rows`, and one for each document.
fn scores_of_another(rows: &[MaskRow], marked: &[MaskRow]) -> String {
    let mut lines = String::new();
    for (row, marked) in rows.iter().zip(marked) {
        let number = |i| number_of_another(row.row, i);
        let numbers: Vec<Option<f32>> = (0..row.input_ids.len())
            .map(|i| (!row.scores[1][i].is_nan()).then(|| number(i)))
            .collect();
        let line = json!({"id": marked.id, "q": numbers, "d": number(3)});
        lines += &format!("{line}\n");
    }
    lines
}

fn number_of_another(row: i64, token: usize) -> f32 {
    ((row as usize * 31 + token * 17) % 23) as f32 / 4.0
}

fn document(row: i64, random: &mut Random, score_type: ScoreType) -> MaskRow {
    let length = (random.next() % 40) as usize;
    let mut numbers = |from: f32| -> Vec<f32> {
        (0..length)
            .map(|i| match random.next() % 20 {
                _ if i == 0 => f32::NAN,
                // Equal scores: a context token must not take the place of a later one.
                0..8 => score_type.round(from + (random.next() % 3) as f32),
                _ => score_type.round(from + random.signed() * 4.0),
            })
            .collect()
    };
    let scores = vec![numbers(6.0), numbers(5.0), numbers(4.0)];
    let target: Vec<bool> = match row % 9 {
        0 => vec![false; length],
        1 => vec![true; length],
        _ => (0..length)
            .map(|_| !random.next().is_multiple_of(3))
            .collect(),
    };
    MaskRow {
        id: row.to_string(),
        row,
        input_ids: (0..length).map(|_| random.next() % 50).collect(),
        scores,
        masks: vec![target.clone()],
        weights: vec![
            target
                .iter()
                .map(|&target| f32::from(u8::from(target)))
                .collect(),
        ],
        text: None,
        source: Some(["web", "books"][random.next() as usize % 2].to_owned()),
        target: Some(target),
        top: None,
    }
}

/// The document without its targets; its context tokens are unscored.
fn without_context(row: &MaskRow) -> MaskRow {
    let mut row = row.clone();
    let target = row.target.take().unwrap();
    for scores in &mut row.scores {
        let all = scores.iter_mut().zip(&target);
        all.filter(|(_, target)| !**target)
            .for_each(|(score, _)| *score = f32::NAN);
    }
    row
}

/// Rules that rank tokens; `SCORES` is a file of another program.
const RULES: [&[&str]; 20] = [
    &["--by", "intersection", "--keep", "0.5"],
    &[
        "--by",
        "union",
        "--keep-loss",
        "0.3",
        "--keep-entropy",
        "0.4",
    ],
    &["--by", "loss", "--keep", "1.0"],
    &["--by", "loss", "--keep", "0.6"],
    &["--by", "entropy", "--keep-by", "web=0.2,books=0.9"],
    &["--by", "excess", "--keep", "0.6"],
    &["--by", "random", "--keep", "0.6", "--seed", "5"],
    &["--by", "threshold", "--below", "7.5"],
    &["--by", "threshold", "--above", "-9", "--score", "excess"],
    &[
        "--by",
        "band",
        "--drop-easiest",
        "10%",
        "--drop-hardest",
        "20%",
    ],
    &["--by", "loss", "--weights", "rank"],
    &[
        "--by",
        "excess",
        "--weights",
        "sigmoid",
        "--min-weight",
        "0.1",
    ],
    &["--by", "loss", "--where", "mean(loss) < 5 and scored > 3"],
    &["--by", "loss", "--weights", "exp"],
    &["--by", "loss", "--weights", "power:2"],
    &["--by", "entropy", "--weights", "entropy"],
    &["--by", "column:loss", "--keep", "0.5"],
    &[
        "--by",
        "column:loss,entropy",
        "--combine",
        "product",
        "--keep",
        "0.5",
    ],
    &[
        "--join", "SCORES", "--on", "id", "--column", "q", "--by", "column:q", "--keep", "0.5",
    ],
    &[
        "--join", "SCORES", "--on", "id", "--column", "d", "--by", "column:d", "--keep", "0.5",
    ],
];

/// Rules that select documents, or only copy them.
const DOCUMENTS: [&[&str]; 9] = [
    &["--documents", "--by", "loss", "--keep", "0.5"],
    &[
        "--documents",
        "--by",
        "loss",
        "--keep",
        "0.5",
        "--statistic",
        "median",
    ],
    &["--documents", "--by", "kept", "--keep", "0.5"],
    &["--documents", "--by", "excess", "--keep", "0.5"],
    &[
        "--documents",
        "--by",
        "column:loss,entropy",
        "--combine",
        "max",
    ],
    &[
        "--documents",
        "--join",
        "SCORES",
        "--on",
        "id",
        "--column",
        "q",
        "--by",
        "column:q",
        "--keep",
        "0.5",
    ],
    &["--where", "median(entropy) < 4"],
    &[
        "--join",
        "SCORES",
        "--on",
        "id",
        "--column",
        "q",
        "--where",
        "mean(q) < 3",
    ],
    &["--drop-duplicates"],
];

fn select(place: &Path, from: &str, to: &str, rule: &[&str], scope: &[&str]) -> Value {
    let mut run = Run::new(&["select"])
        .arg(place.join(from))
        .arg("--out")
        .arg(place.join(to));
    for &argument in rule {
        run = match argument {
            "SCORES" => run.arg(place.join(from.to_owned() + ".jsonl")),
            argument => run.arg(argument),
        };
    }
    run.args(scope).ends_with(0);
    let mut summary = read_json(&place.join(to).join("summary.json"));
    summary.as_object_mut().unwrap().remove("speed");
    summary
}

#[test]
fn no_rule_ranks_counts_or_keeps_a_context_token() {
    for score_type in [ScoreType::Float32, ScoreType::Float16] {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        both(place, score_type);
        for (i, rule) in RULES.iter().enumerate() {
            let scopes: &[&[&str]] = match *rule {
                ["--by", "threshold", ..] => &[&[]],
                [.., "--weights", formula] if *formula != "rank" => &[&[]],
                _ if rule.contains(&"sigmoid") => &[&[]],
                _ if rule.contains(&"rank") => &[&["--scope", "document"], &["--batch", "999"]],
                _ => &[
                    &["--scope", "document"],
                    &["--batch", "999"],
                    &["--scope", "corpus"],
                ],
            };
            for (j, scope) in scopes.iter().enumerate() {
                must_agree(place, rule, scope, &format!("{i}-{j}"));
            }
        }
    }
}

#[test]
fn no_document_is_selected_by_its_context() {
    for score_type in [ScoreType::Float32, ScoreType::Float16] {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        both(place, score_type);
        for (i, rule) in DOCUMENTS.iter().enumerate() {
            must_agree(place, rule, &[], &format!("documents-{i}"));
        }
    }
}

/// Selects from the masks and from their oracle, and compares what is left. `name` is that of the new folders.
fn must_agree(place: &Path, rule: &[&str], scope: &[&str], name: &str) {
    let what = format!("{rule:?} {scope:?}");
    let (own, other) = (format!("own-{name}"), format!("other-{name}"));
    let mut told = select(place, "marked", &own, rule, scope);
    let expected = select(place, "oracle", &other, rule, scope);
    let context = told.as_object_mut().unwrap().remove("context");
    let context = context.and_then(|context| context.as_u64()).unwrap();
    assert!(context > 100, "{what}");
    assert_eq!(told, expected, "{what}");
    let folder = place.join(own);
    let (own, other) = (
        rows(&folder, "a.jsonl"),
        rows(&place.join(other), "a.jsonl"),
    );
    assert_eq!(own.len(), other.len(), "{what}");
    let mut counted = 0;
    for (own, other) in own.iter().zip(&other) {
        assert_eq!(own.id, other.id, "{what}");
        assert_eq!(
            (&own.masks, &own.weights),
            (&other.masks, &other.weights),
            "{what}"
        );
        let target = own.target.as_ref().unwrap();
        for (i, _) in target.iter().enumerate().filter(|(_, target)| !**target) {
            counted += 1;
            assert!(own.masks.iter().all(|mask| !mask[i]), "{what}");
            assert!(
                own.weights.iter().all(|weights| weights[i] == 0.0),
                "{what}"
            );
            // The scores of context are kept.
            assert!(i == 0 || !own.scores[0][i].is_nan(), "{what}");
        }
    }
    assert_eq!(context, counted, "{what}");
    if let Some(at) = rule.iter().position(|argument| *argument == "--column") {
        scores_are_whole(&folder, rule[at + 1], &what);
    }
}

/// Those of another program are kept as well, whatever the type of the others.
fn scores_are_whole(folder: &Path, column: &str, what: &str) {
    let mut columns = MaskColumns::open(&folder.join("a.jsonl.arrow")).unwrap();
    let mut all = 0;
    while let Some(batch) = columns.next_batch().unwrap() {
        let mut scores = Vec::new();
        assert!(batch.all_scores(column, &mut scores), "{what}");
        for (row, tokens) in batch.documents().enumerate() {
            let row = batch.token_hash_and_row(row).1;
            for (i, score) in scores[tokens].iter().enumerate() {
                let expected = match column {
                    "q" if i == 0 => f32::NAN,
                    "q" => number_of_another(row, i),
                    _ => number_of_another(row, 3),
                };
                assert_eq!(score.to_bits(), expected.to_bits(), "{what}");
                all += 1;
            }
        }
    }
    assert!(all > 1000, "{what}");
}

#[test]
fn statistics_are_those_of_the_targets() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    both(place, ScoreType::Float32);
    let told = |name: &str| -> Value {
        let ended = Run::new(&["stats", "--json"])
            .arg(place.join(name))
            .ends_with(0);
        serde_json::from_str(&ended.stdout).unwrap()
    };
    let (mut own, mut oracle) = (told("marked"), told("oracle"));
    let mut context = 0;
    let remove = |group: &mut Value| group.as_object_mut().unwrap().remove("context");
    for source in own["sources"].as_array_mut().unwrap() {
        context += remove(source).unwrap().as_u64().unwrap();
    }
    assert_eq!(remove(&mut own["total"]).unwrap(), context);
    let expected: usize = rows(&place.join("marked"), "a.jsonl")
        .iter()
        .map(|row| row.target.as_ref().unwrap().iter().filter(|t| !**t).count())
        .sum();
    assert_eq!(context, expected as u64);
    for report in [&mut own, &mut oracle] {
        report.as_object_mut().unwrap().remove("masks");
    }
    assert_eq!(own, oracle);

    let text = Run::new(&["stats"])
        .arg(place.join("marked"))
        .ends_with(0)
        .stdout;
    assert!(text.contains("context"));
    let report = Run::new(&["report", "--out", "-"])
        .arg(place.join("marked"))
        .ends_with(0)
        .stdout;

    assert!(
        report.contains(" scored, ") && report.contains("\"context\":\"1"),
        "the report tells them apart"
    );
}

#[test]
fn no_format_trains_on_context() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    both(place, ScoreType::Float32);
    let all = ["--by", "loss", "--keep", "1.0"];
    select(place, "marked", "own", &all, &[]);
    select(place, "oracle", "other", &all, &[]);
    for format in [
        "labels",
        "olmo",
        "levanter",
        "neox",
        "mds",
        "litdata",
        "torchtitan",
        "torchtune",
    ] {
        for name in ["own", "other"] {
            let eos: &[&str] = match format {
                "levanter" | "neox" | "olmo" | "litdata" | "torchtitan" => &["--eos-id", "49"],
                _ => &[],
            };
            Run::new(&["convert", "--to", format])
                .args(eos)
                .arg(place.join(name))
                .arg("--out")
                .arg(place.join(format!("{format}-{name}")))
                .ends_with(0);
        }
        let (own, other) = (
            place.join(format!("{format}-own")),
            place.join(format!("{format}-other")),
        );
        let data = |name: &String| !name.starts_with(".rho-mask") && !name.ends_with(".json");
        let names: Vec<String> = files(&own).into_iter().filter(data).collect();
        assert!(!names.is_empty(), "{format}");
        for name in names {
            let same = fs::read(own.join(&name)).unwrap() == fs::read(other.join(&name)).unwrap();
            assert!(same, "{format}: {name}");
        }
    }
    // The masks' own columns: the targets are among them.
    for format in ["jsonl", "parquet", "webdataset"] {
        let out = place.join(format);
        Run::new(&["convert", "--to", format])
            .arg(place.join("own"))
            .arg("--out")
            .arg(&out)
            .ends_with(0);
        let bytes = files(&out)
            .iter()
            .map(|name| fs::read(out.join(name)).unwrap())
            .collect::<Vec<_>>()
            .concat();
        assert!(
            bytes.windows(6).any(|window| window == b"target"),
            "{format}"
        );
    }
}

#[test]
fn a_mask_that_keeps_context_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let schema = MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_loss".to_owned()],
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format_version": 1}),
    };
    // The same bytes but for the name of the column: a mask that another program changed.
    let row = MaskRow {
        id: "0".to_owned(),
        row: 0,
        input_ids: vec![1, 2, 3],
        scores: vec![vec![f32::NAN, 1.0, 2.0]],
        masks: vec![vec![false, true, true], vec![false, false, true]],
        weights: Vec::new(),
        text: None,
        source: None,
        target: None,
        top: None,
    };
    let schema = MaskSchema {
        masks: vec!["mask_loss".to_owned(), "targer".to_owned()],
        ..schema
    };
    let folder = place.path().join("masks");
    one_shard(&folder, "a", &schema, &[row]);
    let file = folder.join("a.arrow");
    let bytes = fs::read(&file).unwrap();
    let at: Vec<usize> = (0..bytes.len() - 6)
        .filter(|&i| &bytes[i..i + 6] == b"targer")
        .collect();
    let mut changed = bytes;
    for at in at {
        changed[at..at + 6].copy_from_slice(b"target");
    }
    fs::write(&file, changed).unwrap();
    for command in [&["convert", "--to", "jsonl", "--out", "-"][..], &["show"]] {
        let ended = Run::new(command).arg(&folder).ends_with(2);
        assert!(
            ended.stderr.contains("masks that keep no context token"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn the_five_tokens_with_context() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let schema = MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: Vec::new(),
        weights: Vec::new(),
        text: false,
        source: false,
        target: true,
        top: None,
        metadata: json!({"format_version": 1, "reference": {"vocabulary": 50257}}),
    };
    let row = MaskRow {
        id: "dog".to_owned(),
        row: 0,
        input_ids: vec![464, 3290, 3332, 319, 262],
        scores: vec![vec![f32::NAN, 7.21, 2.05, 0.88, 0.31]],
        masks: Vec::new(),
        weights: Vec::new(),
        text: None,
        source: None,
        target: Some(vec![false, false, true, true, true]),
        top: None,
    };
    one_shard(&place.join("masks"), "five.jsonl", &schema, &[row]);
    let rule = ["--by", "loss", "--keep", "0.667"];
    let summary = select(place, "masks", "kept", &rule, &[]);
    assert_eq!(summary["context"], 2);
    assert_eq!(summary["scored"], 3);
    let kept = rows(&place.join("kept"), "five.jsonl");
    assert_eq!(kept[0].masks, [[false, false, false, true, true]]);
    let shown = Run::new(&["convert", "--to", "jsonl", "--out", "-"])
        .arg(place.join("kept"))
        .ends_with(0);
    let line: Value = serde_json::from_str(shown.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(line["target"], json!([false, false, true, true, true]));
    assert_eq!(line["mask_loss"], json!([false, false, false, true, true]));
}
