//! Tests the fast tokenizer against the tokenizers crate: the same words and the same ids.

use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, Tokenizer,
    utils::SysRegex,
};

use super::{
    Words, characters,
    classes::{Classes, LETTER, NUMBER, OTHER, SPACE},
    patterns::{CL100K, GPT2, QWEN2},
};

/// The pattern of GPT-4o, which has no hand-written matcher.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn pattern(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

fn digits(each: bool) -> Value {
    json!({"type": "Digits", "individual_digits": each})
}

fn sequence(all: &[Value]) -> Value {
    json!({"type": "Sequence", "pretokenizers": all})
}

/// Every supported kind of pre-tokenizer.
fn pre_tokenizers() -> Vec<Value> {
    let by = |text: &str| sequence(&[pattern(text), byte_level(false)]);
    vec![
        byte_level(true),
        by(GPT2),
        by(CL100K),
        by(QWEN2),
        by(O200K),
        sequence(&[digits(true), byte_level(true)]),
        sequence(&[digits(false), byte_level(true)]),
        sequence(&[
            pattern(r"[\r\n]"),
            pattern(r"\s?\p{L}+"),
            digits(true),
            byte_level(false),
        ]),
        byte_level(false),
    ]
}

/// A tokenizer with a vocabulary of all bytes and some merges.
fn tokenizer(pre_tokenizer: &Value, others: Value) -> Tokenizer {
    let bytes = characters();
    let mut vocabulary: Vec<String> = bytes.iter().map(|c| c.to_string()).collect();
    let mut merges = vec![];
    for (a, b) in [
        ("Ġ", "t"),
        ("h", "e"),
        ("Ġt", "he"),
        ("r", "e"),
        ("'", "re"),
        ("'", "s"),
        ("1", "2"),
        ("Ġ", "Ġ"),
        ("ĠĠ", "ĠĠ"),
        ("Ã", "©"),
        ("Ċ", "Ċ"),
    ] {
        merges.push([a, b]);
        vocabulary.push(format!("{a}{b}"));
    }
    let vocabulary: serde_json::Map<_, _> = (0..)
        .zip(vocabulary)
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let mut whole = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "post_processor": null, "pre_tokenizer": pre_tokenizer,
        "added_tokens": [added(300, "<|end|>", false), added(301, "<|end|>>", true), added(302, "ab", true)],
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges,
        },
    });
    for (name, value) in others.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole.to_string().parse().unwrap()
}

fn added(id: u32, content: &str, normalized: bool) -> Value {
    json!({"id": id, "content": content, "normalized": normalized, "special": true, "single_word": false,
        "lstrip": false, "rstrip": false})
}

/// Checks that the words are those of the crate's pre-tokenizer.
fn same_pieces(tokenizer: &Tokenizer, words: &Words, text: &str) {
    let mut theirs = PreTokenizedString::from(text);
    let pre_tokenizer = tokenizer.get_pre_tokenizer().unwrap();
    pre_tokenizer.pre_tokenize(&mut theirs).unwrap();
    let theirs = theirs.get_splits(OffsetReferential::Original, OffsetType::Byte);
    let mut theirs = theirs.iter().map(|(_, offsets, _)| *offsets);
    words.steps.split(text, &mut |start, end| {
        assert_eq!(Some((start, end)), theirs.next(), "in {text:?}");
    });
    assert_eq!(theirs.next(), None, "in {text:?}");
}

/// Checks that the ids are those of the crate.
fn same_ids(tokenizer: &Tokenizer, words: &Words, text: &str) {
    let theirs = tokenizer.encode_fast(text, false).unwrap();
    // Twice: from the model, and from the cache.
    for _ in 0..2 {
        let mut ours = vec![];
        words.encode(tokenizer, text, &mut ours).unwrap();
        assert_eq!(ours, theirs.get_ids(), "of {text:?}");
    }
}

#[test]
fn every_character_has_one_class() {
    let classes = Classes::new().unwrap();
    for (pattern, class) in [
        (r"\p{L}", LETTER),
        (r"\p{N}", NUMBER),
        (r"\s", SPACE),
        (r"[^\s\p{L}\p{N}]", OTHER),
    ] {
        let regex = SysRegex::new(pattern).unwrap();
        let text: String = ('\0'..=char::MAX).collect();
        let matching = regex.find_iter(&text).map(|(start, _)| start);
        let ours = text.char_indices().map(|(start, _)| start);
        let ours = ours.filter(|&start| classes.at(text.as_bytes(), start).0 == class);
        assert!(ours.eq(matching), "{pattern}");
    }
}

