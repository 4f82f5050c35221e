//! `--with-context-field`: the same tokens scored also after a text that stands before them.

use std::fs;

use rho_formats::MaskRow;
use serde_json::json;

use crate::support::{Run, metadata, rows, write};

const DOCUMENTS: [(&str, &str); 6] = [
    ("", " The sum of 2 and 3 is 5."),
    ("What is the sum of 2 and 3?", " The sum of 2 and 3 is 5."),
    ("Compute 12 * 3.", " It is 36, because 12 * 3 = 36."),
    (
        "Say nothing of use. Then more.",
        " It is 36, because 12 * 3 = 36.",
    ),
    ("A hint with an é and a 日.", " Answer: 7\n\nDone"),
    ("x", " y"),
];

fn corpus(documents: &[(&str, &str)]) -> String {
    let lines = documents.iter().map(|(hint, text)| {
        json!({"hint": hint, "text": text, "both": format!("{hint}{text}")}).to_string() + "\n"
    });
    lines.collect()
}

fn score(folder: &std::path::Path, name: &str, arguments: &[&str]) -> Vec<MaskRow> {
    let out = folder.join(name);
    Run::score(&folder.join("a.jsonl"), &out)
        .args(arguments)
        .ends_with(0);
    rows(&out, "a.jsonl")
}

#[test]
fn the_scores_after_a_text_are_those_of_one_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("a.jsonl"), corpus(&DOCUMENTS));
    let alone = score(folder, "alone", &[]);
    let after = score(folder, "after", &["--with-context-field", "hint"]);
    let both = score(folder, "both", &["--text-field", "both"]);
    let narrow = ["--with-context-field", "hint", "--score-dtype", "float16"];
    let narrow = score(folder, "narrow", &narrow);
    for (i, (hint, _)) in DOCUMENTS.iter().enumerate() {
        // Nothing else changes, to the bit.
        assert_eq!(after[i].input_ids, alone[i].input_ids);
        assert_eq!(after[i].masks, alone[i].masks);
        let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        for column in 0..2 {
            assert_eq!(
                bits(&after[i].scores[column]),
                bits(&alone[i].scores[column])
            );
        }
        let [loss, _, loss_context, entropy_context, gain] = &after[i].scores[..] else {
            panic!("expected five columns of scores");
        };
        let length = loss.len();
        let shift = both[i].input_ids.len() - length;
        assert!(length > 1 && (hint.is_empty() || shift > 0));
        assert!(loss_context[0].is_nan() && gain[0].is_nan());
        for token in 1..length {
            let [expected, entropy] = [0, 1].map(|column| both[i].scores[column][token + shift]);
            assert!(
                (loss_context[token] - expected).abs() < 1e-5,
                "{hint:?}, token {token}"
            );
            assert!(
                (entropy_context[token] - entropy).abs() < 1e-5,
                "{hint:?}, token {token}"
            );
            assert_eq!(gain[token], loss[token] - loss_context[token]);
        }
        // Derived from what is stored.
        let [loss, _, loss_context, _, gain] = &narrow[i].scores[..] else {
            panic!("expected five columns of scores");
        };
        for token in 1..length {
            let difference = half::f16::from_f32(loss[token] - loss_context[token]);
            assert_eq!(gain[token], difference.to_f32());
        }
    }
    assert_eq!(
        metadata(&folder.join("after"), "a.jsonl")["with_context_field"],
        "hint"
    );
}

#[test]
fn documents_that_cannot_follow_their_text_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let long = "one two three ".repeat(400);
    let mut lines = corpus(&[
        ("Fine.", " Good."),
        ("a prob", "lem of the sum of"),
        (&long, " Good."),
    ]);
    lines += "{\"text\": \" no hint\"}\n{\"hint\": 5, \"text\": \" x\"}\n";
    write(&folder.join("a.jsonl"), lines);
    let out = folder.join("out");
    let ended = Run::score(&folder.join("a.jsonl"), &out)
        .args(&["--with-context-field", "hint", "--max-rejected", "1"])
        .ends_with(1);
    assert!(ended.stderr.contains("4 rejected"), "{}", ended.stderr);
    assert_eq!(rows(&out, "a.jsonl").len(), 1);
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    let reasons: Vec<&str> = rejected.lines().collect();
    for (reason, expected) in reasons.iter().zip([
        "expected a border between tokens",
        "together with the text before the document, got",
        "--with-context-field",
        "field \\\"hint\\\" is a number",
    ]) {
        assert!(reason.contains(expected), "{reason}: {expected}");
    }
    let ended = Run::score(&folder.join("a.jsonl"), &folder.join("messages"))
        .args(&[
            "--with-context-field",
            "hint",
            "--messages-field",
            "messages",
        ])
        .ends_with(2);
    assert!(
        ended.stderr.contains("--messages-field"),
        "{}",
        ended.stderr
    );
}
