//! Bad documents and broken shards: recorded with their reason and counted, the others scored, and the exit code is 1.

use std::fs;

use rho_graph::DataType::{F32, I64};
use serde_json::{Value, json};

use crate::support::{
    Ended, Random, Run, assert_same_scores, compress, demo, files, onnx::Graph, read_json, rows,
    token_lines, write,
};

/// The lines of rejected.jsonl as (shard, row, reason).
fn rejected(out: &std::path::Path) -> Vec<(String, i64, String)> {
    let text = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let string = |name: &str| line[name].as_str().unwrap().to_owned();
            assert_eq!(line.as_object().unwrap().len(), 3, "{line}");
            (
                string("shard"),
                line["row"].as_i64().unwrap(),
                string("reason"),
            )
        })
        .collect()
}

/// Shard, row, and parts of the reason.
type Expected<'a> = (&'a str, i64, &'a [&'a str]);

#[track_caller]
fn assert_rejected(out: &std::path::Path, expected: &[Expected<'_>]) {
    let got = rejected(out);
    assert_eq!(got.len(), expected.len(), "{got:#?}");
    for ((shard, row, reason), (expected_shard, expected_row, words)) in got.iter().zip(expected) {
        assert_eq!(
            (shard.as_str(), *row),
            (*expected_shard, *expected_row),
            "{reason}"
        );
        for word in *words {
            assert!(reason.contains(word), "expected {word:?} in {reason}");
        }
    }
}

/// Checks the final messages of a run that rejected something.
fn assert_said(ended: &Ended, out: &std::path::Path, lines: &[&str]) {
    for line in lines {
        assert!(
            ended.stderr.contains(line),
            "expected {line:?} in {}",
            ended.stderr
        );
    }
    let place = out.join("rejected.jsonl");
    let last = ended.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("note: ") && last.ends_with(place.to_str().unwrap()),
        "{last}"
    );
}

fn text_lines(texts: &[&str]) -> Vec<String> {
    let line = |text: &&str| json!({"text": text}).to_string() + "\n";
    texts.iter().map(line).collect()
}

#[test]
fn bad_documents_are_left_out_and_the_others_scored() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
    let bad: [&[u8]; 8] = [
        b"{\"text\": \"There are 3 apples.\"}",
        b"{\"text\": \"cut",
        b"{\"content\": \"elsewhere\", \"id\": 7}",
        b"{\"text\": [\"a\", \"list\"]}",
        b"{\"text\": \"not \xff UTF-8\"}",
        b"",
        b"[1, 2]",
        b"{\"text\": \"How many are 2 * 3 = 6?\", \"id\": \"last\"}",
    ];
    write(&corpus.join("a.jsonl"), bad.join(&b'\n'));
    write(&corpus.join("b.txt"), b"\xc3\x28 is no text");
    write(&corpus.join("c.txt"), "A text of its own: 4 + 4 = 8.");
    let ended = Run::score(&corpus, &out).ends_with(1);
    assert_rejected(
        &out,
        &[
            ("a.jsonl", 1, &["not JSON", "expected one object per line"]),
            (
                "a.jsonl",
                2,
                &["no field \"text\"", "\"content\"", "--text-field"],
            ),
            (
                "a.jsonl",
                3,
                &["field \"text\" is a list, expected a string"],
            ),
            ("a.jsonl", 4, &["invalid UTF-8 at byte 14"]),
            ("a.jsonl", 6, &["expected one object per line, got a list"]),
            ("b.txt", 0, &["invalid UTF-8 at byte 0"]),
        ],
    );
    assert_said(&ended, &out, &["documents   3, 6 rejected"]);
    let summary = read_json(&out.join("summary.json"));
    assert_eq!(
        (&summary["documents"], &summary["rejected"]),
        (&json!(3), &json!(6))
    );
    assert_eq!(summary["broken_shards"], 0);

    let good = rows(&out, "a.jsonl");
    let ids: Vec<_> = good.iter().map(|row| (row.id.as_str(), row.row)).collect();
    assert_eq!(ids, [("a.jsonl#0", 0), ("last", 7)]);
    assert!(rows(&out, "b.txt").is_empty());
    assert_eq!(rows(&out, "c.txt").len(), 1);
    let expected = "a.jsonl.arrow b.txt.arrow c.txt.arrow dataset_info.json rejected.jsonl state.json summary.json tokenizer.json";
    assert_eq!(files(&out).join(" "), expected);

    // They get the same scores as without the bad documents.
    let (clean, clean_out) = (
        place.path().join("clean/a.jsonl"),
        place.path().join("clean-masks"),
    );
    write(&clean, [bad[0], bad[7]].join(&b'\n'));
    Run::score(&clean, &clean_out).ends_with(0);
    assert_same_scores(
        &good,
        &rows(&clean_out, "a.jsonl"),
        1e-5,
        "beside bad documents",
    );
}