#[test]
fn every_character_numeric_to_rust_is_known() {
    let classes = Classes::new().unwrap();
    let text: String = ('\0'..=char::MAX).collect();
    for (start, character) in text.char_indices() {
        let (numeric, length) = classes.numeric(text.as_bytes(), start);
        assert_eq!(numeric, character.is_numeric(), "{character:?}");
        assert_eq!(length, character.len_utf8());
    }
}

/// Each character of the first two planes, at positions where the patterns test single characters.
#[test]
fn every_character_splits_as_in_the_crate() {
    let by = |text: &str| sequence(&[pattern(text), byte_level(false)]);
    let digits = sequence(&[digits(true), byte_level(true)]);
    for pre_tokenizer in [by(CL100K), byte_level(true), digits] {
        let tokenizer = tokenizer(&pre_tokenizer, json!({}));
        let words = Words::of(&tokenizer).unwrap();
        let all: Vec<char> = ('\0'..='\u{1ffff}').collect();
        for some in all.chunks(5_000) {
            let around = |c: &char| format!("x'{c}e '{c}a  {c}1'l{c}\n");
            same_pieces(
                &tokenizer,
                &words,
                &some.iter().map(around).collect::<String>(),
            );
        }
    }
}

#[test]
fn unknown_kinds_are_left_to_the_crate() {
    let gpt2 = byte_level(true);
    let prefixed = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let removed = json!({"type": "Split", "pattern": {"Regex": r"\s"}, "behavior": "Removed", "invert": false});
    let mut lstrip = added(300, "<|end|>", false);
    lstrip["lstrip"] = json!(true);
    let doubled = json!({"type": "TemplateProcessing", "pair": [], "special_tokens": {},
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
    for (pre_tokenizer, others) in [
        (prefixed, json!({})),
        (sequence(&[removed, byte_level(true)]), json!({})),
        (sequence(&[gpt2.clone(), digits(true)]), json!({})),
        (json!({"type": "Whitespace"}), json!({})),
        (Value::Null, json!({})),
        (gpt2.clone(), json!({"normalizer": {"type": "Lowercase"}})),
        (
            gpt2.clone(),
            json!({"normalizer": {"type": "NFC"}, "added_tokens": [added(300, "e\u{301}", true)]}),
        ),
        (gpt2.clone(), json!({"added_tokens": [lstrip]})),
        (gpt2, json!({"post_processor": doubled})),
    ] {
        assert!(
            Words::of(&tokenizer(&pre_tokenizer, others.clone())).is_none(),
            "{pre_tokenizer} {others}"
        );
    }
}

/// Some tokenizers have added tokens that are the same text once they are normalised. The ids are those of Hugging Face
/// tokenizers 0.22.2; version 0.23 refuses such a file.
#[test]
fn added_tokens_that_normalise_to_the_same_text_are_read() {
    let whole = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "NFKC"}, "decoder": null,
        "post_processor": null, "pre_tokenizer": null,
        "added_tokens": [added(2, "fi", true), added(3, "\u{fb01}", true)],
        "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "fi": 2, "\u{fb01}": 3}, "unk_token": "?"},
    });
    let tokenizer: Tokenizer = whole.to_string().parse().unwrap();
    for (text, ids) in [("fi", &[2][..]), ("\u{fb01}", &[2]), ("a fi", &[0, 2])] {
        assert_eq!(tokenizer.encode_fast(text, false).unwrap().get_ids(), ids);
    }
}

#[test]
fn a_word_that_is_too_long_is_an_error() {
    let tokenizer = tokenizer(&byte_level(true), json!({}));
    let words = Words::of(&tokenizer).unwrap();
    let text = "y".repeat(super::long_texts::LARGEST_WINDOW + 1);
    let said = words.encode(&tokenizer, &text, &mut vec![]).unwrap_err();
    assert!(
        said.to_string().contains("expected words of at most"),
        "{said}"
    );
}

