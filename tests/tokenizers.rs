//! The files of a tokenizer: tokens outside tokenizer.json, randomness in it, and tokens outside the model's
//! vocabulary.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Run, demo, metadata, read_json, rows,
    tiny::{tiny_of, with_tokenizer},
    token_lines, write,
};

// Python, Transformers 5.16.1, in a folder with the demonstration's tokenizer.json and CONFIG as tokenizer_config.json:
//   AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
const TEXT: &str = "one [PAD] two  <x> three";
const CONFIG: &str = r#"{"added_tokens_decoder": {
    "2048": {"content": "[PAD]", "lstrip": false, "rstrip": false, "single_word": false, "normalized": false, "special": true},
    "2049": {"content": "<x>", "lstrip": true, "rstrip": false, "single_word": false, "normalized": false, "special": true}}}"#;
const IDS: [u32; 8] = [0, 1002, 222, 2048, 543, 2049, 553, 1];
/// Without CONFIG.
const ALONE: [u32; 16] = [
    0, 1002, 222, 60, 49, 34, 37, 62, 543, 222, 222, 29, 89, 31, 553, 1,
];

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model of this vocabulary with the demonstration's tokenizer, and a corpus of these texts.
fn model(place: &Path, vocabulary: usize, texts: &[&str]) -> (PathBuf, PathBuf) {
    let folder = place.join("model");
    with_tokenizer(&folder);
    tiny_of(&folder, vocabulary);
    let lines = texts
        .iter()
        .map(|text| json!({"text": text}).to_string() + "\n");
    let corpus = place.join("corpus.jsonl");
    write(&corpus, lines.collect::<String>());
    (folder, corpus)
}

fn score(corpus: &Path, model: &Path, out: &Path) -> Run {
    Run::score(corpus, out).arg("--model").arg(model)
}

/// The token ids of each row.
fn ids(out: &Path) -> Vec<Vec<u32>> {
    let rows = rows(out, "corpus.jsonl").into_iter();
    rows.map(|row| row.input_ids).collect()
}

#[test]
fn tokens_of_tokenizer_config_json_are_taken_in() {
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(place.path(), 2050, &[TEXT]);
    write(&model.join("tokenizer_config.json"), CONFIG);
    let out = place.path().join("masks");
    let ended = score(&corpus, &model, &out).ends_with(0);
    assert_eq!(ids(&out), [IDS]);
    let note = "tokenizer.json: uses added tokens of tokenizer_config.json: \"[PAD]\", \"<x>\"";
    assert!(ended.stderr.contains(note), "{}", ended.stderr);

    // The masks hold the tokenizer that was used, and record its files.
    let said = &metadata(&out, "corpus.jsonl")["tokenizer"];
    assert_eq!(said["fingerprint"], sha256(&out.join("tokenizer.json")));
    let expected = json!({
        "tokenizer.json": sha256(&demo().join("tokenizer.json")),
        "tokenizer_config.json": sha256(&model.join("tokenizer_config.json")),
    });
    assert_eq!(said["files"], expected);
    let show = |tokenizer: Option<&Path>| {
        let run = Run::new(&["show", "--numbers"]).arg(&out);
        tokenizer
            .into_iter()
            .fold(run, |run, path| run.arg("--tokenizer").arg(path))
    };
    for tokenizer in [None, Some(model.as_path())] {
        let shown = show(tokenizer).ends_with(0).stdout;
        for text in ["[PAD]", "<x>"] {
            assert!(shown.lines().any(|line| line.contains(text)), "{shown}");
        }
    }
    let other = show(Some(&demo())).ends_with(2);
    assert!(other.stderr.contains("expected the tokenizer of the masks"));

    // A file with another name is used without the files beside it, and the masks record it unchanged.
    let named = model.join("alone.json");
    fs::copy(model.join("tokenizer.json"), &named).unwrap();
    let out = place.path().join("alone");
    score(&corpus, &model, &out)
        .arg("--tokenizer")
        .arg(&named)
        .ends_with(0);
    assert_eq!(ids(&out), [ALONE]);
    let said = &metadata(&out, "corpus.jsonl")["tokenizer"];
    let fingerprint = sha256(&demo().join("tokenizer.json"));
    assert_eq!(said, &json!({"fingerprint": fingerprint}));
    Run::new(&["show"])
        .arg(&out)
        .arg("--tokenizer")
        .arg(&model)
        .ends_with(0);
}

