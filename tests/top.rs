//! `score --top K`: the most likely tokens of each position, compared with sorting all logits in f64.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rho_formats::{MaskRow, MaskSchema, TopTokens, read_masks};
use rho_graph::DataType::{F32, I64};
use serde_json::{Value, json};

use crate::support::{
    Random, Run, metadata,
    onnx::Graph,
    random_tokens, read_json, rows,
    tiny::{logits_after, tiny_drawn, tiny_of},
    token_lines, write,
};

const VOCABULARY: usize = 300;
/// f32 against f64.
const ROUNDING: f64 = 1e-5;
/// Half a unit in the last of 11 bits.
const HALF: f64 = 1.0 / 2048.0;

struct Workspace {
    place: tempfile::TempDir,
    model: PathBuf,
    documents: Vec<Vec<u32>>,
}

impl Workspace {
    /// A document of every kind: empty, one token, some, and one longer than two contexts.
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let lengths = [0, 1, 2, 40, 700, 7];
        let documents = (0..)
            .zip(lengths)
            .map(|(seed, length)| random_tokens(length, VOCABULARY as u32, seed));
        let documents: Vec<Vec<u32>> = documents.collect();
        write(&place.path().join("a.jsonl"), token_lines(&documents));
        let model = tiny_of(&place.path().join("model"), VOCABULARY);
        Self {
            place,
            model,
            documents,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn score(&self, out: &str, arguments: &[&str]) -> Run {
        let context = ["--context", "64", "--batch-tokens", "256"];
        Run::score_tokens(&self.at("a.jsonl"), &self.model, &self.at(out))
            .args(&context)
            .args(arguments)
    }

    fn scored(&self, out: &str, arguments: &[&str]) -> Vec<MaskRow> {
        self.score(out, arguments).ends_with(0);
        rows(&self.at(out), "a.jsonl")
    }
}

/// The log-probabilities of all tokens after each token.
#[derive(Default)]
struct Oracle(HashMap<u32, Vec<f64>>);

impl Oracle {
    fn after(&mut self, token: u32) -> &[f64] {
        let of_model = || logits_after(token, VOCABULARY);
        self.0
            .entry(token)
            .or_insert_with(|| log_softmax(of_model()))
    }
}

fn log_softmax(logits: Vec<f64>) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
    logits.iter().map(|logit| logit - max - sum.ln()).collect()
}

/// Checks one position: the log-probabilities of the tokens are right, no other token has a greater one, and they are
/// sorted. Tokens that are as close as the rounding may change places.
#[track_caller]
fn check(ids: &[u32], logprobs: &[f32], all: &[f64], relative: f64) {
    let mut sorted = all.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    for (i, (&id, &logprob)) in ids.iter().zip(logprobs).enumerate() {
        let logprob = f64::from(logprob);
        let allowed = ROUNDING + relative * logprob.abs();
        assert!(
            (logprob - all[id as usize]).abs() <= allowed,
            "{id}: {logprob}"
        );
        assert!((logprob - sorted[i]).abs() <= allowed, "{i}: {logprob}");
        assert!(!ids[..i].contains(&id) && (i == 0 || logprobs[i - 1] >= logprobs[i]));
    }
}

/// The tokens and log-probabilities of a position; none if it has none.
fn at(top: &TopTokens, position: usize, count: usize) -> Option<(&[u32], &[f32])> {
    let (ids, logprobs) = (
        &top.ids[position * count..][..count],
        &top.logprobs[position * count..][..count],
    );
    let nan = logprobs.iter().filter(|logprob| logprob.is_nan()).count();
    assert!(nan == 0 || nan == count && ids.iter().all(|id| *id == 0));
    (nan == 0).then_some((ids, logprobs))
}

#[track_caller]
fn check_row(row: &MaskRow, count: usize, relative: f64, oracle: &mut Oracle) {
    let top = row.top.as_ref().unwrap();
    assert_eq!(top.ids.len(), row.input_ids.len() * count);
    for (i, &token) in row.input_ids.iter().enumerate() {
        let Some((ids, logprobs)) = at(top, i, count) else {
            assert_eq!(i, 0, "token {i} has no alternatives");
            continue;
        };
        // The alternatives to token i, given the one before it.
        check(ids, logprobs, oracle.after(row.input_ids[i - 1]), relative);
        if let Some(own) = ids.iter().position(|id| *id == token) {
            assert_eq!(logprobs[own], -row.scores[0][i], "token {i}");
        }
    }
}

/// A row without its alternatives, as text: NaN equals itself.
fn others(row: &MaskRow) -> String {
    let row = MaskRow {
        top: None,
        ..row.clone()
    };
    format!("{row:?}")
}