/// More words of all lengths than the cache holds; then the first ones again.
#[test]
fn a_full_cache_stays_right_and_within_its_bound() {
    let tokenizer = tokenizer(&byte_level(true), json!({}));
    let words = Words::of(&tokenizer).unwrap();
    let text = |from: usize| -> String {
        (from..from + 12_000)
            .map(|i| format!(" {}{}", "the".repeat(i % 40), i * 7919))
            .collect()
    };
    for from in [0, 12_000, 24_000, 0] {
        same_ids(&tokenizer, &words, &text(from));
    }
    let caches = words.caches.lock().unwrap();
    assert_eq!(caches.len(), 1);
    assert!(caches[0].size() <= super::CACHE_BYTES);
}

/// Texts that patterns match, and random texts.
fn piece() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "'s",
        "'t",
        "'re",
        "'ve",
        "'m",
        "'ll",
        "'d",
        "'S",
        "'T",
        "'RE",
        "'vE",
        "'M",
        "'Ll",
        "'D",
        "'ſ",
        "'",
        "'r",
        "’s",
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\u{b}",
        "\u{c}",
        "\u{85}",
        "\u{a0}",
        "\u{1680}",
        "\u{2003}",
        "\u{2028}",
        "\u{2029}",
        "\u{202f}",
        "\u{205f}",
        "\u{3000}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "\u{1c}",
        "\u{180e}",
        "\0",
        "\u{301}",
        "e\u{301}",
        "é",
        "a",
        "the",
        " the",
        "Straße",
        "İ",
        "ǅ",
        "中文",
        "日本語",
        "한국어",
        "각",
        "क्षि",
        "ไทย",
        "🙂",
        "👨\u{200d}👩\u{200d}👧",
        "🇨🇭",
        "1",
        "12",
        "123",
        "1234",
        "1234567890",
        "٣",
        "½",
        "Ⅷ",
        "²",
        "〇",
        "万",
        "𝟘",
        "𐌰",
        ".",
        "...",
        "!?",
        "<|end|>",
        "<|end|>>",
        "<|en",
        "ab",
        "/",
        "-",
        "\u{fffd}",
        "\u{10ffff}",
        "\u{e000}",
        "\u{345}",
        "ﬆ",
        "K",
        "\u{1d165}",
    ];
    prop_oneof![
        6 => prop::sample::select(KNOWN).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => prop::char::range('\0', '\u{7f}').prop_map(String::from),
        1 => prop::char::range('\u{80}', '\u{ffff}').prop_map(String::from),
        1 => "[0-9]{1,10}",
        1 => "[ \\r\\n\\t]{1,6}",
        1 => "[a-zA-Z]{1,24}",
    ]
}

fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, rng_seed: RngSeed::Fixed(2404), ..ProptestConfig::default() })]

    #[test]
    fn words_are_those_of_the_crate(texts in prop::collection::vec(texts(), 8)) {
        thread_local! {
            static ALL: Vec<(Tokenizer, Words, bool)> = all();
        }
        ALL.with(|all| {
            for (tokenizer, words, normalizes) in all {
                for text in &texts {
                    if !normalizes {
                        same_pieces(tokenizer, words, text);
                    }
                    same_ids(tokenizer, words, text);
                }
            }
        });
    }
}

/// All pre-tokenizers, one of them also with other settings.
fn all() -> Vec<(Tokenizer, Words, bool)> {
    let with = |pre_tokenizer: &Value, others: Value| {
        let normalizes = others.get("normalizer").is_some();
        let tokenizer = tokenizer(pre_tokenizer, others);
        let words = Words::of(&tokenizer).unwrap();
        (tokenizer, words, normalizes)
    };
    let mut all: Vec<_> = pre_tokenizers()
        .iter()
        .map(|p| with(p, json!({})))
        .collect();
    let nfc = json!({"type": "NFC"});
    for others in [
        json!({"normalizer": nfc}),
        json!({"normalizer": {"type": "Sequence", "normalizers": [nfc]}, "added_tokens": [added(300, "e\u{301}", false), added(301, "é", true)]}),
        json!({"added_tokens": []}),
    ] {
        all.push(with(
            &sequence(&[pattern(QWEN2), byte_level(false)]),
            others,
        ));
    }
    all
}
