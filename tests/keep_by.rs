//! `--keep-by`: keep ratios of single sources, in `select` and `score`, against sorting everything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::ScoreType;
use serde_json::{Value, json};

use crate::support::{Run, masks::masks, python::python, root, write};

const ORACLE: &str = include_str!("keep_by.py");

#[track_caller]
fn are_right(cases: &[(PathBuf, Value)]) {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .args(["-c", ORACLE])
        .arg(serde_json::to_string(cases).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The scopes, with the options for them.
fn scopes() -> [(&'static str, u64, &'static [&'static str]); 4] {
    [
        ("document", 1 << 20, &["--scope", "document"]),
        ("batch", 333, &["--batch", "333"]),
        ("batch", 1 << 20, &[]),
        ("corpus", 1 << 20, &["--scope", "corpus"]),
    ]
}

#[test]
fn sources_are_ranked_by_themselves() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("wide"), ScoreType::Float32);
    masks(&at("narrow"), ScoreType::Float16);
    // The same masks with a column of sources.
    let corpus = at("corpus");
    let mut text = String::new();
    let pages = fs::read_to_string(root().join("examples/corpus/pages.jsonl")).unwrap();
    for (i, line) in pages.lines().take(60).enumerate() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        if i % 4 > 0 {
            row["kind"] = json!(["web", "a,b", "c=d"][i % 3]);
        }
        text += &(row.to_string() + "\n");
    }
    write(&corpus.join("pages.jsonl"), text);
    write(&corpus.join("one.txt"), "a text whose source is unknown");
    Run::score(&corpus, &at("sources"))
        .args(&["--source-field", "kind"])
        .ends_with(0);
    let mut made = Vec::new();
    for (masks, by, options) in [
        (
            "wide",
            json!({"d.jsonl": 0.25, "c.txt": 1.0}),
            "d.jsonl=.25,c.txt=1",
        ),
        ("narrow", json!({"b/two.jsonl": 0.0}), "b/two.jsonl=0"),
        (
            "sources",
            json!({"web": 0.4, "a,b": 0.9, "c=d": 0.05}),
            "web=.4,\"a,b\"=90%,c=d=.05",
        ),
    ] {
        for (scope, batch, scoped) in scopes() {
            let mut rules = vec![
                (&["--by", "loss"][..], json!({"loss": 1})),
                (&["--by", "intersection"], json!({"loss": 1, "entropy": 1})),
            ];
            if masks == "wide" {
                // Of equal scores, the earlier is kept: there are many.
                rules.push((&["--by", "excess"], json!({})));
            }
            for (rule, scores) in rules {
                let out = at(&format!("out-{}", made.len()));
                let ended = Run::new(&["select", "--keep", "0.6", "--threads", "3"])
                    .args(rule)
                    .args(scoped)
                    .args(&["--keep-by", options, "--out"])
                    .arg(&out)
                    .arg(at(masks))
                    .ends_with(0);
                let first = by.as_object().unwrap().keys().next().unwrap();
                assert!(ended.stderr.contains(first), "{}", ended.stderr);
                let mut case = json!({"scope": scope, "batch": batch, "scores": scores, "by": by, "keep": 0.6});
                if rule[1] == "intersection" {
                    case["intersection"] = json!(true);
                }
                made.push((out, case));
            }
        }
    }
    are_right(&made);
    // Other threads, the same bits.
    for (out, arguments) in [("x", ["--threads", "1"]), ("y", ["--threads", "7"])] {
        Run::new(&[
            "select",
            "--by",
            "loss",
            "--scope",
            "corpus",
            "--keep-by",
            "web=.4",
            "--out",
        ])
        .arg(at(out))
        .arg(at("sources"))
        .args(&arguments)
        .ends_with(0);
    }
    Run::new(&["diff"]).arg(at("x")).arg(at("y")).ends_with(0);
}

/// `score` keeps what `select` keeps from its scores.
#[test]
fn score_keeps_what_select_keeps() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let corpus = at("corpus");
    let line = |i: usize| {
        let text = "some words of a text ".repeat(i % 7 + 1);
        let source = [json!("web"), json!("code"), json!(null)][i % 3].clone();
        json!({"text": format!("{text}{i}"), "source": source}).to_string() + "\n"
    };
    write(
        &corpus.join("a.jsonl"),
        (0..40).map(line).collect::<String>(),
    );
    write(
        &corpus.join("b.jsonl"),
        (5..25).map(line).collect::<String>(),
    );
    let mut made = Vec::new();
    for (i, (scope, batch, scoped)) in scopes().into_iter().enumerate() {
        let options = [
            "--keep",
            "0.5",
            "--keep-by",
            "code=0.2",
            "--keep-by",
            "web=0.9",
        ];
        let out = at(&format!("score-{i}"));
        let ended = Run::score(&corpus, &out)
            .args(&["--source-field", "source"])
            .args(&options)
            .args(scoped)
            .ends_with(0);
        assert!(ended.stderr.contains("code: "), "{}", ended.stderr);
        let case = json!({
            "scope": scope, "batch": batch, "scores": {"loss": 1, "entropy": 1}, "keep": 0.5,
            "by": {"code": 0.2, "web": 0.9}, "intersection": true,
        });
        made.push((out.clone(), case));
        let again = at(&format!("select-{i}"));
        Run::new(&["select", "--by", "intersection", "--out"])
            .arg(&again)
            .arg(&out)
            .args(&options)
            .args(scoped)
            .ends_with(0);
        Run::new(&["diff"]).arg(&out).arg(&again).ends_with(0);
        let report = at(&format!("report-{i}.html"));
        Run::new(&["report", "--out"])
            .arg(&report)
            .arg(&out)
            .ends_with(0);
        let page = fs::read_to_string(&report).unwrap();
        assert!(page.contains("by source: code 20"), "the rule in words");
    }
    are_right(&made);
}