#[test]
fn the_alternatives_are_those_of_sorting_all_logits() {
    let place = Workspace::new();
    let mut oracle = Oracle::default();
    for (dtype, relative) in [("float32", 0.0), ("float16", HALF)] {
        let dtype = ["--score-dtype", dtype];
        let without = place.scored(&format!("without-{}", dtype[1]), &dtype);
        for count in [1, 5, 128] {
            let name = format!("{count}-{}", dtype[1]);
            let top = count.to_string();
            let got = place.scored(&name, &[&["--top", &top], &dtype[..]].concat());
            assert_eq!(got.len(), place.documents.len());
            for ((row, without), tokens) in got.iter().zip(&without).zip(&place.documents) {
                assert_eq!(&row.input_ids, tokens);
                check_row(row, count, relative, &mut oracle);
                // Nothing else changes.
                assert_eq!(others(row), others(without));
            }
            assert_eq!(metadata(&place.at(&name), "a.jsonl")["top"], count);
        }
        let schema = metadata(&place.at(&format!("without-{}", dtype[1])), "a.jsonl");
        assert_eq!(schema.get("top"), None);
    }
    // The bound of the memory counts them.
    let bound = |arguments: &[&str]| -> u64 {
        let plan = place
            .score("none", arguments)
            .args(&["--show-plan"])
            .ends_with(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        plan["memory"]["sum"].as_u64().unwrap()
    };
    assert!(
        bound(&["--top", "128"]) > bound(&["--top", "5"]) && bound(&["--top", "5"]) > bound(&[])
    );
}

/// Equal logits: the lower ids. Weights are small integers, so that every logit is exact.
#[test]
fn ties_go_to_the_lower_token() {
    let place = Workspace::new();
    let mut random = Random(3);
    let mut draw =
        |n: usize| -> Vec<f32> { (0..n).map(|_| (random.next() % 5) as f32 - 2.0).collect() };
    let (embedding, head, bias, factors) = (
        draw(VOCABULARY * 4),
        draw(4 * VOCABULARY),
        draw(VOCABULARY),
        draw(VOCABULARY),
    );
    let begin = || {
        Graph::default()
            .input("input_ids", I64, "batch length")
            .output("logits", F32, &format!("batch length {VOCABULARY}"))
            .floats("embedding", F32, &[VOCABULARY, 4], &embedding)
            .floats("head", F32, &[4, VOCABULARY], &head)
            .floats("bias", F32, &[VOCABULARY], &bias)
            .floats("factors", F32, &[VOCABULARY], &factors)
            .node("Gather", "embedding input_ids", "hidden")
            .node("MatMul", "hidden head", "product")
    };
    let logit = |token: u32, v: usize| -> f32 {
        (0..4)
            .map(|k| embedding[token as usize * 4 + k] * head[k * VOCABULARY + v])
            .sum()
    };
    for (name, graph, uncut) in [
        (
            "biased",
            begin().node("Add", "product bias", "logits"),
            false,
        ),
        // A head with factors for each token cannot be cut off.
        (
            "uncut",
            begin().node("Mul", "product factors", "logits"),
            true,
        ),
    ] {
        let model = place.at(name);
        graph.write(&model.join("model.onnx"));
        write(
            &model.join("config.json"),
            r#"{"max_position_embeddings": 64}"#,
        );
        let out = place.at(&format!("{name}-masks"));
        let ended = Run::score_tokens(&place.at("a.jsonl"), &model, &out)
            .args(&["--top", "20"])
            .ends_with(0);
        assert_eq!(
            ended.stderr.contains("cannot be cut"),
            uncut,
            "{}",
            ended.stderr
        );
        let mut ties = 0;
        for row in rows(&out, "a.jsonl") {
            for i in 1..row.input_ids.len() {
                let all: Vec<f32> = (0..VOCABULARY)
                    .map(|v| match uncut {
                        true => logit(row.input_ids[i - 1], v) * factors[v],
                        false => logit(row.input_ids[i - 1], v) + bias[v],
                    })
                    .collect();
                let mut sorted: Vec<u32> = (0..VOCABULARY as u32).collect();
                let key = |v: &u32| all[*v as usize];
                sorted.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap().then(a.cmp(b)));
                let (ids, logprobs) = at(row.top.as_ref().unwrap(), i, 20).unwrap();
                assert_eq!(ids, &sorted[..20]);
                ties += usize::from(key(&sorted[19]) == key(&sorted[20]));
                let all = log_softmax(all.into_iter().map(f64::from).collect());
                check(ids, logprobs, &all, 0.0);
            }
        }
        assert!(ties > 100, "{ties}");
    }
}

