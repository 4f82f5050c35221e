//! `merge`: the masks of parts of a corpus as one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::{Value, json};

use crate::support::{Ended, Run, files, python::python, read_json, root, write};

const ORACLE: &str = include_str!("merge.py");

fn merge(inputs: &[PathBuf], out: &Path, arguments: &[&str]) -> Run {
    let run = inputs.iter().fold(Run::new(&["merge"]), Run::arg);
    run.arg("--out").arg(out).args(arguments)
}

#[track_caller]
fn is_merged(out: &Path, first: bool, inputs: &[PathBuf]) {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .args(["-c", ORACLE])
        .arg(out)
        .arg(if first { "1" } else { "0" })
        .args(inputs)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[track_caller]
fn refused(run: Run, expected: &[&str]) -> Ended {
    let ended = run.ends_with(2);
    for text in expected.iter().chain(&["hint: "]) {
        assert!(ended.stderr.contains(text), "{text:?}: {}", ended.stderr);
    }
    ended
}

/// The bundled corpus in two parts, one with a bad row.
fn parts(place: &Path) -> [PathBuf; 2] {
    let examples = root().join("examples/corpus");
    let [a, b] = ["a", "b"].map(|part| place.join("corpus").join(part));
    for name in ["notes.jsonl.gz", "texts/page.txt"] {
        write(&a.join(name), fs::read(examples.join(name)).unwrap());
    }
    let pages = fs::read_to_string(examples.join("pages.jsonl")).unwrap();
    let some: Vec<&str> = pages.lines().take(30).collect();
    write(&b.join("pages.jsonl"), some.join("\n") + "\nno json\n");
    write(
        &b.join("texts/thread.txt"),
        fs::read(examples.join("texts/thread.txt")).unwrap(),
    );
    [a, b]
}

fn score(corpus: &Path, out: &Path, arguments: &[&str]) {
    let ended = Run::score(corpus, out).args(arguments).end();
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
}

/// The merged masks are those of the whole corpus where the scope ends with a document, and every command reads them.
#[test]
fn parts_become_the_whole() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let corpus = parts(place.path());
    let scope = ["--scope", "document", "--keep-text"];
    for (part, name) in corpus.iter().zip(["a", "b"]) {
        score(part, &at(name), &scope);
    }
    let inputs = [at("a"), at("b")];
    let ended = merge(&inputs, &at("c"), &[]).ends_with(0);
    assert!(ended.stderr.contains("folders     2"), "{}", ended.stderr);
    is_merged(&at("c"), false, &inputs);
    let again = merge(&inputs, &at("c"), &[]).ends_with(0);
    assert!(again.stderr.contains("merged already"), "{}", again.stderr);
    // Scored as one corpus, apart from the order of the shards and the records of the merge.
    let joined = at("joined");
    for part in &corpus {
        for name in files(part) {
            write(&joined.join(&name), fs::read(part.join(&name)).unwrap());
        }
    }
    score(&joined, &at("whole"), &scope);
    let diff = Run::new(&["diff", "--json"])
        .arg(at("whole"))
        .arg(at("c"))
        .end();
    let report: Value = serde_json::from_str(&diff.stdout).unwrap();
    assert_eq!(report["settings"], json!(["merged"]));
    assert_eq!(diff.code, Some(0), "{}", diff.stdout);
    for (run, arguments) in [
        (
            "select",
            &["--by", "loss", "--scope", "corpus", "--out"][..],
        ),
        ("convert", &["--to", "mds", "--out"]),
        ("report", &["--out"]),
    ] {
        let out = at(&format!("by-{run}"));
        Run::new(&[run])
            .arg(at("c"))
            .args(arguments)
            .arg(out)
            .ends_with(0);
    }
    Run::new(&["stats"]).arg(at("c")).ends_with(0);
    let shown = Run::new(&["show", "--shard", "pages.jsonl"])
        .arg(at("c"))
        .ends_with(0);
    assert!(shown.stdout.contains("tokens kept"), "{}", shown.stdout);
    // What the parts were read from is recorded.
    let recorded = &crate::support::metadata(&at("c"), "pages.jsonl")["merged"];
    assert_eq!(recorded[0]["run"]["text_field"], "text", "{recorded}");
    assert_eq!(recorded[1]["ranks"], 1, "{recorded}");
    #[cfg(feature = "train")]
    crate::train::train(place.path(), "static", &at("run"))
        .arg("--masks")
        .arg(at("c"))
        .args(&["--steps", "2"])
        .ends_with(0);
    // Merged again, with a third part.
    let third = at("corpus/third");
    write(
        &third.join("new.jsonl"),
        "{\"text\": \"one more document\"}\n",
    );
    score(&third, &at("third"), &scope);
    let three = [at("c"), at("third")];
    let error = merge(&three, &at("d"), &[]).ends_with(0);
    assert!(error.stderr.contains("wrote"), "{}", error.stderr);
    is_merged(&at("d"), false, &three);
}

