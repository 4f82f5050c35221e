//! `select`: other masks from the same scores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::{MaskRow, MaskSchema, ScoreType};
use serde_json::{Value, json};

use crate::support::{
    Ended, Run,
    bundled::bundled,
    bytes_without_times, files,
    masks::{masks, one_shard},
    metadata,
    python::python,
    read_json, rows,
};
use crate::train::train;

const ORACLE: &str = include_str!("select.py");

/// The mask files alone.
fn arrows(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = bytes_without_times(folder);
    all.retain(|name, _| name.ends_with(".arrow"));
    all
}

#[test]
fn the_rule_of_score_gives_the_files_of_score() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let rule = [
        "--by",
        "intersection",
        "--keep-loss",
        ".7",
        "--keep-entropy",
        ".6",
    ];
    // Scopes end inside record batches and files, because the corpus and a batch of 4,000 tokens are small.
    for (name, stored, scope) in [
        ("plain", &[][..], &[][..]),
        (
            "packed",
            &[
                "--score-dtype",
                "float16",
                "--compression",
                "zstd",
                "--keep-text",
                "--shard-size",
                "30kB",
            ],
            &["--scope", "document"],
        ),
    ] {
        let masks = at(name);
        Run::score(Path::new("examples/corpus"), &masks)
            .args(&["--keep-loss", ".7", "--keep-entropy", ".6"])
            .args(stored)
            .args(scope)
            .ends_with(0);
        let before = bytes_without_times(&masks);
        let out = at(&format!("{name}-again"));
        let ended = Run::select(&masks, &out, &rule).args(scope).ends_with(0);
        assert_eq!(ended.stdout, "");
        assert!(arrows(&out) == arrows(&masks), "{name}");
        assert_eq!(
            fs::read(out.join("state.json")).unwrap(),
            fs::read(masks.join("state.json")).unwrap()
        );
        assert!(
            bytes_without_times(&masks) == before,
            "the input was touched"
        );
        let (old, new) = (
            read_json(&masks.join("summary.json")),
            read_json(&out.join("summary.json")),
        );
        for field in ["shards", "documents", "tokens", "scored"] {
            assert_eq!(old[field], new[field], "{field}");
        }
        for kept in ["loss", "entropy", "intersection"] {
            for field in ["tokens", "share", "threshold"] {
                assert_eq!(
                    old["kept"][kept][field], new["kept"][kept][field],
                    "{kept} {field}"
                );
            }
        }
    }
}