#[test]
fn a_base_has_none_and_several_references_are_refused() {
    let place = Workspace::new();
    let base = tiny_drawn(&place.at("base"), VOCABULARY, 8);
    let base = base.to_str().unwrap();
    let alone = place.scored("alone", &["--top", "4"]);
    let with_base = place.scored(
        "with-base",
        &["--base", base, "--by", "excess", "--top", "4"],
    );
    for (alone, with_base) in alone.iter().zip(&with_base) {
        assert_eq!(format!("{:?}", alone.top), format!("{:?}", with_base.top));
    }
    let refused = |arguments: &[&str], expected: &[&str]| {
        let said = place.score("refused", arguments).ends_with(2).stderr;
        assert!(!place.at("refused").exists());
        for expected in expected {
            assert!(said.contains(expected), "{said}");
        }
    };
    let one_reference = ["--top: expected one reference, got 2", "hint: "];
    refused(&["--model", base, "--top", "4"], &one_reference);
    let of_most =
        |count: &str| format!("--top: expected 1 to 128 tokens for each position, got {count}");
    for count in ["0", "129", "18446744073709551615"] {
        refused(&["--top", count], &[&of_most(count), "hint: "]);
    }
    refused(&["--top=-1"], &["--top"]);
    let small = tiny_of(&place.at("small"), 50);
    write(&place.at("b.jsonl"), token_lines(&[vec![1, 2, 3]]));
    let run = |count: &str, code| {
        Run::score_tokens(&place.at("b.jsonl"), &small, &place.at("small-masks"))
            .args(&["--top", count])
            .ends_with(code)
    };
    let said = run("51", 2).stderr;
    assert!(
        said.contains("expected 1 to 50 tokens") && said.contains("has 50 tokens"),
        "{said}"
    );
    run("50", 0);
    let all = &rows(&place.at("small-masks"), "b.jsonl")[0];
    let mut ids = all.top.as_ref().unwrap().ids[50..100].to_vec();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<u32>>());
    // Another number is another plan.
    let said = place.score("alone", &["--top", "5"]).ends_with(2).stderr;
    assert!(said.contains("--top: 4 before, 5 now"), "{said}");
}

/// Small files that share a masks file, and ranks over the corpus: scores are on disk in between.
#[test]
fn many_files_and_every_scope() {
    let place = Workspace::new();
    let corpus = place.at("files");
    let mut documents = HashMap::new();
    for i in 0..40u32 {
        let tokens = random_tokens(3 + i as usize, VOCABULARY as u32, i);
        write(
            &corpus.join(format!("{i:02}.jsonl")),
            token_lines(std::slice::from_ref(&tokens)),
        );
        documents.insert(format!("{i:02}.jsonl"), tokens);
    }
    let mut oracle = Oracle::default();
    for scope in ["document", "batch", "corpus"] {
        let out = place.at(scope);
        Run::score_tokens(&corpus, &place.model, &out)
            .args(&["--top", "3", "--scope", scope])
            .ends_with(0);
        let mut masks = read_masks(&out).unwrap();
        let mut seen = 0;
        while let Some(row) = masks.next() {
            let row = row.unwrap();
            assert_eq!(row.input_ids, documents[masks.shard()]);
            check_row(&row, 3, 0.0, &mut oracle);
            seen += 1;
        }
        assert_eq!(seen, 40, "{scope}");
    }
    let streamed = Run::score_tokens(&corpus, &place.model, Path::new("-"))
        .args(&["--top", "3", "--scope", "document"])
        .0
        .output()
        .unwrap();
    fs::write(place.at("stream.arrow"), streamed.stdout).unwrap();
    let of = |path: &Path| -> Vec<String> {
        let rows = read_masks(path).unwrap();
        let mut rows: Vec<String> = rows.map(|row| format!("{:?}", row.unwrap())).collect();
        rows.sort();
        rows
    };
    assert_eq!(of(&place.at("stream.arrow")), of(&place.at("document")));
}

#[test]
fn context_tokens_have_alternatives_only_where_they_have_scores() {
    let place = Workspace::new();
    let line = |tokens: &Vec<u32>| {
        let bits: Vec<bool> = (0..tokens.len()).map(|i| i % 3 == 2).collect();
        json!({"input_ids": tokens, "bits": bits}).to_string() + "\n"
    };
    let lines: String = place.documents[3..].iter().map(line).collect();
    write(&place.at("a.jsonl"), lines);
    let targets = ["--targets-field", "bits", "--top", "2"];
    let all = place.scored("all", &targets);
    let few = place.scored("few", &[&targets[..], &["--score-context", "no"]].concat());
    for (all, few) in all.iter().zip(&few) {
        for i in 1..all.input_ids.len() {
            let (with, without) = (
                at(all.top.as_ref().unwrap(), i, 2),
                at(few.top.as_ref().unwrap(), i, 2),
            );
            assert!(with.is_some());
            assert_eq!(without, with.filter(|_| i % 3 == 2), "token {i}");
        }
    }
}