#[test]
fn other_settings_are_refused_by_the_option() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let text = |name: &str| {
        let path = at(name).join(format!("{name}.jsonl"));
        write(
            &path,
            format!("{{\"text\": \"a text of {name}\", \"s\": \"{name}\"}}\n"),
        );
        at(name)
    };
    score(&text("one"), &at("a"), &[]);
    let two = text("two");
    for (arguments, named) in [
        (&["--keep", "0.5"][..], "the same --keep"),
        (&["--by", "loss"], "the same --by"),
        (&["--scope", "document"], "the same --scope"),
        (&["--batch", "77"], "the same --batch"),
        (&["--context", "100"], "the same --context"),
        (&["--overlap", "5"], "the same --overlap"),
        (&["--bos", "never"], "the same --bos"),
        (&["--score-dtype", "float16"], "the same --score-dtype"),
        (&["--keep-text"], "the same --keep-text"),
        (&["--source-field", "s"], "the same --source-field"),
    ] {
        let other = at(&format!("b{}", named.replace(' ', "-")));
        score(&two, &other, arguments);
        refused(merge(&[at("a"), other], &at("c"), &[]), &[named]);
        assert!(!at("c").exists(), "{named}: something was written");
    }
    // Another tokenizer.
    let model = at("model");
    for name in ["model.onnx", "config.json", "tokenizer.json"] {
        write(
            &model.join(name),
            fs::read(root().join("models/demo").join(name)).unwrap(),
        );
    }
    let mut tokenizer = read_json(&model.join("tokenizer.json"));
    tokenizer["added_tokens"][0]["lstrip"] = json!(true);
    write(&model.join("tokenizer.json"), tokenizer.to_string());
    Run::score(&two, &at("other"))
        .arg("--model")
        .arg(&model)
        .ends_with(0);
    refused(
        merge(&[at("a"), at("other")], &at("c"), &[]),
        &["the same tokenizer"],
    );
    // Corpora may differ, and their settings are recorded.
    score(&two, &at("b"), &[]);
    merge(&[at("a"), at("b")], &at("c"), &[]).ends_with(0);
    let one = merge(&[at("a")], &at("d"), &[]).ends_with(2);
    assert!(one.stderr.contains("2 values required"), "{}", one.stderr);
    refused(
        merge(&[at("a"), at("b")], &at("a/in"), &[]),
        &["one inside it"],
    );
    refused(merge(&[at("a"), two.clone()], &at("d"), &[]), &["two"]);
    refused(merge(&[at("b"), at("a")], &at("c"), &[]), &["another plan"]);
    merge(&[at("b"), at("a")], &at("c"), &["--restart"]).ends_with(0);
    is_merged(&at("c"), false, &[at("b"), at("a")]);
    // Scores are expensive: not even with --restart.
    let into = merge(
        &[at("a"), at("c")],
        &at("b"),
        &["--restart", "--on-duplicate", "first"],
    );
    refused(into, &["one that `score` writes"]);
}

fn row(row: i64, tokens: &[u32]) -> MaskRow {
    let length = tokens.len();
    MaskRow {
        id: format!("{row}"),
        row,
        input_ids: tokens.to_vec(),
        scores: vec![(0..length).map(|i| i as f32 / 2.0).collect()],
        masks: vec![(0..length).map(|i| i % 2 == 0).collect()],
        weights: Vec::new(),
        text: None,
        source: None,
        target: None,
        top: None,
    }
}

fn masks(out: &Path, shards: &[(&str, Vec<MaskRow>)], rejected: &[(&str, i64)]) {
    let schema = MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_loss".to_owned()],
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({
            "format_version": 1, "scope": "corpus",
            "selections": [{"column": "mask_loss", "by": "loss", "keep_lowest": 0.5, "kept": shards.len()}],
        }),
    };
    let folder = MasksFolder::create(out).unwrap();
    let mut all = Vec::new();
    for (shard, rows) in shards {
        let mut writer = folder
            .writer(shard, &schema, WriteOptions::default())
            .unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        let files = writer.finish().unwrap();
        folder.publish(shard, &files, &[]).unwrap();
        all.extend(files);
    }
    folder.list(&schema.metadata, &all).unwrap();
    folder
        .summary(&json!({"rejected": rejected.len(), "broken_shards": 0}))
        .unwrap();
    let lines = rejected.iter().map(|(shard, row)| {
        json!({"shard": shard, "row": row, "reason": "bad"}).to_string() + "\n"
    });
    let lines: String = lines.collect();
    if !lines.is_empty() {
        write(&out.join("rejected.jsonl"), lines);
    }
}

