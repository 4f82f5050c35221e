//! Folders of a corpus in which results of earlier runs lie.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, files, tiny::tiny, write};

/// Three files of one document each, and a folder below.
fn corpus(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    for i in 1..4 {
        let line = json!({"id": format!("x{i}"), "text": format!("some document {i} here")});
        write(&corpus.join(format!("{i}.jsonl")), format!("{line}\n"));
    }
    write(&corpus.join("sub/4.txt"), "a text in a folder below");
    corpus
}

/// All files of two folders with their bytes, but for the times in the summary.
#[track_caller]
pub(crate) fn assert_same(got: &Path, expected: &Path) {
    assert_eq!(files(got), files(expected));
    for name in files(expected) {
        let [got, expected] = [got, expected].map(|folder| {
            let bytes = fs::read(folder.join(&name)).unwrap();
            if name != "summary.json" {
                return bytes;
            }
            let mut summary: Value = serde_json::from_slice(&bytes).unwrap();
            summary.as_object_mut().unwrap().remove("speed");
            summary.to_string().into_bytes()
        });
        assert!(got == expected, "{name} differs");
    }
}

#[test]
fn masks_inside_the_corpus_are_resumed_and_never_scored() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (corpus(place.path()), tiny(&place.path().join("model")));
    let score = |out: &Path, options: &[&str]| {
        Run::score(&corpus, out)
            .args(&["--keep-text", "--model"])
            .arg(&model)
            .args(options)
    };
    let expected = place.path().join("expected");
    score(&expected, &[]).ends_with(0);
    let inside = corpus.join("masks");
    // The second rank starts when the masks of the first are there.
    for rank in ["0", "1"] {
        score(&inside, &["--world-size", "2", "--rank", rank]).ends_with(0);
    }
    assert_same(&inside, &expected);
    let again = score(&inside, &[]).ends_with(0);
    assert_eq!(again.lines_with("already").len(), 1, "{}", again.stderr);
    let said = format!("1 folder that rho-mask wrote ({})", inside.display());
    assert_eq!(again.lines_with(&said).len(), 1, "{}", again.stderr);
    let other = place.path().join("other");
    score(&other, &[]).ends_with(0);
    assert_same(&other, &expected);
    // In the scope `corpus`, the scores are in a folder of their own for a while.
    let ranked = corpus.join("ranked");
    score(&ranked, &["--scope", "corpus"]).ends_with(0);
    let ended = score(&ranked, &["--scope", "corpus"]).ends_with(0);
    assert_eq!(ended.lines_with("2 folders that rho-mask wrote").len(), 1);
    // Named itself, a masks folder is a corpus.
    let scored_again = place.path().join("again");
    let run = Run::score(&inside, &scored_again)
        .arg("--model")
        .arg(&model);
    let ended = run.ends_with(0);
    assert_eq!(ended.lines_with("passed over").len(), 0, "{}", ended.stderr);
    assert!(scored_again.join("1.jsonl.arrow.arrow").exists());
}

#[test]
fn every_command_passes_them_over() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (corpus(place.path()), tiny(&place.path().join("model")));
    let masks = corpus.join("masks");
    let score = Run::score(&corpus, &masks).args(&["--keep-text", "--model"]);
    score.arg(&model).ends_with(0);
    write(&corpus.join("_old/5.jsonl"), "no JSON");
    let eval = Run::new(&["eval", "--device", "cpu", "--json", "--data"])
        .arg(&corpus)
        .arg("--model")
        .arg(&model)
        .ends_with(0);
    let measured: Value = serde_json::from_str(&eval.stdout).unwrap();
    assert_eq!(measured["sets"][0]["documents"], 4, "{measured}");
    let said = format!(
        "passed over in the corpus: 1 folder that rho-mask wrote ({}), 1 name that starts with . or _ ({})",
        masks.display(),
        corpus.join("_old").display()
    );
    assert_eq!(eval.lines_with(&said).len(), 1, "{}", eval.stderr);
    #[cfg(feature = "train")]
    {
        let (run, config) = (corpus.join("run"), crate::train::config(place.path()));
        let train = || {
            Run::new(&crate::train::words(
                "train --device cpu --objective clm --steps 2 --length 16 --batch-tokens 64 --progress none --init",
            ))
            .arg(&config)
            .arg("--corpus")
            .arg(&corpus)
            .arg("--out")
            .arg(&run)
        };
        let first = train().ends_with(0);
        assert_eq!(first.lines_with(&said).len(), 1, "{}", first.stderr);
        // The run's own folder is one more, and its corpus the same.
        let again = train().ends_with(0);
        assert_eq!(again.lines_with("2 folders that rho-mask wrote").len(), 1);
    }
}
