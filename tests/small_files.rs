//! Corpora of many small files, which share masks files and syncs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::{MaskRow, read_masks};
use serde_json::{Value, json};

use crate::corpus_folders::assert_same;
use crate::support::{Run, files, read_json, skipped, tiny::tiny, token_lines, write};

/// So many short texts in folders; every tenth is empty.
fn texts(corpus: &Path, count: usize) {
    for text in 0..count {
        let folder = text / 40;
        let words = "word ".repeat(text % 10);
        write(&corpus.join(format!("{folder}/{text:04}.txt")), words);
    }
}

fn score(corpus: &Path, model: &Path, out: &Path) -> Run {
    Run::score(corpus, out)
        .args(&["--keep-text", "--model"])
        .arg(model)
}

/// The documents of some masks by shard.
fn by_shard(out: &Path) -> BTreeMap<String, Vec<MaskRow>> {
    let mut masks = read_masks(out).unwrap();
    let mut found: BTreeMap<String, Vec<MaskRow>> = BTreeMap::new();
    while let Some(row) = masks.next() {
        let row = row.unwrap();
        found.entry(masks.shard().to_owned()).or_default().push(row);
    }
    found
}

/// The masks of all documents.
fn bits(out: &Path) -> Vec<Vec<Vec<bool>>> {
    let rows = by_shard(out).into_values().flatten();
    rows.map(|row| row.masks).collect()
}

/// The names of the mask files.
fn arrow(out: &Path) -> Vec<String> {
    let mut files = files(out);
    files.retain(|name| name.ends_with(".arrow"));
    files
}

#[test]
fn every_text_keeps_its_name_and_the_scores_it_has_alone() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        place.path().join("corpus"),
        tiny(&place.path().join("model")),
    );
    texts(&corpus, 100);
    write(
        &corpus.join("1/large.jsonl"),
        json!({"text": "x".repeat(70_000)}).to_string(),
    );
    let out = place.path().join("masks");
    score(&corpus, &model, &out)
        .args(&["--scope", "document"])
        .ends_with(0);
    let alone = (80..100).map(|text| format!("2/{text:04}.txt.arrow"));
    let mut expected = vec![
        "0/0000.txt.80-files.arrow".to_owned(),
        "1/large.jsonl.arrow".to_owned(),
    ];
    expected.extend(alone);
    assert_eq!(arrow(&out), expected);
    let got = by_shard(&out);
    assert_eq!(got.len(), 101);
    // The same texts as lines of one file.
    let lines = |name: &String, rows: &Vec<MaskRow>| {
        let text = rows[0].text.as_ref().unwrap();
        json!({"id": format!("{name}#0"), "text": text}).to_string() + "\n"
    };
    let alone: String = got.iter().map(|(name, rows)| lines(name, rows)).collect();
    let one_file = place.path().join("one.jsonl");
    write(&one_file, alone);
    let expected = place.path().join("expected");
    score(&one_file, &model, &expected)
        .args(&["--scope", "document"])
        .ends_with(0);
    let expected = &by_shard(&expected)["one.jsonl"];
    for (rows, expected) in got.values().zip(expected) {
        assert_eq!(rows.len(), 1);
        // The tiny model's scores of a token depend on nothing else; NaN equals itself in this form.
        let same = MaskRow {
            row: 0,
            ..expected.clone()
        };
        assert_eq!(format!("{:?}", rows[0]), format!("{same:?}"));
    }
}

#[test]
fn a_broken_text_is_named_and_the_others_are_masked() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        place.path().join("corpus"),
        tiny(&place.path().join("model")),
    );
    texts(&corpus, 40);
    let whole = crate::support::compress(&["{\"text\":\"one\"}\n{\"text\":\"two\"}\n"], "gz");
    let cut = corpus.join("0/0007.jsonl.gz");
    write(&cut, &whole[..whole.len() - 4]);
    let out = place.path().join("masks");
    let score = || score(&corpus, &model, &out);
    for _ in 0..2 {
        let ended = score().ends_with(1);
        assert_eq!(
            ended.lines_with("41, 1 ended early").len(),
            1,
            "{}",
            ended.stderr
        );
        assert!(
            !ended.lines_with("0/0007.jsonl.gz").is_empty(),
            "{}",
            ended.stderr
        );
        let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
        let rejected: Vec<Value> = rejected
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(rejected.len(), 1);
        assert_eq!(rejected[0]["shard"], "0/0007.jsonl.gz");
        assert_eq!(arrow(&out), ["0/0000.txt.41-files.arrow"]);
        assert_eq!(
            by_shard(&out)
                .keys()
                .filter(|name| name.ends_with("txt"))
                .count(),
            40
        );
    }
    write(&cut, &whole);
    score().ends_with(0);
    assert_eq!(by_shard(&out)["0/0007.jsonl.gz"].len(), 2);
    let anew = place.path().join("anew");
    crate::small_files::score(&corpus, &model, &anew).ends_with(0);
    assert_same(&out, &anew);
}