#[test]
fn other_commands_keep_them() {
    let place = Workspace::new();
    let scored = place.scored("scored", &["--top", "3", "--score-dtype", "float16"]);
    let tops = |rows: &[MaskRow]| -> Vec<String> {
        rows.iter()
            .map(|row| format!("{:?} {:?}", row.input_ids, row.top))
            .collect()
    };
    let schema = |out: &str| -> MaskSchema {
        read_masks(place.at(out).join("a.jsonl.arrow"))
            .unwrap()
            .schema()
            .clone()
    };
    let run = |command: &str, out: &str, arguments: &[&str]| {
        let run = Run::new(&[command]).arg(place.at("scored"));
        run.args(arguments)
            .arg("--out")
            .arg(place.at(out))
            .ends_with(0);
    };
    run("select", "selected", &["--by", "entropy", "--keep", "0.2"]);
    assert_eq!(tops(&rows(&place.at("selected"), "a.jsonl")), tops(&scored));
    assert_eq!(schema("selected").top, schema("scored").top);
    run("select", "filtered", &["--where", "tokens > 5"]);
    let long: Vec<MaskRow> = scored
        .iter()
        .filter(|row| row.input_ids.len() > 5)
        .cloned()
        .collect();
    assert_eq!(tops(&rows(&place.at("filtered"), "a.jsonl")), tops(&long));

    write(&place.at("a.jsonl"), token_lines(&[vec![1, 2, 3, 4]]));
    let other = place.scored("other", &["--top", "3", "--score-dtype", "float16"]);
    run(
        "merge",
        "merged",
        &[
            place.at("other").to_str().unwrap(),
            "--on-duplicate",
            "first",
        ],
    );
    let mut merged: Vec<String> = read_masks(place.at("merged"))
        .unwrap()
        .map(|row| tops(&[row.unwrap()]).remove(0))
        .collect();
    merged.sort();
    let mut both = [tops(&scored), tops(&other)].concat();
    both.sort();
    // Shards of one name are one.
    assert!(
        merged == both || {
            let mut first = tops(&scored);
            first.sort();
            merged == first
        }
    );
    place.scored("another", &["--top", "4", "--score-dtype", "float16"]);
    let said = Run::new(&["merge"])
        .arg(place.at("scored"))
        .arg(place.at("another"))
        .arg("--out")
        .arg(place.at("refused"))
        .ends_with(2);
    assert!(said.stderr.contains("--top"), "{}", said.stderr);

    // The masks' own columns in other formats.
    run("convert", "jsonl", &["--to", "jsonl"]);
    let lines = fs::read_to_string(place.at("jsonl/a.jsonl.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), scored.len());
    for (line, row) in lines.lines().zip(&scored) {
        let line: Value = serde_json::from_str(line).unwrap();
        let top = row.top.as_ref().unwrap();
        let list = |name: &str| line[name].as_array().unwrap().clone();
        let (ids, logprobs) = (list("top_ids"), list("top_logprobs"));
        assert_eq!(
            (ids.len(), logprobs.len()),
            (row.input_ids.len(), row.input_ids.len())
        );
        for (i, (ids, logprobs)) in ids.iter().zip(&logprobs).enumerate() {
            match at(top, i, 3) {
                None => assert!(ids.is_null() && logprobs.is_null()),
                Some((expected, numbers)) => {
                    assert_eq!(*ids, json!(expected));
                    let got: Vec<f32> = serde_json::from_value(logprobs.clone()).unwrap();
                    assert_eq!(got, numbers);
                }
            }
        }
    }
    for target in ["parquet", "webdataset"] {
        run("convert", target, &["--to", target]);
    }
    for command in ["show", "stats"] {
        Run::new(&[command]).arg(place.at("scored")).ends_with(0);
    }
    run("report", "report.html", &[]);
    let same = Run::new(&["diff", "--json"])
        .arg(place.at("scored"))
        .arg(place.at("scored"))
        .ends_with(0);
    assert!(serde_json::from_str::<Value>(&same.stdout).is_ok());
    assert!(read_json(&place.at("selected/summary.json")).is_object());
}