/// Sorted by NumPy, on scores of all kinds in several files a shard, and on those of the bundled corpus.
#[test]
fn every_rule_in_every_scope_is_what_sorting_gives() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("wide"), ScoreType::Float32);
    masks(&at("narrow"), ScoreType::Float16);
    let scopes = [
        json!({"scope": "document"}),
        json!({"scope": "batch", "batch": 333}),
        json!({"scope": "batch"}),
        json!({"scope": "corpus"}),
    ];
    let rules = [
        json!({"by": "loss", "keep": 0.6}),
        json!({"by": "entropy"}),
        json!({"by": "intersection", "keep-loss": 0.7, "keep-entropy": 0.5}),
        json!({"by": "union", "keep": 0.4}),
        json!({"by": "random", "keep": 0.6, "seed": 5}),
        json!({"by": "band", "drop-easiest": 0.1, "drop-hardest": 0.25, "score": "entropy"}),
        json!({"by": "loss", "keep": 0.0}),
        json!({"by": "loss", "keep": 1.0}),
        json!({"by": "loss", "weights": "rank"}),
        json!({"by": "excess", "keep": 0.6}),
        json!({"by": "band", "drop-easiest": 0.5, "drop-hardest": 0.2, "score": "excess"}),
        json!({"by": "excess", "weights": "rank", "min-weight": 0.25}),
    ];
    let unscoped = [
        json!({"by": "threshold", "below": 2.0}),
        json!({"by": "threshold", "above": -1.5, "below": 3.0, "score": "entropy"}),
        json!({"by": "excess", "weights": "sigmoid", "temperature": 0.5}),
        json!({"by": "excess", "weights": "clipped", "temperature": 4, "max-weight": 0.5}),
        json!({"by": "excess", "weights": "clipped", "min-weight": -1}),
        json!({"by": "excess", "weights": "clipped", "temperature": 3, "min-weight": -0.75, "max-weight": -0.25}),
        json!({"by": "loss", "weights": "exp"}),
        json!({"by": "loss", "weights": "exp", "min-weight": 0.1, "max-weight": 0.9}),
        json!({"by": "loss", "weights": "power:2"}),
        json!({"by": "loss", "weights": "power:0.25", "max-weight": 0.75}),
        json!({"by": "entropy", "weights": "entropy"}),
        json!({"by": "entropy", "weights": "entropy", "temperature": 3, "min-weight": 0.125}),
    ];
    let merged = |rule: &Value, scope: &Value| {
        let mut all = rule.as_object().unwrap().clone();
        all.extend(scope.as_object().unwrap().clone());
        Value::Object(all)
    };
    let mut cases: Vec<Value> = unscoped.to_vec();
    for rule in &rules {
        cases.extend(scopes.iter().map(|scope| merged(rule, scope)));
    }
    // Rank weights of a whole corpus are refused.
    cases.retain(|c| c["weights"] != "rank" || c["scope"] != "corpus");
    let mut checked = 0;
    for from in [&at("wide"), &at("narrow"), &bundled().out] {
        let mut made = Vec::new();
        for case in &cases {
            let needs_base = case["by"] == "excess" || case["score"] == "excess";
            if needs_base && from == &bundled().out {
                continue;
            }
            let options = case.as_object().unwrap();
            let options = options.iter().flat_map(|(name, value)| {
                let value = value.as_str().map_or(value.to_string(), str::to_owned);
                [format!("--{name}"), value]
            });
            let options: Vec<String> = options.collect();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let out = at(&format!("out-{}", made.len()));
            let run = Run::select(from, &out, &options).args(&["--threads", "3"]);
            says_what_was_kept(&run.ends_with(0), &out);
            made.push((out, case));
        }
        let output = Command::new(&python)
            .args(["-c", ORACLE])
            .arg(from)
            .arg(json!(made).to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{said}", from.display());
        checked += made.len();
        made.iter()
            .for_each(|(out, _)| fs::remove_dir_all(out).unwrap());
    }
    assert!(checked > 120, "{checked}");
}

/// Checks that the human-readable summary has the numbers of the JSON summary.
fn says_what_was_kept(ended: &Ended, out: &Path) {
    let summary = read_json(&out.join("summary.json"));
    for (name, kept) in summary["kept"].as_object().unwrap() {
        let said = ended.lines_with(&format!("by {name} "));
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        let digits: String = said[0]
            .split('(')
            .next()
            .unwrap()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        assert_eq!(digits, kept["tokens"].to_string());
    }
}

#[test]
fn threads_do_not_show() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float16);
    for rule in [
        &["--by", "loss", "--keep", "0.5", "--scope", "corpus"][..],
        &[
            "--by", "random", "--keep", "0.5", "--seed", "3", "--batch", "100",
        ],
    ] {
        for threads in ["1", "4"] {
            let run = Run::select(&at("masks"), &at(threads), rule);
            run.args(&["--threads", threads]).ends_with(0);
        }
        assert!(
            bytes_without_times(&at("1")) == bytes_without_times(&at("4")),
            "{rule:?}"
        );
        for threads in ["1", "4"] {
            fs::remove_dir_all(at(threads)).unwrap();
        }
    }
}

#[test]
fn progress_is_shown_as_asked() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let shown = |kind: &str| {
        let rule = ["--by", "loss", "--scope", "corpus", "--progress", kind];
        Run::select(&at("masks"), &at(kind), &rule)
            .ends_with(0)
            .stderr
    };
    assert!(shown("none").starts_with("wrote "));
    assert_eq!(shown("plain").matches(" done (shard ").count(), 4);
    let events: Vec<Value> = shown("json")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = events.iter().filter(|event| event["event"] == "shard");
    assert_eq!(done.count(), 4);
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["shards"]), (&json!("end"), &json!(4)));
    let tokens = &read_json(&at("json").join("summary.json"))["tokens"];
    assert_eq!(&end["tokens"], tokens);
}

