//! Tests files beside the demonstration's tokenizer against Transformers: what is added, refused and left unchanged.

#[rustfmt::skip]
#[path = "cases.rs"]
mod cases;

use std::fs;

use super::*;

/// Files beside tokenizer.json, empty if they do not exist, and the ids that Transformers gives.
pub(super) struct Case {
    name: &'static str,
    config: &'static str,
    special: &'static str,
    added: &'static str,
    ids: &'static [u32],
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/tokenizer.json")
}

/// A folder with the demonstration's tokenizer and these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(demo(), folder.path().join(NAME)).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn ids(files: &TokenizerFiles, text: &str) -> Vec<u32> {
    let tokenizer = files.tokenizer().unwrap();
    tokenizer
        .encode_fast(text, false)
        .unwrap()
        .get_ids()
        .to_vec()
}

#[test]
fn ids_are_those_of_transformers() {
    for case in cases::CASES {
        let beside = [
            (CONFIG, case.config),
            (SPECIAL, case.special),
            (ADDED, case.added),
        ];
        let beside: Vec<_> = beside
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let folder = folder(&beside);
        let files = TokenizerFiles::open(folder.path()).unwrap();
        assert_eq!(ids(&files, cases::TEXT), case.ids, "{}", case.name);

        // The effective file needs no other file, and is its own effective file.
        let alone = tempfile::tempdir().unwrap();
        fs::write(alone.path().join(NAME), files.text()).unwrap();
        let again = TokenizerFiles::open(alone.path()).unwrap();
        assert_eq!(again.text(), files.text(), "{}", case.name);
        assert_eq!(again.fingerprint(), files.fingerprint());
        assert!(again.sources().is_empty() && again.notes().is_empty());

        // A file of another name is used alone.
        let other = folder.path().join("other.json");
        fs::copy(demo(), &other).unwrap();
        let other = TokenizerFiles::open(&other).unwrap();
        assert_eq!(other.text(), fs::read(demo()).unwrap());
        let same = other.text() == files.text();
        assert_eq!(same, other.fingerprint() == files.fingerprint());
        assert_eq!(same, files.notes().is_empty() && files.sources().is_empty());
    }
}

