//! `score --scope corpus`: one command that scores and then ranks all tokens together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Run, files, metadata, read_json, tiny::tiny, write};

const RULE: [&str; 4] = ["--by", "union", "--keep", "0.35"];

struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        tiny(&place.at("ref"));
        for name in ["pages.jsonl", "texts/notes.txt", "texts/thread.txt"] {
            let bytes = fs::read(Path::new("examples/corpus").join(name)).unwrap();
            write(&place.at("corpus").join(name), bytes);
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn score(&self, out: &str) -> Run {
        let run = Run::score(&self.at("corpus"), &self.at(out));
        run.arg("--model").arg(self.at("ref"))
    }

    fn in_corpus(&self, out: &str) -> Run {
        self.score(out).args(&RULE).args(&["--scope", "corpus"])
    }

    /// The masks that `select` computes from the same scores. They come from a rule without scopes, because a corpus
    /// that is ranked as a whole is scored without scopes.
    fn selected(&self, out: &str) {
        let scored = format!("{out}-scored");
        let unscoped = ["--by", "threshold", "--below", "1"];
        let run = self.score(&scored).args(&unscoped);
        let ended = run.end();
        assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
        Run::new(&["select", "--scope", "corpus"])
            .arg(self.at(&scored))
            .arg("--out")
            .arg(self.at(out))
            .args(&RULE)
            .ends_with(0);
    }

    fn arrows(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let names = files(&self.at(out)).into_iter();
        // While a shard is broken, the scores of the others wait for it.
        let names = names.filter(|n| n.ends_with(".arrow") && !n.starts_with(".rho-mask-scored"));
        names
            .map(|name| (name.clone(), fs::read(self.at(out).join(name)).unwrap()))
            .collect()
    }

    fn summary(&self, out: &str) -> Value {
        read_json(&self.at(out).join("summary.json"))
    }
}

#[test]
fn it_gives_the_files_of_select() {
    let place = Workspace::new();
    place.selected("expected");
    let ended = place.in_corpus("masks").ends_with(0);
    assert!(place.arrows("masks") == place.arrows("expected"));
    let (summary, expected) = (place.summary("masks"), place.summary("expected"));
    assert_eq!(summary["kept"], expected["kept"]);
    assert_eq!(summary["scope"], "corpus");
    let scored = summary["scored"].as_f64().unwrap();
    assert_eq!(summary["kept"]["loss"]["tokens"], (0.35 * scored).round());
    assert_eq!(
        summary["mean_loss"],
        place.summary("expected-scored")["mean_loss"]
    );
    let said = metadata(&place.at("masks"), "pages.jsonl");
    assert_eq!(said["selections"][0]["kept"], (0.35 * scored).round());
    assert_eq!(ended.lines_with("by union").len(), 1, "{}", ended.stderr);
    // The scores are not kept twice.
    assert!(!place.at("masks/.rho-mask-scored").exists());

    let again = place.in_corpus("masks").ends_with(0);
    assert!(again.stderr.contains("masked already"), "{}", again.stderr);
    let other = place.in_corpus("masks").args(&["--seed", "1"]).ends_with(2);
    assert!(other.stderr.contains("--seed"), "{}", other.stderr);
    let other = place
        .score("masks")
        .args(&["--by", "loss", "--scope", "corpus"])
        .ends_with(2);
    assert!(
        other.stderr.contains("--by: union before, loss now")
            && other.stderr.contains("`rho-mask select`"),
        "{}",
        other.stderr
    );
    let other = place.score("masks").ends_with(2);
    assert!(other.stderr.contains("another plan"), "{}", other.stderr);
    let path = place.at("corpus/texts/notes.txt");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + " And more.").unwrap();
    let changed = place.in_corpus("masks").ends_with(2);
    assert!(
        changed.stderr.contains("notes.txt") && changed.stderr.contains("got another"),
        "{}",
        changed.stderr
    );
    // Restarted, with the other corpus.
    place.in_corpus("masks").arg("--restart").ends_with(0);
    place.selected("expected-anew");
    assert!(place.arrows("masks") == place.arrows("expected-anew"));

    let stream = Run::score(&place.at("corpus"), Path::new("-")).args(&RULE);
    let stream = stream.args(&["--scope", "corpus"]).ends_with(2);
    assert!(stream.stderr.contains("--out -"), "{}", stream.stderr);
    place.score("batches").ends_with(0);
    let into = place.in_corpus("batches").ends_with(2);
    assert!(
        into.stderr.contains("one of another scope"),
        "{}",
        into.stderr
    );
    // What was refused leaves nothing that looks like a started run.
    assert!(!place.at("batches/.rho-mask-scored").exists());
}

#[test]
fn whoever_ends_last_selects() {
    let place = Workspace::new();
    place.selected("expected");
    for rank in ["2", "0", "1"] {
        let run = place.in_corpus("masks");
        let ended = run
            .args(&["--rank", rank, "--world-size", "3"])
            .ends_with(0);
        let last = rank == "1";
        assert_eq!(
            ended.stderr.contains("selecting among all tokens"),
            last,
            "{}",
            ended.stderr
        );
        assert_eq!(place.at("masks/summary.json").exists(), last);
        if !last {
            let finish = Run::new(&["finish"]).arg(place.at("masks")).ends_with(2);
            assert!(
                finish.stderr.contains("started with --scope corpus"),
                "{}",
                finish.stderr
            );
        }
    }
    assert!(place.arrows("masks") == place.arrows("expected"));
    let again = place
        .in_corpus("masks")
        .args(&["--rank", "2", "--world-size", "3"])
        .ends_with(0);
    assert!(again.stderr.contains("masked already"), "{}", again.stderr);
}

#[test]
fn a_broken_shard_is_tried_again() {
    let place = Workspace::new();
    let rows = fs::read(place.at("corpus/pages.jsonl")).unwrap();
    let whole = zstd::encode_all(&rows[..], 3).unwrap();
    let path = place.at("corpus/more.jsonl.zst");
    fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    let ended = place.in_corpus("masks").ends_with(1);
    assert!(ended.stderr.contains("rejected.jsonl"), "{}", ended.stderr);
    assert_eq!(place.summary("masks")["broken_shards"], 1);
    let rejected = fs::read_to_string(place.at("masks/rejected.jsonl")).unwrap();
    assert!(rejected.contains("ends early"), "{rejected}");
    place.in_corpus("masks").ends_with(1);
    place.selected("broken");
    assert!(place.arrows("masks") == place.arrows("broken"));

    fs::write(&path, &whole).unwrap();
    place.in_corpus("masks").ends_with(0);
    assert_eq!(place.summary("masks")["broken_shards"], 0);
    assert!(!place.at("masks/.rho-mask-scored").exists());
    assert!(!place.at("masks/rejected.jsonl").exists());
    place.selected("mended");
    assert!(place.arrows("masks") == place.arrows("mended"));
}