#[test]
fn every_command_reads_what_is_gathered() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        place.path().join("corpus"),
        tiny(&place.path().join("model")),
    );
    texts(&corpus, 200);
    let at = |name: &str| place.path().join(name);
    // Small files of masks, so that a group has several.
    let options = ["--keep", "0.5", "--batch", "300", "--shard-size", "20kB"];
    score(&corpus, &model, &at("masks"))
        .args(&options)
        .ends_with(0);
    assert!(arrow(&at("masks")).len() > 2);
    for rank in ["1", "0"] {
        let ranks = ["--world-size", "2", "--rank", rank];
        score(&corpus, &model, &at("ranks"))
            .args(&options)
            .args(&ranks)
            .ends_with(0);
    }
    assert_same(&at("ranks"), &at("masks"));
    Run::new(&["finish"]).arg(at("ranks")).ends_with(0);
    assert_same(&at("ranks"), &at("masks"));
    // Selecting again ranks in the same scopes.
    let select = Run::new(&[
        "select",
        "--by",
        "intersection",
        "--keep",
        "0.5",
        "--batch",
        "300",
    ]);
    select
        .arg(at("masks"))
        .arg("--out")
        .arg(at("again"))
        .ends_with(0);
    assert_eq!(arrow(&at("again")), arrow(&at("masks")));
    assert!(bits(&at("again")) == bits(&at("masks")));
    let corpus_scope = ["--keep", "0.5", "--scope", "corpus"];
    score(&corpus, &model, &at("ranked"))
        .args(&corpus_scope)
        .ends_with(0);
    let stats = Run::new(&["stats", "--json"]).arg(at("masks")).ends_with(0);
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["total"]["documents"], 200, "{}", stats["total"]);
    Run::new(&["report"])
        .arg(at("masks"))
        .arg("--out")
        .arg(at("report.html"))
        .ends_with(0);
    let show = Run::new(&["show", "--document", "3/0129.txt#0"])
        .arg(at("masks"))
        .ends_with(0);
    assert!(show.stdout.contains("word"), "{}", show.stdout);
    Run::new(&["convert", "--to", "jsonl"])
        .arg(at("masks"))
        .arg("--out")
        .arg(at("converted"))
        .ends_with(0);
    let lines = files(&at("converted"))
        .into_iter()
        .filter(|name| name.ends_with("jsonl"));
    let lines = lines.map(|name| fs::read_to_string(at("converted").join(name)).unwrap());
    assert_eq!(lines.map(|text| text.lines().count()).sum::<usize>(), 200);
    assert_eq!(read_json(&at("masks/summary.json"))["shards"], 200);
    // As one stream.
    let stream = Run::score(&corpus, Path::new("-"))
        .arg("--model")
        .arg(&model);
    let mut stream = stream.args(&options[..4]);
    let stream = stream.0.output().unwrap();
    fs::write(at("stream.arrow"), stream.stdout).unwrap();
    assert_eq!(by_shard(&at("stream.arrow")).len(), 200);
    assert!(bits(&at("stream.arrow")) == bits(&at("masks")));
    #[cfg(feature = "train")]
    {
        let config = crate::train::config(place.path());
        let words = crate::train::words(
            "train --device cpu --objective clm --epochs 1 --length 16 --batch-tokens 64 --init",
        );
        Run::new(&words)
            .arg(config)
            .arg("--corpus")
            .arg(&corpus)
            .arg("--out")
            .arg(at("run"))
            .ends_with(0);
        let tokens = at("run/.rho-mask/tokens");
        assert_eq!(by_shard(&tokens).len(), 200);
    }
}

#[test]
fn analyses_over_checkpoints_gather_too() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("corpus");
    for shard in 0..60_u32 {
        let ids = (0..20).map(|i| 20 + (shard * 31 + i * 7) % 2000).collect();
        write(
            &corpus.join(format!("{shard:02}.jsonl")),
            token_lines(&[ids]),
        );
    }
    let out = place.path().join("dynamics");
    let models: Vec<PathBuf> = (0..3)
        .map(|seed| {
            let folder = place.path().join(format!("model-{seed}"));
            crate::support::tiny::with_tokenizer(&folder);
            crate::support::tiny::tiny_drawn(&folder, 2048, seed)
        })
        .collect();
    let run = || {
        let run = Run::new(&["dynamics", "--device", "cpu", "--tokens-field", "input_ids"]);
        let run = models.iter().fold(run.args(&["--checkpoints"]), Run::arg);
        run.arg("--corpus").arg(&corpus).arg("--out").arg(&out)
    };
    run().ends_with(0);
    assert_eq!(arrow(&out), ["00.jsonl.60-files.arrow"]);
    assert_eq!(run().ends_with(0).lines_with("already finished").len(), 1);
    Run::new(&["report"])
        .arg(&out)
        .arg("--out")
        .arg(place.path().join("r.html"))
        .ends_with(0);
}

/// The number of syncs of a run, by strace.
fn syncs(corpus: &Path, model: &Path, out: &Path) -> Option<usize> {
    let score = score(corpus, model, out);
    let mut traced = Command::new("strace");
    let log = out.with_extension("strace");
    traced
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&log);
    traced.arg(score.0.get_program()).args(score.0.get_args());
    traced.current_dir(crate::support::root());
    let output = traced.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(0) {
        skipped(&format!("strace: {said}"));
        return None;
    }
    let log = fs::read_to_string(log).unwrap();
    Some(log.lines().filter(|line| line.contains("sync(")).count())
}

#[test]
fn syncs_grow_with_the_groups_not_the_files() {
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let syncs_of = |count: usize| {
        let corpus = place.path().join(format!("corpus-{count}"));
        texts(&corpus, count);
        syncs(
            &corpus,
            &model,
            &place.path().join(format!("masks-{count}")),
        )
    };
    let Some(few) = syncs_of(64) else {
        skipped("strace is missing");
        return;
    };
    let many = syncs_of(1000).unwrap();
    // Both are one group. A run with one file has 20 or so.
    assert_eq!(few, many);
    assert!(few < 40, "{few}");
    let two_groups = syncs_of(1100).unwrap();
    assert!(
        two_groups > many && two_groups < many + 20,
        "{many}, {two_groups}"
    );
}
