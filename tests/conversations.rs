//! Conversations as tokens and targets, against `apply_chat_template` of the real Transformers: the same text byte for
//! byte, the same ids, the same targets, on templates in the form of many vendors.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rho_mask::tokenization::{Tokenization, TokenizerFiles};
use rho_mask::{
    cli::{MessagesStyle, TargetRule as Targets},
    conversations::{Conversations, Targeted},
};
use serde_json::{Value, json};

use crate::support::{
    Run, demo,
    python::{python, python_or_skip},
    root,
};

fn targets(name: &str) -> Targets {
    match name {
        "assistant" => Targets::Assistant,
        "last-assistant" => Targets::LastAssistant,
        _ => Targets::All,
    }
}

/// What came of a case that differs from what should.
fn difference(case: &Value, got: Result<Targeted, String>) -> Option<String> {
    let failed = case["error"].as_str().or(case["rejected"].as_str());
    match (failed, got) {
        (Some(_), Err(reason)) => reason.is_empty().then(|| "no reason".to_owned()),
        (Some(failed), Ok(_)) => Some(format!("expected an error ({failed}), got tokens")),
        (None, Err(reason)) => Some(format!("expected tokens, got: {reason}")),
        (None, Ok(got)) => {
            if case["text"] != got.text.as_str() {
                return Some(format!(
                    "expected the text {}, got {:?}",
                    case["text"], got.text
                ));
            }
            if case["ids"] != serde_json::json!(got.tokens) {
                return Some(format!(
                    "expected the ids {}, got {:?}",
                    case["ids"], got.tokens
                ));
            }
            let expected: Option<Vec<bool>> = serde_json::from_value(case["mask"].clone()).unwrap();
            (expected != got.target).then(|| {
                format!(
                    "expected the targets {expected:?}, got {:?} for {:?}",
                    got.target, got.text
                )
            })
        }
    }
}

#[test]
fn texts_ids_and_targets_are_those_of_transformers() {
    let Some(python) = python_or_skip("tests/requirements-transformers.txt") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    write(&python, folder.path(), &[]);
    let cases = fs::read_to_string(folder.path().join("cases.jsonl")).unwrap();
    let mut loaded = BTreeMap::new();
    let (mut wrong, mut right) = (Vec::new(), BTreeMap::new());
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let [name, title, rule] =
            ["template", "title", "targets"].map(|key| case[key].as_str().unwrap());
        let (tokenization, conversations) = loaded
            .entry((name.to_owned(), rule.to_owned()))
            .or_insert_with(|| load(&folder.path().join(name), rule));
        let messages = case["messages"].as_str().unwrap();
        let got = conversations.tokenize(tokenization, messages, case["tools"].as_str());
        let rejected = got.is_err();
        match difference(&case, got) {
            Some(difference) => wrong.push(format!("{name}, {title}, {rule}: {difference}")),
            None if rejected => {}
            None => *right.entry(name.to_owned()).or_insert(0) += 1,
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.lines().count(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    // All templates, and most conversations of each.
    assert!(
        right.len() >= 20 && right.values().all(|&cases| cases >= 50),
        "{right:?}"
    );
}

/// Writes the tokenizers and the cases.
fn write(python: &Path, folder: &Path, templates: &[&str]) {
    let script = root().join("tests/conversations.py");
    let mut command = Command::new(python);
    command.arg("-I").arg(script).arg("write").arg(folder);
    ran(command.args(templates));
}

fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn scored_conversations_have_the_targets_of_transformers() {
    let Some((python, datasets)) =
        python_or_skip("tests/requirements-transformers.txt").zip(python())
    else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    write(&python, place.path(), &["alpaca"]);
    let cases = fs::read_to_string(place.path().join("cases.jsonl")).unwrap();
    let cases = cases
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut rows = Vec::new();
    for case in cases.filter(|case| case["targets"] == "assistant") {
        if case["mask"]
            .as_array()
            .is_some_and(|mask| mask.contains(&true.into()))
        {
            // As they are written: the order of the keys counts where a template prints an object.
            let [messages, tools] =
                ["messages", "tools"].map(|key| case[key].as_str().unwrap_or("null"));
            let id = json!(format!("{} {}", case["title"], rows.len()));
            rows.push(format!(
                r#"{{"id": {id}, "messages": {messages}, "tools": {tools}}}"#
            ));
        }
    }
    let corpus = place.path().join("conversations.jsonl");
    fs::write(&corpus, rows.join("\n")).unwrap();
    let masks = place.path().join("masks");
    Run::score(&corpus, &masks)
        .args(&["--messages-field", "messages", "--model"])
        .arg(demo())
        .arg("--tokenizer")
        .arg(place.path().join("alpaca"))
        .ends_with(0);
    let mut check = Command::new(datasets);
    let script = root().join("tests/conversations.py");
    check
        .arg("-I")
        .arg(script)
        .arg("check")
        .args([&masks, place.path()]);
    assert_eq!(ran(&mut check).trim(), rows.len().to_string());
    assert!(rows.len() > 30, "{}", rows.len());
}

fn load(folder: &Path, rule: &str) -> (Tokenization, Conversations) {
    let files = TokenizerFiles::open(folder).unwrap();
    let tokenization = Tokenization::of(files.tokenizer().unwrap());
    let conversations = Conversations::load(&files, None, MessagesStyle::OpenAi, targets(rule));
    (tokenization, conversations.unwrap())
}
