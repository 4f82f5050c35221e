//! A run that left something out ends with 1, at each start, and names it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ended, Run, compress, tiny::tiny, token_lines, write};

/// A corpus with a shard that ends early and one with a row without a text.
fn corpus(place: &Path) -> PathBuf {
    let folder = place.join("corpus");
    let line = |i: usize| format!("{{\"text\": \"row {i} of a small corpus to train on\"}}\n");
    let lines: String = (0..200).map(line).collect();
    write(&folder.join("a.jsonl"), &lines);
    let packed = compress(&[&lines, &lines], "gz");
    write(&folder.join("cut.jsonl.gz"), &packed[..packed.len() - 20]);
    write(&folder.join("z.jsonl"), lines + "{\"id\": 1}\n");
    folder
}

/// Starts a command twice; each start ends with 1 and names the broken shard.
#[track_caller]
fn twice(run: impl Fn() -> Run) -> [Ended; 2] {
    [(); 2].map(|()| {
        let ended = run().ends_with(1);
        let said = ended.lines_with("cut.jsonl.gz is left out from row");
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        assert_eq!(
            ended.lines_with("rejected.jsonl").len(),
            1,
            "{}",
            ended.stderr
        );
        ended
    })
}

#[cfg(feature = "train")]
#[test]
fn train() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (corpus(place.path()), place.path().join("run"));
    let run = || {
        crate::train::train(place.path(), "clm", &out)
            .args(&["--steps", "2", "--corpus"])
            .arg(&corpus)
    };
    let [_, again] = twice(run);
    assert!(
        again.stderr.contains("all steps are done already"),
        "{}",
        again.stderr
    );
    fs::remove_file(corpus.join("cut.jsonl.gz")).unwrap();
    fs::remove_file(corpus.join("z.jsonl")).unwrap();
    run().arg("--restart").ends_with(0);
    run().ends_with(0);
}

#[test]
fn score() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    tiny(&place.path().join("model"));
    for scope in ["document", "corpus"] {
        let run = || {
            Run::score(&corpus, &place.path().join(format!("by-{scope}")))
                .arg("--model")
                .arg(place.path().join("model"))
                .args(&["--scope", scope, "--progress", "none"])
        };
        twice(run);
    }
    let finish = || Run::new(&["finish"]).arg(place.path().join("by-document"));
    twice(finish);
}

#[test]
fn rows_alone_are_said_at_each_start_too() {
    let place = tempfile::tempdir().unwrap();
    tiny(&place.path().join("model"));
    let corpus = place.path().join("corpus");
    for name in ["a.jsonl", "b.jsonl"] {
        // Two ranks have a shard each; every shard has a bad row.
        write(
            &corpus.join(name),
            token_lines(&vec![vec![5, 6, 7]; 40]) + "bad\n",
        );
    }
    let run = |scope: &str, rank: &str| {
        let out = place.path().join(format!("by-{scope}"));
        Run::score_tokens(&corpus, &place.path().join("model"), &out).args(&[
            "--scope",
            scope,
            "--progress",
            "none",
            "--world-size",
            "2",
            "--rank",
            rank,
        ])
    };
    for scope in ["document", "corpus"] {
        // The other rank's shard is missing at first.
        for rank in ["0", "0", "1", "1", "0"] {
            let ended = run(scope, rank).ends_with(1);
            if scope == "document" || rank == "1" {
                assert!(ended.stderr.contains("rejected.jsonl"), "{}", ended.stderr);
            }
        }
    }
}

#[cfg(feature = "train")]
#[test]
fn dynamics() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    for (name, seed) in [("m1", 1), ("m2", 2), ("m3", 3)] {
        crate::support::tiny::with_tokenizer(&place.path().join(name));
        crate::support::tiny::tiny_drawn(&place.path().join(name), 2048, seed);
    }
    twice(|| {
        Run::new(&[
            "dynamics",
            "--device",
            "cpu",
            "--progress",
            "none",
            "--checkpoints",
        ])
        .arg(place.path().join("m1"))
        .arg(place.path().join("m2"))
        .arg(place.path().join("m3"))
        .arg("--corpus")
        .arg(&corpus)
        .arg("--out")
        .arg(place.path().join("out"))
    });
}

#[cfg(feature = "train")]
#[test]
fn an_experiment_names_the_step() {
    const FILE: &str = r#"
title = "A row without a text"
seeds = [0]

[base]
init = "config/config.json"
tokenizer = "config/tokenizer.json"
files = ["good.jsonl"]
steps = 2

[reference]
files = ["good.jsonl"]
steps = 2

[corpus]
files = ["bad.jsonl"]

[train]
length = 64
batch_tokens = 256

[budget]
steps = 2

[evaluation]
files = ["good.jsonl"]

[[arms]]
name = "clm"
objective = "clm"
"#;
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    crate::train::config(place.path());
    fs::rename(corpus.join("a.jsonl"), place.path().join("good.jsonl")).unwrap();
    fs::rename(corpus.join("z.jsonl"), place.path().join("bad.jsonl")).unwrap();
    write(&place.path().join("experiment.toml"), FILE);
    for _ in 0..2 {
        let ended = Run::new(&["experiment", "--progress", "none"])
            .arg(place.path().join("experiment.toml"))
            .arg("--out")
            .arg(place.path().join("out"))
            .ends_with(1);
        let said = ended.lines_with("note: step scores skipped rows or shards");
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        assert!(said[0].ends_with("rejected.jsonl"), "{said:?}");
    }
}
