//! `--limit` and `--sample`: the first documents of a corpus, and a share of its rows.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rho_formats::read_masks;
use serde_json::{Value, json};

use crate::corpus_folders::assert_same;
use crate::support::{Run, files, python::python, tiny::tiny, write};

/// Rows of two files, every fifth without a document, and 40 short texts.
fn corpus(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    for name in ["a", "b"] {
        let line = |row: usize| match row % 5 {
            4 => "no JSON\n".to_owned(),
            _ => json!({"text": format!("row {row} of {name}")}).to_string() + "\n",
        };
        let lines: String = (0..50).map(line).collect();
        write(&corpus.join(format!("{name}.jsonl")), lines);
    }
    for text in 0..40 {
        let path = corpus.join(format!("texts/{text:02}.txt"));
        write(&path, format!("text {text}"));
    }
    corpus
}

/// Shards and rows of all documents of some masks, in order.
fn documents(out: &Path) -> Vec<(String, i64)> {
    let mut masks = read_masks(out).unwrap();
    let mut found = Vec::new();
    while let Some(row) = masks.next() {
        let row = row.unwrap().row;
        found.push((masks.shard().to_owned(), row));
    }
    found
}

/// The metadata of some masks.
fn metadata(out: &Path) -> Value {
    read_masks(out).unwrap().schema().metadata.clone()
}

fn score(corpus: &Path, model: &Path, out: &Path, options: &str) -> Run {
    Run::score(corpus, out)
        .args(&["--max-rejected", "50%", "--model"])
        .arg(model)
        .args(&options.split_whitespace().collect::<Vec<_>>())
}

/// The rows that belong to a sample, by the hash of another program.
const SAMPLE: &str = "
import sys, xxhash
rate, seed = float(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin.read().splitlines():
    shard, row = line.rsplit(' ', 1)
    key = shard.encode() + int(row).to_bytes(8, 'little', signed=True)
    if xxhash.xxh3_64_intdigest(key, seed=seed) < int(rate * 2**64):
        print(line)
";

fn sampled(all: &[(String, i64)], rate: &str, seed: &str) -> Option<Vec<(String, i64)>> {
    let mut child = Command::new(python()?)
        .args(["-c", SAMPLE, rate, seed])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = all
        .iter()
        .map(|(shard, row)| format!("{shard} {row}\n"))
        .collect();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (shard, row) = line.rsplit_once(' ').unwrap();
        (shard.to_owned(), row.parse().unwrap())
    };
    Some(lines.lines().map(pair).collect())
}

#[test]
fn a_sample_is_that_of_its_hash_in_any_rank() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (corpus(place.path()), tiny(&place.path().join("model")));
    let out = |name: &str| place.path().join(name);
    score(&corpus, &model, &out("all"), "").ends_with(1);
    let all = documents(&out("all"));
    assert_eq!(all.len(), 120);
    let run = |out: &Path, options: &str| score(&corpus, &model, out, options);
    let ended = run(&out("third"), "--sample 30% --seed 5").ends_with(1);
    let third = documents(&out("third"));
    if let Some(expected) = sampled(&all, "0.3", "5") {
        assert_eq!(third, expected);
    }
    // Rows outside of the sample are not even rejected.
    let rejected = fs::read_to_string(out("third").join("rejected.jsonl")).unwrap();
    assert!(rejected.lines().count() < 15, "{}", ended.stderr);
    assert_eq!(
        metadata(&out("third"))["sample"],
        json!({"rate": 0.3, "seed": 5})
    );
    for rank in ["2", "0", "1"] {
        let options = format!("--sample 0.3 --seed 5 --world-size 3 --rank {rank}");
        let code = run(&out("ranks"), &options).end().code;
        assert!(code == Some(0) || code == Some(1));
    }
    assert_same(&out("ranks"), &out("third"));
    // A larger share contains it; another seed gives another.
    run(&out("half"), "--sample 50% --seed 5").ends_with(1);
    let half: BTreeSet<_> = documents(&out("half")).into_iter().collect();
    assert!(third.iter().all(|row| half.contains(row)));
    run(&out("other"), "--sample 30%").end();
    assert_ne!(documents(&out("other")), third);
    // Another sample is another plan.
    let refused = run(&out("third"), "--sample 30% --seed 6").ends_with(2);
    assert_eq!(
        refused.lines_with("seed: 5 before, 6 now").len(),
        1,
        "{}",
        refused.stderr
    );
    for (options, said) in [
        ("--sample 0", "a share above 0%"),
        ("--limit 0", "0 is not in 1.."),
        ("--seed 3", "an option that belongs to --by"),
    ] {
        let refused = run(&out("none"), options).ends_with(2);
        assert_eq!(
            refused.lines_with(said).len(),
            1,
            "{options}: {}",
            refused.stderr
        );
    }
}