#[test]
fn the_new_masks_are_masks() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    Run::select(&at("masks"), &at("union"), &["--by", "union"]).ends_with(0);
    let written = rows(&at("union"), "c.txt");
    assert_eq!(
        (
            written.len(),
            written[0].scores.len(),
            written[0].masks.len()
        ),
        (1, 3, 3)
    );
    assert_eq!(written[0].text, rows(&at("masks"), "c.txt")[0].text);
    let said = metadata(&at("union"), "c.txt");
    assert_eq!(said["tokenizer"]["fingerprint"], "t");
    assert_eq!(
        said["selections"][2],
        json!({"column": "mask_union", "or": ["mask_loss", "mask_entropy"]})
    );
    // Weights are not scores, and selecting again replaces them.
    let sigmoid = ["--by", "excess", "--weights", "sigmoid"];
    Run::select(&at("union"), &at("weights"), &sigmoid).ends_with(0);
    let written = rows(&at("weights"), "c.txt");
    assert_eq!((written[0].scores.len(), written[0].masks.len()), (3, 0));
    let weights = &written[0].weights;
    assert_eq!((weights.len(), weights[0][0]), (1, 0.0));
    assert!(weights[0].iter().any(|weight| *weight > 0.5));
    Run::select(&at("weights"), &at("again"), &["--by", "union"]).ends_with(0);
    assert!(arrows(&at("again")) == arrows(&at("union")));
}

/// Expects an error with these words and a hint.
#[track_caller]
fn refused(run: Run, expected: &[&str]) {
    let ended = run.ends_with(2);
    for text in expected {
        assert!(ended.stderr.contains(text), "{text:?}: {}", ended.stderr);
    }
    let own = ended.stderr.contains("hint: ") || ended.stderr.contains("For more information");
    assert!(own, "{}", ended.stderr);
}

#[test]
fn what_cannot_be_selected_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let out = at("out");
    let no = |arguments: &[&str], expected: &[&str]| {
        refused(Run::select(&at("masks"), &out, arguments), expected);
        assert!(!out.exists(), "something was written: {arguments:?}");
    };
    no(
        &["--by", "loss", "--keep", "1.5"],
        &["between 0 and 1, got 1.5"],
    );
    no(
        &["--by", "loss", "--keep-loss", "0.5"],
        &["--keep-loss", "belongs to --by loss", "--keep,"],
    );
    no(&["--by", "threshold"], &["--above or --below, got neither"]);
    no(
        &["--by", "threshold", "--above", "3", "--below", "1"],
        &["--above 3"],
    );
    no(
        &["--by", "threshold", "--above", "nan"],
        &["--above", "NaN"],
    );
    no(
        &["--by", "threshold", "--above", "1", "--keep", "0.5"],
        &["--keep"],
    );
    no(
        &["--by", "threshold", "--above", "1", "--scope", "corpus"],
        &["--scope"],
    );
    no(
        &["--by", "threshold", "--above", "1", "--score", "surprise"],
        &["\"surprise\"", "base_loss, loss, entropy"],
    );
    no(
        &["--by", "band"],
        &["--drop-easiest or --drop-hardest, got neither"],
    );
    no(
        &[
            "--by",
            "band",
            "--drop-easiest",
            "60%",
            "--drop-hardest",
            "0.5",
        ],
        &["--drop-easiest 0.6"],
    );
    no(&["--by", "loss", "--seed", "1"], &["--seed"]);
    no(&["--by", "loss", "--batch", "0"], &["--batch", "got 0"]);
    no(
        &["--by", "loss", "--batch", "9", "--scope", "corpus"],
        &["--scope batch"],
    );
    no(&["--by", "loss", "--threads", "0"], &["--threads"]);
    no(&["--by", "loss", "--temperature", "1"], &["--temperature"]);
    no(&["--by", "random", "--weights", "rank"], &["--weights"]);
    no(&["--by", "loss", "--weights", "sigmoid"], &["--by excess"]);
    no(
        &[
            "--by",
            "excess",
            "--weights",
            "sigmoid",
            "--temperature",
            "0",
        ],
        &["--temperature", "above 0"],
    );
    no(
        &["--by", "excess", "--weights", "rank", "--min-weight", "2"],
        &["--min-weight"],
    );
    no(
        &[
            "--by",
            "excess",
            "--weights",
            "clipped",
            "--min-weight",
            "-2",
        ],
        &["--min-weight", "expected -1 <= min", "got -2 and 1"],
    );
    for (by, formula) in [
        ("excess", "sigmoid"),
        ("loss", "exp"),
        ("loss", "power:2"),
        ("entropy", "entropy"),
        ("entropy", "rank"),
    ] {
        no(
            &["--by", by, "--weights", formula, "--min-weight", "-0.5"],
            &["--min-weight -0.5", "never negative", formula],
        );
    }
    for formula in [
        "power",
        "power:",
        "power:0",
        "power:-1",
        "power:nan",
        "power:x",
        "log",
    ] {
        no(
            &["--by", "loss", "--weights", formula],
            &["--weights", formula],
        );
    }
    no(&["--by", "entropy", "--weights", "exp"], &["--by loss"]);
    no(&["--by", "loss", "--weights", "entropy"], &["--by entropy"]);
    no(
        &["--by", "loss", "--weights", "exp", "--temperature", "2"],
        &["--temperature"],
    );
    no(
        &["--by", "excess", "--weights", "rank", "--scope", "corpus"],
        &["bounded memory"],
    );
    refused(
        Run::select(&bundled().out, &out, &["--by", "excess"]),
        &["\"base_loss\"", "got loss, entropy", "base_loss and loss"],
    );
    refused(
        Run::select(&at("gone"), &out, &["--by", "loss"]),
        &["gone", "got nothing"],
    );
    refused(
        Run::select(&at("masks"), Path::new("-"), &["--by", "loss"]),
        &["got -"],
    );
}