#[test]
fn a_tokenizer_of_the_files_is_another_one() {
    let place = tempfile::tempdir().unwrap();
    let (first, corpus) = model(place.path(), 2050, &[TEXT]);
    let second = place.path().join("second");
    with_tokenizer(&second);
    tiny_of(&second, 2050);
    write(&second.join("added_tokens.json"), r#"{"[PAD]": 2048}"#);
    let both = |out: &str| {
        score(&corpus, &first, &place.path().join(out))
            .arg("--model")
            .arg(&second)
    };
    let refused = both("two").ends_with(2);
    assert!(
        refused.stderr.contains("expected the tokenizer of"),
        "{}",
        refused.stderr
    );
    both("one").arg("--tokenizer").arg(&first).ends_with(0);
}

#[test]
fn dropout_is_off_and_said() {
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(
        place.path(),
        2048,
        &[
            TEXT,
            "The same tokens each time, whatever was left out in training",
        ],
    );
    let plain = place.path().join("plain");
    score(&corpus, &model, &plain).ends_with(0);
    let mut tokenizer = read_json(&model.join("tokenizer.json"));
    tokenizer["model"]["dropout"] = json!(0.5);
    write(&model.join("tokenizer.json"), tokenizer.to_string());
    for run in ["first", "second"] {
        let out = place.path().join(run);
        let ended = score(&corpus, &model, &out).ends_with(0);
        assert_eq!(ids(&out), ids(&plain));
        assert!(
            ended.stderr.contains("has BPE dropout 0.5: turned off"),
            "{}",
            ended.stderr
        );
        let put = read_json(&out.join("tokenizer.json"));
        assert_eq!(put["model"]["dropout"], Value::Null);
        assert_eq!(
            metadata(&out, "corpus.jsonl")["tokenizer"]["fingerprint"],
            sha256(&out.join("tokenizer.json"))
        );
    }
}

#[test]
fn only_documents_with_tokens_beyond_the_embedding_are_rejected() {
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(place.path(), 2049, &["plain text", TEXT, "one [PAD]"]);
    write(&model.join("tokenizer_config.json"), CONFIG);
    let out = place.path().join("masks");
    score(&corpus, &model, &out)
        .args(&["--max-rejected", "0.5"])
        .ends_with(1);
    assert_eq!(ids(&out).len(), 2);
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    let line: Value = serde_json::from_str(rejected.trim()).unwrap();
    let reason = "token 5: expected an id below the vocabulary of 2049, got 2049 (\"<x>\")";
    assert_eq!(
        line,
        json!({"shard": "corpus.jsonl", "row": 1, "reason": reason})
    );

    // The same for token ids; none of the tokens has to be in a text.
    let tokens = place.path().join("tokens.jsonl");
    write(&tokens, token_lines(&[vec![5, 6, 7], vec![5, 2049, 7]]));
    let out = place.path().join("of-ids");
    score(&tokens, &model, &out)
        .args(&["--tokens-field", "input_ids", "--max-rejected", "0.5"])
        .ends_with(1);
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    assert!(
        rejected.contains(
            "token 1: expected an id below the vocabulary of 2049, got 2049 (\\\"<x>\\\")"
        ),
        "{rejected}"
    );
}

#[test]
fn a_tokenizer_smaller_than_the_embedding_is_fine() {
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(place.path(), 8192, &[TEXT]);
    let out = place.path().join("masks");
    score(&corpus, &model, &out).ends_with(0);
    assert_eq!(ids(&out), [ALONE]);
}

#[test]
fn settings_that_are_not_followed_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(place.path(), 2048, &[TEXT]);
    write(
        &model.join("tokenizer_config.json"),
        r#"{"split_special_tokens": true}"#,
    );
    let out = place.path().join("masks");
    let ended = score(&corpus, &model, &out).ends_with(2);
    for words in [
        "tokenizer_config.json: expected settings whose effect",
        "split_special_tokens: true",
        "hint: ",
        "--tokenizer",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert!(!out.exists());
}

#[test]
fn parts_that_a_class_of_transformers_builds_anew_are_noted() {
    // Python, Transformers 5.16.1, tokenizer.json with Digits before ByteLevel, and these settings beside it:
    //   AutoTokenizer.from_pretrained(folder) is a GPT2Tokenizer, whose pre-tokenizer is ByteLevel alone.
    let place = tempfile::tempdir().unwrap();
    let (model, corpus) = model(place.path(), 2048, &["12 apples"]);
    let mut tokenizer = read_json(&model.join("tokenizer.json"));
    let bytes = tokenizer["pre_tokenizer"].clone();
    let digits = json!({"type": "Digits", "individual_digits": true});
    tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [digits, bytes]});
    write(&model.join("tokenizer.json"), tokenizer.to_string());
    write(
        &model.join("tokenizer_config.json"),
        r#"{"tokenizer_class": "GPT2Tokenizer"}"#,
    );
    let out = place.path().join("masks");
    let ended = score(&corpus, &model, &out).ends_with(0);
    let note = "uses the pre-tokenizer of tokenizer.json; Transformers 5 uses";
    assert!(ended.stderr.contains(note), "{}", ended.stderr);
    let fingerprint = &metadata(&out, "corpus.jsonl")["tokenizer"]["fingerprint"];
    assert_eq!(fingerprint, &sha256(&model.join("tokenizer.json")));
}