#[test]
fn ids_in_the_text_are_those_of_the_tokenizer() {
    let config = r#"{"added_tokens_decoder": {"2048": {"content": "<x>"}, "2049": {"content": "\"[PAD]\n", "special": true}}}"#;
    let folder = folder(&[(CONFIG, config)]);
    let files = TokenizerFiles::open(folder.path()).unwrap();
    let json: Value = serde_json::from_slice(files.text()).unwrap();
    let tokenizer = files.tokenizer().unwrap();
    let added = json["added_tokens"].as_array().unwrap();
    assert_eq!(added.len(), 4);
    for token in added {
        let id = tokenizer.token_to_id(token["content"].as_str().unwrap());
        assert_eq!(id.map(u64::from), token["id"].as_u64(), "{token}");
    }
    assert_eq!(files.sources().keys().collect::<Vec<_>>(), [NAME, CONFIG]);
    let notes = files.notes().join("\n");
    assert!(
        notes.ends_with(r#"uses added tokens of tokenizer_config.json: "<x>", "\"[PAD]\n""#),
        "{notes}"
    );
    // Everything but the list stays unchanged.
    let mut before: Value = serde_json::from_slice(&fs::read(demo()).unwrap()).unwrap();
    before["added_tokens"] = json["added_tokens"].clone();
    assert_eq!(before, json);
}

#[test]
fn dropout_is_turned_off() {
    let text = fs::read_to_string(demo()).unwrap();
    let with = |dropout: &str| {
        let folder = tempfile::tempdir().unwrap();
        let text = text.replace("\"dropout\":null", &format!("\"dropout\":{dropout}"));
        fs::write(folder.path().join(NAME), &text).unwrap();
        (text, TokenizerFiles::open(folder.path()).unwrap())
    };
    let (_, without) = with("null");
    let (written, files) = with("0.3");
    assert!(written.contains("\"dropout\":0.3"));
    assert_eq!(ids(&files, cases::TEXT), ids(&without, cases::TEXT));
    let notes = files.notes().join("\n");
    assert!(
        notes.ends_with(
            "has BPE dropout 0.3: turned off, so that tokens depend only on the document"
        ),
        "{notes}"
    );
    assert_ne!(files.fingerprint(), without.fingerprint());
    assert_eq!(files.sources().keys().collect::<Vec<_>>(), [NAME]);
    // No dropout, and dropout that the crate refuses.
    for same in ["0.0", "2.0"] {
        let (written, files) = with(same);
        assert_eq!(files.text(), written.as_bytes());
        assert!(files.notes().is_empty());
        assert_eq!(files.tokenizer().is_ok(), same == "0.0");
    }
}

#[test]
fn what_could_change_ids_is_refused_by_name() {
    // Python lines: AutoTokenizer.from_pretrained(folder), which crashes, or gives other ids than the file names, or other
    // ids than tokenizer.json alone.
    for (name, text, words) in [
        (
            CONFIG,
            r#"{"split_special_tokens": true}"#,
            &["split_special_tokens: true"][..],
        ),
        (
            CONFIG,
            r#"{"fix_mistral_regex": true}"#,
            &["fix_mistral_regex: true"],
        ),
        (
            CONFIG,
            r#"{"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}"#,
            &["fast_tokenizer_files"],
        ),
        (
            CONFIG,
            r#"{"auto_map": {"AutoTokenizer": ["own.OwnTokenizer", null]}}"#,
            &["auto_map", "own.OwnTokenizer"],
        ),
        (CONFIG, r#"{"never_heard_of": 1}"#, &["never_heard_of: 1"]),
        (
            CONFIG,
            r#"{"pad_token": 3}"#,
            &["pad_token: expected a text or an AddedToken, got 3"],
        ),
        (
            CONFIG,
            r#"{"pad_token": {"content": "<x>"}}"#,
            &["pad_token"],
        ),
        (
            CONFIG,
            r#"{"extra_special_tokens": [{"content": "<x>"}]}"#,
            &["extra_special_tokens", "AddedTokens"],
        ),
        (
            CONFIG,
            r#"{"added_tokens_decoder": {"2048": "<x>"}}"#,
            &["added_tokens_decoder", "2048"],
        ),
        (
            CONFIG,
            r#"{"added_tokens_decoder": {"a": {"content": "<x>"}}}"#,
            &["expected ids, got \"a\""],
        ),
        (
            CONFIG,
            r#"{"added_tokens_decoder": null}"#,
            &["added_tokens_decoder"],
        ),
        (
            CONFIG,
            r#"{"pad_token": "<x>", "pad_token": "<y>"}"#,
            &["duplicate key \"pad_token\""],
        ),
        (CONFIG, "[]", &["expected an object of settings"]),
        // Transformers gives 2048, whatever id is in the file.
        (
            CONFIG,
            r#"{"added_tokens_decoder": {"2050": {"content": "<x>"}}}"#,
            &[
                "expected the token \"<x>\" to have the id 2050",
                "got 2048 with tokenizer.json",
            ],
        ),
        // A word of the vocabulary keeps its id.
        (
            CONFIG,
            r#"{"added_tokens_decoder": {"2048": {"content": "one"}}}"#,
            &["\"one\"", "2048", "1002"],
        ),
        // The id of another token.
        (
            CONFIG,
            r#"{"added_tokens_decoder": {"0": {"content": "<x>"}}}"#,
            &["\"<x>\"", "id 0", "2048"],
        ),
        (
            SPECIAL,
            r#"{"additional_special_tokens": [{"content": "<x>"}]}"#,
            &["additional_special_tokens"],
        ),
        (
            SPECIAL,
            r#"{"pad_token": true}"#,
            &["pad_token: expected a special token, got true"],
        ),
        (ADDED, r#"{"<x>": "2048"}"#, &["<x>: expected an id"]),
        (
            ADDED,
            r#"{"<x>": 2048, "<y>": 2048}"#,
            &["one token for each id", "2048"],
        ),
        (ADDED, r#"{"<x>": 0}"#, &["\"<s>\" and \"<x>\" for 0"]),
        (
            ADDED,
            r#"{"<x>": 2049}"#,
            &["added_tokens.json", "2049", "2048"],
        ),
        (ADDED, "[\"<x>\"]", &["expected an object of settings"]),
    ] {
        let folder = folder(&[(name, text)]);
        let error = TokenizerFiles::open(folder.path()).unwrap_err();
        let said = crate::hinted_error::chain_of(&error);
        assert!(said.contains(name), "{said}");
        for word in words {
            assert!(said.contains(word), "expected {word:?} in {said}");
        }
        // The workaround in the hint.
        let other = folder.path().join("alone.json");
        fs::copy(demo(), &other).unwrap();
        assert!(TokenizerFiles::open(&other).is_ok());
    }
}

#[test]
fn a_token_never_shares_its_id_with_a_word() {
    // The vocabulary has two entries, so the next id is 2; Transformers gives both texts the id 2.
    let text = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 2}, "unk_token": "a"}}"#;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(NAME), text).unwrap();
    fs::write(folder.path().join(CONFIG), r#"{"pad_token": "[PAD]"}"#).unwrap();
    let said = TokenizerFiles::open(folder.path()).unwrap_err().to_string();
    assert!(
        said.contains("\"[PAD]\", which is not in tokenizer.json, got 2, which is \"b\""),
        "{said}"
    );
}

#[test]
fn settings_without_effect_change_nothing() {
    let config = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": false, "add_prefix_space": true, "chat_template": "x",
        "bos_token": "<s>", "eos_token": "</s>", "pad_token": null, "split_special_tokens": false, "model_max_length": 1e30,
        "clean_up_tokenization_spaces": true, "auto_map": {"AutoTokenizer": [null, null]}, "legacy": true,
        "added_tokens_decoder": {"0": {"content": "<s>", "special": true, "normalized": false}}}"#;
    let folder = folder(&[
        (CONFIG, config),
        (SPECIAL, "never read"),
        (ADDED, "never read"),
    ]);
    let files = TokenizerFiles::open(folder.path()).unwrap();
    assert_eq!(files.text(), fs::read(demo()).unwrap());
    assert!(files.notes().is_empty() && files.sources().is_empty());
}