#[test]
fn signed_weights_go_where_they_can_be_said() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let rule = [
        "--by",
        "excess",
        "--weights",
        "clipped",
        "--min-weight",
        "-1",
    ];
    Run::select(&at("masks"), &at("signed"), &rule).ends_with(0);
    let written = rows(&at("signed"), "d.jsonl");
    let weights = || written.iter().flat_map(|row| &row.weights[0]).copied();
    assert!(weights().any(|weight| weight == -1.0) && weights().any(|weight| weight == 1.0));
    // The same weights, of unknown origin.
    let unknown = MaskSchema {
        scores: Vec::new(),
        score_type: ScoreType::Float32,
        masks: Vec::new(),
        weights: vec!["weight_excess".to_owned()],
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format_version": 1}),
    };
    let row = |row: MaskRow| MaskRow {
        scores: Vec::new(),
        text: None,
        ..row
    };
    let all: Vec<MaskRow> = written.iter().cloned().map(row).collect();
    one_shard(&at("unknown"), "d.jsonl", &unknown, &all);
    for from in ["signed", "unknown"] {
        let convert = |to: &str| {
            let out = at(&format!("{from}-{to}"));
            let run = Run::new(&["convert"]).arg(at(from)).args(&["--to", to]);
            run.args(&["--weights", "weight_excess", "--out"]).arg(out)
        };
        for to in ["parquet", "jsonl", "webdataset"] {
            convert(to).ends_with(0);
        }
        let lines = fs::read_to_string(at(&format!("{from}-jsonl/d.jsonl.jsonl"))).unwrap();
        let said: Vec<Value> = lines
            .lines()
            .flat_map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                row["weight_excess"].as_array().unwrap().clone()
            })
            .collect();
        let said: Vec<f32> = said.iter().map(|w| w.as_f64().unwrap() as f32).collect();
        assert_eq!(said, weights().collect::<Vec<_>>());
        let levanter = convert("levanter").args(&["--eos-id", "1"]);
        refused(levanter, &["weights of at least 0 for --to levanter"]);
        let train = train(place.path(), "weighted", &at("trained"));
        let train = train.args(&["--steps", "1", "--masks"]).arg(at(from));
        let ended = train.ends_with(2);
        let expected = "expected weights of at least 0";
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn the_input_is_never_written_to() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let before = bytes_without_times(&at("masks"));
    let apart = |from: PathBuf, out: PathBuf, relation: &str| {
        let run = Run::select(&from, &out, &["--by", "loss"]);
        refused(run, &["expected another folder", relation]);
        let again = Run::select(&from, &out, &["--by", "loss", "--restart"]);
        refused(again, &[relation]);
        assert!(bytes_without_times(&at("masks")) == before);
    };
    apart(at("masks"), at("masks"), "the same");
    apart(at("masks"), at("masks/../masks/."), "the same");
    apart(at("masks"), at("masks/deep/er"), "inside");
    apart(at("masks"), place.path().to_owned(), "contains it");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(at("masks"), at("link")).unwrap();
        apart(at("link"), at("masks"), "the same");
        apart(at("masks"), at("link"), "the same");
        apart(at("masks"), at("link/deep"), "inside");
        // A folder of links to the files of another one.
        fs::create_dir_all(at("links/b")).unwrap();
        for name in files(&at("masks")) {
            std::os::unix::fs::symlink(at("masks").join(&name), at("links").join(&name)).unwrap();
        }
        apart(at("links"), at("masks"), "contains it");
    }
}

