//! Against ranges that `cases.py` found in Python, and by hand.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

const CASES: &str = include_str!("cases.json");

#[derive(Deserialize)]
struct Cases {
    tokenizers: HashMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    text: String,
    ids: Vec<u32>,
    /// The bytes of each token.
    ranges: Vec<Range<usize>>,
}

fn cases() -> (HashMap<String, Tokenization>, Vec<Case>) {
    let mut json: Value = serde_json::from_str(CASES).unwrap();
    for case in json["cases"].as_array_mut().unwrap() {
        for range in case["ranges"].as_array_mut().unwrap() {
            *range = json!({"start": range[0], "end": range[1]});
        }
    }
    let Cases { tokenizers, cases } = serde_json::from_value(json).unwrap();
    let tokenizers = tokenizers
        .into_iter()
        .map(|(name, json)| (name, Tokenization::of(json.to_string().parse().unwrap())));
    (tokenizers.collect(), cases)
}

fn of(name: &str) -> Tokenization {
    cases().0.remove(name).unwrap()
}

/// The number of answers, and of refusals, for a tokenizer that changes texts.
#[derive(Default)]
struct Counts {
    answers: usize,
    refusals: usize,
}

impl Counts {
    fn check(
        &mut self,
        case: &Case,
        targeted: Result<Targeted, String>,
        expected: &[bool],
        what: &str,
    ) {
        let changes = ["bert", "unigram"].contains(&&*case.tokenizer);
        match targeted {
            Ok((ids, target)) => {
                self.answers += 1;
                assert_eq!(ids, case.ids, "{}: {:?}", case.tokenizer, case.text);
                assert_eq!(target, expected, "{}: {what}", case.tokenizer);
            }
            Err(reason) => {
                assert!(changes, "{}: {what}: {reason}", case.tokenizer);
                assert!(reason.contains("cannot place the tokens"), "{reason}");
                self.refusals += 1;
            }
        }
    }

    fn refuses_few(&self) {
        let (answers, refusals) = (self.answers, self.refusals);
        assert!(
            answers > 1000 && refusals < answers / 20,
            "{refusals} of {answers}"
        );
    }
}

#[test]
fn a_token_is_a_target_if_it_begins_in_the_completion() {
    let (tokenizers, cases) = cases();
    let mut counts = Counts::default();
    for case in &cases {
        let borders = case.text.char_indices().map(|(byte, _)| byte);
        for border in borders.chain([case.text.len()]) {
            let (prompt, rest) = case.text.split_at(border);
            let begins = |range: &Range<usize>| range.start >= border;
            let expected: Vec<bool> = case.ranges.iter().map(begins).collect();
            let targeted = completion(&tokenizers[&case.tokenizer], prompt, rest);
            counts.check(case, targeted, &expected, &format!("{prompt:?} {rest:?}"));
        }
    }
    counts.refuses_few();
}

#[test]
fn a_token_is_context_if_it_holds_a_character_of_a_span() {
    let (tokenizers, cases) = cases();
    let mut counts = Counts::default();
    let mut state = 2404_07965_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for case in &cases {
        let mut bytes: Vec<usize> = case.text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(case.text.len());
        for _ in 0..20 {
            let mut spans_of = vec![];
            let mut from = 0;
            while from + 1 < bytes.len() && spans_of.len() < 4 {
                let start = from + random(bytes.len() - 1 - from);
                let end = start + 1 + random((bytes.len() - 1 - start).min(5));
                spans_of.push(start..end);
                from = end;
            }
            let is_outside = |range: &Range<usize>| {
                let end = range.end.max(range.start + 1);
                let mut spans = spans_of.iter();
                !spans.any(|span| range.start < bytes[span.end] && bytes[span.start] < end)
            };
            let expected: Vec<bool> = case.ranges.iter().map(is_outside).collect();
            let targeted = spans(&tokenizers[&case.tokenizer], &case.text, &spans_of);
            let what = format!("{:?} {spans_of:?}", case.text);
            counts.check(case, targeted, &expected, &what);
        }
    }
    counts.refuses_few();
}

/// The texts of the targets.
fn targets(tokenization: &Tokenization, targeted: Result<Targeted, String>) -> Vec<String> {
    let (ids, target) = targeted.unwrap();
    let pieces = tokenization.pieces();
    let text = |id: &u32| String::from_utf8_lossy(&pieces.bytes(*id).unwrap()).into_owned();
    let pairs = ids.iter().zip(&target);
    let found = pairs.filter(|(_, target)| **target);
    found.map(|(id, _)| text(id)).collect()
}