#[test]
fn bad_token_lists_are_left_out() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("ids.jsonl"), place.path().join("masks"));
    write(
        &corpus,
        "{\"input_ids\": [5, 2047, 9]}\n\
         {\"input_ids\": [5, 2048, 9]}\n\
         {\"input_ids\": [5, -1]}\n\
         {\"input_ids\": [5, 1.5]}\n\
         {\"input_ids\": \"5\"}\n\
         {\"text\": \"no ids\"}\n\
         {\"input_ids\": [4294967296]}\n\
         {\"input_ids\": []}\n",
    );
    let ended = Run::score_tokens(&corpus, &demo(), &out).ends_with(1);
    assert_rejected(
        &out,
        &[
            (
                "ids.jsonl",
                1,
                &["token 1: expected an id below the vocabulary of 2048, got 2048"],
            ),
            ("ids.jsonl", 2, &["item 1 is -1"]),
            ("ids.jsonl", 3, &["item 1 is 1.5"]),
            (
                "ids.jsonl",
                4,
                &["is a string, expected a list of token ids"],
            ),
            (
                "ids.jsonl",
                5,
                &["no field \"input_ids\"", "--tokens-field"],
            ),
            ("ids.jsonl", 6, &["item 0 is 4294967296"]),
        ],
    );
    assert_said(
        &ended,
        &out,
        &["documents   2, 6 rejected", "tokens      3, 2 scored"],
    );
    assert_eq!(rows(&out, "ids.jsonl").len(), 2);
}

#[test]
fn shards_that_break_keep_the_rows_before() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
    let lines = text_lines(&["First, 1 + 1 = 2.", "Then 2 + 2 = 4.", "At last 4 + 4 = 8."]);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for ending in ["gz", "zst"] {
        let whole = compress(&lines, ending);
        let two = compress(&lines[..2], ending).len();
        // In the middle of the third line.
        write(
            &corpus.join(format!("cut.jsonl.{ending}")),
            &whole[..two + 4],
        );
        write(&corpus.join(format!("whole.jsonl.{ending}")), &whole);
    }
    write(
        &corpus.join("none.jsonl.gz"),
        "this is not compressed at all",
    );
    let ended = Run::score(&corpus, &out).ends_with(1);
    let cut = |kind: &'static str| [kind, "the shard ends early", "got a broken one"];
    let (gzip, zstd) = (cut("gzip"), cut("zstd"));
    let got = rejected(&out);
    let breaks: Vec<_> = got
        .iter()
        .filter(|(shard, ..)| shard.starts_with("cut"))
        .collect();
    assert_eq!(breaks.len(), 2, "{got:#?}");
    for ((shard, row, reason), words) in breaks.into_iter().zip([gzip, zstd]) {
        assert_eq!(*row, 2, "{shard}: {reason}");
        for word in words {
            assert!(reason.contains(word), "expected {word:?} in {reason}");
        }
        assert_eq!(rows(&out, shard).len(), 2, "{shard}");
    }
    assert_eq!(rows(&out, "whole.jsonl.gz").len(), 3);
    assert_eq!(rows(&out, "whole.jsonl.zst").len(), 3);
    let summary = read_json(&out.join("summary.json"));
    assert_eq!(summary["shards"], 5);
    assert_eq!(summary["documents"], 10);
    assert_said(&ended, &out, &["ended early"]);
    assert_eq!(
        read_json(&out.join("state.json"))["_data_files"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn documents_that_the_model_answers_with_nan_are_left_out() {
    const VOCABULARY: usize = 50;
    const HIDDEN: usize = 8;
    const BAD: u32 = 7;
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("ids.jsonl"), place.path().join("masks"));
    let model = place.path().join("model.onnx");
    let mut random = Random(1);
    let mut draw = |n: usize| (0..n).map(|_| random.signed()).collect::<Vec<_>>();
    let mut embedding = draw(VOCABULARY * HIDDEN);
    embedding[BAD as usize * HIDDEN + 3] = f32::NAN;
    Graph::default()
        .input("input_ids", I64, "batch length")
        .output("logits", F32, &format!("batch length {VOCABULARY}"))
        .floats("embedding", F32, &[VOCABULARY, HIDDEN], &embedding)
        .floats(
            "head",
            F32,
            &[HIDDEN, VOCABULARY],
            &draw(HIDDEN * VOCABULARY),
        )
        .node("Gather", "embedding input_ids", "hidden")
        .node("MatMul", "hidden head", "logits")
        .write(&model);
    // The bad token's logits predict the next token, so as the last token it does no harm.
    let documents = [
        vec![1, 2, 3],
        vec![1, 2, BAD, 4, 5],
        vec![4, 5, BAD],
        vec![BAD, 1],
        vec![6, 1, 9, 30, 2, 8],
    ];
    write(&corpus, token_lines(&documents));
    let ended = Run::score_tokens(&corpus, &model, &out).ends_with(1);
    assert_rejected(
        &out,
        &[
            (
                "ids.jsonl",
                1,
                &["token 3: expected a finite loss from the reference, got NaN"],
            ),
            (
                "ids.jsonl",
                3,
                &["token 1: expected a finite loss from the reference, got NaN"],
            ),
        ],
    );
    assert_said(&ended, &out, &["documents   3, 2 rejected"]);
    let good = rows(&out, "ids.jsonl");
    assert_eq!(
        good.iter().map(|row| row.row).collect::<Vec<_>>(),
        [0, 2, 4]
    );
    for row in good {
        for scores in &row.scores {
            assert!(
                scores[1..].iter().all(|score| score.is_finite()),
                "{scores:?}"
            );
        }
    }
}

#[test]
fn a_corpus_of_nothing_but_bad_documents_is_an_error_and_leaves_a_dataset_without_rows() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("bad.jsonl"), place.path().join("masks"));
    write(&corpus, "nonsense\n\n{}\n");
    let ended = Run::score(&corpus, &out).ends_with(2);
    assert!(
        ended.stderr.contains("documents   0, 2 rejected"),
        "{}",
        ended.stderr
    );
    assert_eq!(rejected(&out).len(), 2);
    assert!(rows(&out, "bad.jsonl").is_empty());
    assert_eq!(
        read_json(&out.join("summary.json"))["mean_loss"],
        Value::Null
    );
}