#[test]
fn duplicates_are_refused_or_dropped_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    // A document may come twice in one folder.
    let own = vec![row(0, &[1, 2, 3]), row(1, &[1, 2, 3]), row(4, &[])];
    masks(
        &at("a"),
        &[("x.jsonl", own), ("y.jsonl", vec![row(0, &[9])])],
        &[("x.jsonl", 2)],
    );
    let others: Vec<MaskRow> = (0..2_500)
        .map(|i| row(i, &[5, i as u32 * 7 % 1_000, 1]))
        .chain([
            row(2_500, &[1, 2, 3]),
            row(2_501, &[4, 4]),
            row(2_502, &[1, 2, 3]),
        ])
        .collect();
    masks(&at("documents"), &[("z.jsonl", others.clone())], &[]);
    let same_name = vec![row(0, &[6, 6]), row(1, &[7])];
    masks(
        &at("shards"),
        &[
            ("x.jsonl", same_name),
            ("w/v.jsonl", vec![row(0, &[8]), row(1, &[9])]),
        ],
        &[("x.jsonl", 9), ("w/v.jsonl", 3)],
    );
    masks(
        &at("none"),
        &[("all.jsonl", vec![row(0, &[9]), row(1, &[])])],
        &[],
    );
    let by_documents = [at("a"), at("documents")];
    refused(
        merge(&by_documents, &at("out"), &[]),
        &["z.jsonl row 2500", "--on-duplicate first"],
    );
    let by_shards = [at("a"), at("shards")];
    refused(
        merge(&by_shards, &at("out"), &[]),
        &["got x.jsonl again", "--on-duplicate first"],
    );
    refused(
        merge(&[at("a"), at("a")], &at("out"), &[]),
        &["x.jsonl, y.jsonl again"],
    );
    assert!(!at("out").exists(), "something was written");
    let all = [at("a"), at("documents"), at("shards"), at("none")];
    for (i, inputs) in [&by_documents[..], &by_shards, &[at("a"), at("a")], &all]
        .into_iter()
        .enumerate()
    {
        let out = at(&format!("first-{i}"));
        let ended = merge(inputs, &out, &["--on-duplicate", "first"]).ends_with(0);
        assert!(
            ended.stderr.contains("dropped as duplicates"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("ranked by themselves"),
            "{}",
            ended.stderr
        );
        is_merged(&out, true, inputs);
        let metadata = crate::support::metadata(&out, "x.jsonl");
        // The counts of each corpus are those of its own part.
        assert_eq!(metadata["selections"][0]["kept"], Value::Null);
        assert_eq!(metadata["merged"][0]["selections"][0]["kept"], 2);
    }
    // Files of one name from shards of other names: both stay.
    let renamed = at("renamed");
    masks(&renamed, &[("y.jsonl", vec![row(0, &[3, 3, 3])])], &[]);
    fs::rename(renamed.join("y.jsonl.arrow"), renamed.join("x.jsonl.arrow")).unwrap();
    let state = fs::read_to_string(renamed.join("state.json")).unwrap();
    write(
        &renamed.join("state.json"),
        state.replace("y.jsonl", "x.jsonl"),
    );
    let only_x = at("only-x");
    masks(&only_x, &[("x.jsonl", vec![row(0, &[2])])], &[]);
    let inputs = [only_x, renamed];
    merge(&inputs, &at("both"), &[]).ends_with(0);
    is_merged(&at("both"), false, &inputs);
    assert!(at("both/merged-2/x.jsonl.arrow").exists());
}

/// Keep ratios of single sources: the merged counts by source are the sums of those of the folders.
#[test]
fn sources_are_counted_by_themselves() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let texts = [
        "The bus leaves at nine in the morning.",
        "How many apples are left on the table?",
    ];
    for part in ["a", "b"] {
        let lines = ["web", "book", "web"].iter().enumerate().map(|(i, kind)| {
            let text = format!("{} {part} {}", texts[i % 2], "again and again ".repeat(i));
            json!({"text": text, "kind": kind}).to_string() + "\n"
        });
        let corpus = at("corpus").join(format!("{part}.jsonl"));
        write(&corpus, lines.collect::<String>());
        let rule = [
            "--source-field",
            "kind",
            "--by",
            "loss",
            "--keep-by",
            "web=0.5",
        ];
        score(&corpus, &at(part), &rule);
    }
    let merged = merge(&[at("a"), at("b")], &at("c"), &[]).ends_with(0);
    assert!(
        !merged.stderr.contains("no document has"),
        "{}",
        merged.stderr
    );
    let sources = |folder: &str| {
        let summary = read_json(&at(folder).join("summary.json"));
        let sources = summary["kept"]["loss"]["sources"].as_array().cloned();
        let sources = sources.unwrap_or_default().into_iter().map(|of| {
            let number = |name: &str| of[name].as_u64().unwrap();
            (
                of["source"].as_str().unwrap().to_owned(),
                [number("tokens"), number("scored")],
            )
        });
        sources.collect::<std::collections::BTreeMap<_, _>>()
    };
    let [a, b, c] = ["a", "b", "c"].map(sources);
    assert_eq!(c.len(), 2);
    for (source, counts) in &c {
        let sum = [0, 1].map(|i| a[source][i] + b[source][i]);
        assert_eq!(*counts, sum, "{source}");
    }
}