#[test]
fn a_limit_is_exact_in_any_rank_and_again() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (corpus(place.path()), tiny(&place.path().join("model")));
    let out = |name: &str| place.path().join(name);
    score(&corpus, &model, &out("all"), "").ends_with(1);
    let all = documents(&out("all"));
    for limit in [1, 40, 41, 80, 99, 120, 1000] {
        let out = out(&format!("first-{limit}"));
        let options = format!("--limit {limit}");
        let run = || score(&corpus, &model, &out, &options);
        let first = run().end();
        assert!(first.code == Some(i32::from(limit > 4)), "{}", first.stderr);
        assert_eq!(documents(&out), all[..all.len().min(limit)], "{limit}");
        assert_eq!(metadata(&out)["limit"], limit);
        let before = files(&out);
        let again = run().end();
        assert_eq!((again.code, files(&out)), (first.code, before));
        assert_eq!(again.lines_with("already").len(), 1, "{}", again.stderr);
    }
    for rank in ["1", "2", "0"] {
        let options = format!("--limit 99 --world-size 3 --rank {rank}");
        score(&corpus, &model, &out("ranks"), &options).end();
    }
    assert_same(&out("ranks"), &out("first-99"));
    // The first documents of the sample.
    score(&corpus, &model, &out("sample"), "--sample 50%").end();
    score(&corpus, &model, &out("both"), "--sample 50% --limit 33").end();
    let sample = documents(&out("sample"));
    assert_eq!(documents(&out("both")), sample[..33]);
    let refused = score(&corpus, &model, &out("first-99"), "--limit 98").ends_with(2);
    assert_eq!(
        refused.lines_with("limit: 99 before, 98 now").len(),
        1,
        "{}",
        refused.stderr
    );
}

#[test]
fn standard_input_is_cut_as_it_comes() {
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let lines: String = (0..9)
        .map(|i| json!({"text": format!("line {i}")}).to_string() + "\n")
        .collect();
    let out = place.path().join("masks");
    let mut run = Run::score(Path::new("-"), &out)
        .args(&["--limit", "4", "--model"])
        .arg(&model);
    let mut child = run
        .0
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The program may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    assert!(child.wait().unwrap().success());
    assert_eq!(documents(&out).len(), 4);
    let other = place.path().join("other.jsonl");
    write(&other, &lines);
    let refused = Run::score(Path::new("-"), &place.path().join("none"))
        .arg(&other)
        .args(&["--limit", "4", "--model"])
        .arg(&model)
        .ends_with(2);
    assert_eq!(
        refused.lines_with("as the last part of the corpus").len(),
        1
    );
}

#[test]
fn every_reader_has_them() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (corpus(place.path()), tiny(&place.path().join("model")));
    let other = place.path().join("other.jsonl");
    fs::copy(corpus.join("b.jsonl"), &other).unwrap();
    let eval = |options: &str| {
        let run = Run::new(&["eval", "--device", "cpu", "--json", "--max-rejected", "50%"]);
        let run = run.args(&["--data"]).arg(&corpus).arg(&other);
        run.arg("--model")
            .arg(&model)
            .args(&options.split_whitespace().collect::<Vec<_>>())
    };
    let measured = |run: Run| -> Value { serde_json::from_str(&run.ends_with(1).stdout).unwrap() };
    let cut = measured(eval("--limit 45"));
    assert_eq!(cut["sets"][0]["documents"], 45, "{cut}");
    assert_eq!(cut["sets"][1]["documents"], 40, "{cut}");
    assert_eq!(cut["made"]["limit"], 45);
    let sample = measured(eval("--sample 0.5"));
    let some = sample["sets"][0]["documents"].as_u64().unwrap();
    assert!((30..90).contains(&some), "{some}");
    let refused = eval("--limit 3 --choices").ends_with(2);
    assert_eq!(
        refused.lines_with("got --choices").len(),
        1,
        "{}",
        refused.stderr
    );
    #[cfg(feature = "train")]
    {
        let (config, run) = (crate::train::config(place.path()), place.path().join("run"));
        let train = |out: &Path, options: &str| {
            let words = crate::train::words(
                "train --device cpu --objective clm --epochs 1 --length 16 --batch-tokens 64 --max-rejected 50% --init",
            );
            Run::new(&words)
                .arg(&config)
                .arg("--corpus")
                .arg(&corpus)
                .arg("--out")
                .arg(out)
                .args(&crate::train::words(options))
        };
        train(&run, "--limit 45").ends_with(1);
        let mut documents = 0;
        for file in files(&run.join(".rho-mask/tokens")) {
            if file.ends_with(".arrow") {
                let path = run.join(".rho-mask/tokens").join(file);
                documents += read_masks(path).unwrap().count();
            }
        }
        assert_eq!(documents, 45);
        let refused = train(&run, "--limit 44").ends_with(2);
        assert_eq!(
            refused.lines_with("limit: 45 before, 44 now").len(),
            1,
            "{}",
            refused.stderr
        );
    }
}