#[test]
fn unfinished_and_changed_masks_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let fresh = || {
        if at("masks").exists() {
            fs::remove_dir_all(at("masks")).unwrap();
        }
        masks(&at("masks"), ScoreType::Float32);
    };
    let by_loss = |out: &str| Run::select(&at("masks"), &at(out), &["--by", "loss"]);
    fresh();
    fs::remove_file(at("masks/summary.json")).unwrap();
    refused(
        by_loss("out"),
        &["not: it has no summary.json", "start the run"],
    );
    fs::remove_file(at("masks/state.json")).unwrap();
    refused(by_loss("out"), &["no state.json"]);
    fresh();
    fs::remove_file(at("masks/c.txt.arrow")).unwrap();
    refused_without_hint(by_loss("out"), &["c.txt.arrow: cannot be read"]);
    fresh();
    let damaged = at("masks/c.txt.arrow");
    let mut bytes = fs::read(&damaged).unwrap();
    let cut = bytes.len() - 200;
    bytes.truncate(cut);
    fs::write(&damaged, bytes).unwrap();
    refused_without_hint(by_loss("out"), &["c.txt.arrow"]);

    fresh();
    by_loss("done").ends_with(0);
    let other = Run::select(
        &at("masks"),
        &at("done"),
        &["--by", "loss", "--keep", "0.5"],
    );
    refused(other, &["--keep: 0.7 before, 0.5 now", "--restart"]);
    let again = by_loss("done").ends_with(0);
    assert!(again.stderr.contains("done already"), "{}", again.stderr);
    fs::write(
        at("masks/c.txt.arrow"),
        fs::read(at("masks/c.txt.arrow")).unwrap(),
    )
    .unwrap();
    refused(by_loss("done"), &["input.c.txt.arrow.modified"]);
    let over = Run::select(
        &at("masks"),
        &at("done"),
        &["--by", "loss", "--keep", "0.5", "--restart"],
    );
    over.ends_with(0);
    let said = metadata(&at("done"), "c.txt");
    assert_eq!(said["selections"][0]["keep_lowest"], 0.5);
    // `select` must not remove scores.
    let copy = at("scored");
    Run::score(Path::new("examples/corpus/texts/page.txt"), &copy).ends_with(0);
    let into = Run::select(&at("masks"), &copy, &["--by", "loss", "--restart"]);
    refused(into, &["one that `score` writes"]);
    refused(Run::new(&["finish"]).arg(at("done")), &["one of `select`"]);
}

#[track_caller]
fn refused_without_hint(run: Run, expected: &[&str]) {
    let ended = run.ends_with(2);
    for text in expected {
        assert!(ended.stderr.contains(text), "{text:?}: {}", ended.stderr);
    }
}