#[test]
fn a_blank_belongs_to_the_word_behind_it() {
    for name in ["byte_level", "llama_normalizer", "llama_metaspace"] {
        let tokenization = of(name);
        let of = |prompt, rest| targets(&tokenization, completion(&tokenization, prompt, rest));
        // The token ` cat` begins in the prompt, if its blank is there.
        assert_eq!(of("the ", "cat sat").concat(), " sat", "{name}");
        assert_eq!(of("the", " cat sat").concat(), " cat sat", "{name}");
        assert_eq!(of("", "the cat").concat().trim_start(), "the cat", "{name}");
    }
    // Words of this tokenizer hold no blanks.
    let bert = of("bert");
    let words = targets(&bert, completion(&bert, "The ", "cat sat"));
    assert_eq!(words.concat(), " cat sat");
}

#[test]
fn tokens_around_the_text() {
    let mut tokenization = of("byte_level");
    tokenization.prefix = vec![7, 8];
    tokenization.suffix = vec![9];
    let ends = |targeted: Result<Targeted, String>| {
        let (ids, target) = targeted.unwrap();
        assert_eq!((&ids[..2], ids.last()), (&[7, 8][..], Some(&9)));
        assert_eq!(ids.len(), target.len());
        assert_eq!(target[..2], [false; 2]);
        (target[2], target[target.len() - 1])
    };
    assert_eq!(
        ends(completion(&tokenization, "the", " cat")),
        (false, true)
    );
    assert_eq!(ends(completion(&tokenization, "", "the cat")), (true, true));
    // Nothing was written, so there is nothing to end.
    assert_eq!(
        ends(completion(&tokenization, "the cat", "")),
        (false, false)
    );
    let last = ends(spans(
        &tokenization,
        "the cat",
        &[Range { start: 3, end: 7 }],
    ));
    assert_eq!(last, (true, false));
    assert_eq!(
        completion(&tokenization, "", ""),
        Ok((vec![7, 8, 9], vec![false; 3]))
    );
}

#[test]
fn a_character_that_is_composed_belongs_to_both_of_its_parts() {
    let nfc = of("byte_level_nfc");
    let text = "fac\u{327}ade x";
    // The mark is the fourth character.
    let (_, target) = spans(&nfc, text, &[Range { start: 3, end: 4 }]).unwrap();
    let (_, of_letter) = spans(&nfc, text, &[Range { start: 2, end: 3 }]).unwrap();
    assert!(target.contains(&false) && target.contains(&true));
    assert_eq!(target, of_letter);
    let (_, target) = completion(&nfc, "fac", "\u{327}ade x").unwrap();
    let (_, of_whole) = completion(&nfc, "fac\u{327}", "ade x").unwrap();
    assert_eq!(target, of_whole);
}

fn bpe(model: &Value, normalizer: &Value) -> Tokenization {
    let mut whole = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": {"a": 0, "b": 1, "c": 2, " ": 3, "_": 4}, "merges": [],
        },
    });
    for (name, value) in model.as_object().unwrap() {
        whole["model"][name] = value.clone();
    }
    Tokenization::of(whole.to_string().parse().unwrap())
}

#[test]
fn what_cannot_be_placed_is_refused() {
    let said = |tokenization: &Tokenization, prompt, rest| {
        completion(tokenization, prompt, rest).unwrap_err()
    };
    // The crate drops the x and counts the tokens behind it from too early on.
    let loses = bpe(&json!({}), &Value::Null);
    let reason = said(&loses, "ax", "bc");
    assert!(
        reason.contains("the character 'c' at byte 3 or behind it is in no token"),
        "{reason}"
    );
    let reason = said(&loses, "ax", "b ");
    assert!(reason.contains("the character ' ' at byte 3"), "{reason}");
    let (_, target) = completion(&loses, "a", "bc").unwrap();
    assert_eq!(target, [false, true, true]);
    // Two blanks that become one, on both sides of the border.
    let merges = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
    let merges = bpe(&json!({}), &merges);
    let whole = bpe(
        &json!({"unk_token": "_"}),
        &json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
    );
    assert!(completion(&merges, "a ", " b").is_err());
    let reason = said(&whole, "a ", " b");
    assert!(
        reason.contains("makes the white space around byte 1 one"),
        "{reason}"
    );
    let (_, target) = completion(&whole, "a", "  b").unwrap();
    assert_eq!(target, [false, true, true]);
    let (_, target) = completion(&whole, "a  ", "b").unwrap();
    assert_eq!(target, [false, false, true]);
    // Other characters that become one.
    let lines = json!({"type": "Replace", "pattern": {"String": "<br>"}, "content": "_"});
    let lines = bpe(&json!({"unk_token": "_"}), &lines);
    let reason = said(&lines, "a<b", "r>b");
    assert!(
        reason.contains("the character '<' at byte 1 or behind it is in no token"),
        "{reason}"
    );
}
