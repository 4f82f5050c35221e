//! Remote corpora: a web server, a bucket, and faults of networks. The masks equal those of the same files on this
//! machine.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{
    Ended, Random, Run, assert_same_scores,
    bucket::Bucket,
    compress,
    proxy::{self, Proxy},
    python::python,
    rows,
    server::{Faults, Server},
    tiny::tiny,
    write,
};

/// More than one block of a download, most of it in fields that are not scored and compress badly.
fn lines() -> String {
    let mut random = Random(3);
    let mut line = |i: usize| {
        let noise: String = (0..480).map(|_| format!("{:x}", random.next())).collect();
        let text = format!("{i} and {} make {}. ", i * i, i + i * i).repeat(1 + i % 9);
        format!("{}\n", serde_json::json!({"noise": noise, "text": text}))
    };
    (0..2000).map(&mut line).collect()
}

struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny(&folder.path().join("model"));
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn score(&self, corpus: &str, out: &str) -> Run {
        Run::score(Path::new(corpus), &self.at(out))
            .arg("--model")
            .arg(self.at("model"))
    }

    /// The masks of a file on this machine.
    fn expected(&self, name: &str, bytes: &[u8]) -> Vec<u8> {
        write(&self.at(name), bytes);
        self.score(self.at(name).to_str().unwrap(), "expected")
            .ends_with(0);
        self.masks("expected", name)
    }

    /// The bytes of a mask file.
    fn masks(&self, out: &str, name: &str) -> Vec<u8> {
        fs::read(self.at(out).join(format!("{name}.arrow"))).unwrap()
    }
}

#[track_caller]
fn said(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "expected {word:?} in {}",
            ended.stderr
        );
    }
}

#[test]
fn a_web_server_and_what_can_happen_to_it() {
    let place = Workspace::new();
    let bytes = lines().into_bytes();
    assert!(bytes.len() > 5 << 20);
    let expected = place.expected("a.jsonl", &bytes);
    let served = |faults| {
        let files = HashMap::from([("data/a.jsonl".to_owned(), bytes.clone())]);
        let server = Server::start(files, faults);
        let url = format!("{}/data/a.jsonl", server.url);
        (server, url)
    };

    let (server, url) = served(Faults {
        cut_every: 3,
        delay: Duration::from_millis(20),
        ..Faults::default()
    });
    place.score(&url, "cut").ends_with(0);
    assert!(place.masks("cut", "a.jsonl") == expected);
    assert!(server.ranges().len() > 2, "{:?}", server.ranges());

    // The file vanishes after its first block: the rows so far are kept, and the next start tries again.
    let (_, url) = served(Faults {
        gone_after: 2,
        ..Faults::default()
    });
    let ended = place.score(&url, "gone").ends_with(1);
    said(&ended, &["a.jsonl", "ended early"]);
    let kept = rows(&place.at("gone"), "a.jsonl");
    let all = rows(&place.at("expected"), "a.jsonl");
    assert!(!kept.is_empty() && kept.len() < all.len());
    // A shorter read-ahead block has other batches.
    assert_same_scores(&kept, &all[..kept.len()], 1e-5, "kept");

    let (server, url) = served(Faults::default());
    let again = place.score(&url, "gone").ends_with(0);
    said(&again, &["a.jsonl: it broke at row", "it is tried again"]);
    assert!(place.masks("gone", "a.jsonl") == expected);

    // Another version of the same size.
    let mut changed = bytes.clone();
    let digit = changed.iter().rposition(u8::is_ascii_digit).unwrap();
    changed[digit] ^= 1;
    server
        .files
        .lock()
        .unwrap()
        .insert("data/a.jsonl".to_owned(), changed);
    let refused = place.score(&url, "gone").ends_with(2);
    said(&refused, &["the same size, but ETag", "--restart"]);
}

#[test]
fn a_bucket_behind_a_bad_network() {
    let Some(python) = python() else { return };
    let place = Workspace::new();
    let all = lines();
    let packed = compress(&[&all], "gz");
    let expected = place.expected("a.jsonl.gz", &packed);
    let bucket = place.at("bucket");
    write(&bucket.join("some/a.jsonl.gz"), &packed);
    let bucket = Bucket::start(&python, &bucket);
    let score = |endpoint: &str, out: &str| {
        Bucket::environment(endpoint).into_iter().fold(
            place.score("s3://corpus/some/", out),
            |run, (name, value)| run.env(name, value),
        )
    };

    let slow_and_cut = Proxy::start(
        &bucket.address,
        proxy::Faults {
            delay: Duration::from_millis(3),
            cut_every: 16,
            ..proxy::Faults::default()
        },
    );
    score(&slow_and_cut.url, "cut").ends_with(0);
    assert!(slow_and_cut.handfuls() >= 16, "nothing was cut");
    assert!(place.masks("cut", "a.jsonl.gz") == expected);

    // Bytes corrupted in transit are not accepted, and the next start tries again.
    let corrupting = Proxy::start(
        &bucket.address,
        proxy::Faults {
            corrupted: 2,
            ..proxy::Faults::default()
        },
    );
    // Before the checksum at the end, they may look like bad rows.
    let ended = score(&corrupting.url, "corrupted")
        .args(&["--max-rejected", "100%"])
        .ends_with(1);
    assert!(corrupting.handfuls() >= 1, "nothing was corrupted");
    said(&ended, &["a.jsonl.gz", "ended early"]);
    score(&corrupting.url, "corrupted").ends_with(0);
    assert!(place.masks("corrupted", "a.jsonl.gz") == expected);

    let ended = score("http://127.0.0.1:9", "nobody").ends_with(2);
    said(&ended, &["s3://corpus/some/", "hint"]);
    assert!(fs::metadata(place.at("nobody")).is_err());
}

#[test]
fn standard_input_is_gone_on_with_only_if_it_is_the_same() {
    let place = Workspace::new();
    let lines = lines();
    let score = |input: &str, arguments: &[&str]| {
        write(&place.at("input"), input);
        let mut run = place
            .score("-", "masks")
            .args(&["--batch-tokens", "16"])
            .args(arguments);
        run.0.stdin(fs::File::open(place.at("input")).unwrap());
        run
    };
    // Bad rows at the end stop it there.
    let half: String = lines.lines().take(1000).map(|l| format!("{l}\n")).collect();
    let bad = half.clone() + &"bad\n".repeat(300);
    let stopped = score(&bad, &["--max-rejected", "1%"]).ends_with(2);
    said(&stopped, &["bad"]);
    let others = lines.replace("make", "mate");
    let refused = score(&others, &[]).ends_with(2);
    said(
        &refused,
        &["stdin: expected the", "rows that the masks", "got others"],
    );
    let shorter: String = lines.lines().take(2).map(|l| format!("{l}\n")).collect();
    said(&score(&shorter, &[]).ends_with(2), &["got others"]);
    let ended = score(&lines, &[]).ends_with(0);
    assert_eq!(
        rows(&place.at("masks"), "stdin").len(),
        2000,
        "{}",
        ended.stderr
    );
    let again = score(&others, &[]).ends_with(0);
    said(
        &again,
        &["its masks are complete; standard input is not read"],
    );
}