#[test]
fn unknown_sources_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    let select = |arguments: &[&str]| {
        Run::new(&["select"])
            .arg(at("masks"))
            .arg("--out")
            .arg(at("out"))
            .args(arguments)
    };
    for (arguments, expected) in [
        (
            &["--by", "loss", "--keep-by", "d.json=0.5"][..],
            "the closest source is \"d.jsonl\"",
        ),
        (
            &["--by", "loss", "--keep-by", "d.jsonl"],
            "expected SOURCE=RATIO",
        ),
        (&["--by", "loss", "--keep-by", "d.jsonl=1.5"], "from 0 to 1"),
        (
            &[
                "--by",
                "threshold",
                "--below",
                "1",
                "--keep-by",
                "d.jsonl=.5",
            ],
            "--keep-by: expected an option that belongs",
        ),
        (
            &[
                "--by",
                "excess",
                "--weights",
                "rank",
                "--keep-by",
                "d.jsonl=.5",
            ],
            "--keep-by: expected an option that belongs",
        ),
    ] {
        let ended = select(arguments).ends_with(2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert!(!at("out").exists());
    }
    // The shards of a corpus are known before anything is scored; the values of a field are not.
    write(
        &at("c/a.jsonl"),
        "{\"text\": \"some words\", \"s\": \"x\"}\n",
    );
    let score = |out: &str| Run::score(Path::new(&at("c")), &at(out)).args(&["--keep-by", "y=0.5"]);
    let ended = score("scored").ends_with(2);
    assert!(
        ended.stderr.contains("closest source is \"a.jsonl\""),
        "{}",
        ended.stderr
    );
    for (out, scope) in [("batch", "batch"), ("corpus", "corpus")] {
        let ended = score(out)
            .args(&["--source-field", "s", "--scope", scope])
            .ends_with(0);
        assert!(
            ended.stderr.contains("no document has the source y"),
            "{}",
            ended.stderr
        );
    }
}
