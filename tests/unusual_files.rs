//! Files that are no files, names that are hardly names, and what a run says about files of an unusual form.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rho_formats::read_masks;
use serde_json::json;

use crate::support::{Ended, Run, write};

/// Longer than any refusal takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs, and fails if the program waits.
fn ends_in_time(mut run: Run) -> Ended {
    let shown = format!("{:?}", run.0);
    let mut child = run
        .0
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{shown}: waits");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_by_name_at_once() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write(&at("a.jsonl"), json!({"text": "One document."}).to_string());
    let fifo = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    for name in [
        "fifo.jsonl",
        "model/config.json",
        "fifo.onnx",
        "tokenizer.json",
        "fifo.arrow",
        "list",
    ] {
        fifo(&at(name));
    }
    let socket = at("socket.jsonl");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let score = |corpus: &Path| Run::score(corpus, &at("out"));
    let mut list = std::ffi::OsString::from("@");
    list.push(at("list"));
    for (what, run) in [
        ("fifo.jsonl", score(&at("fifo.jsonl"))),
        ("socket.jsonl", score(&socket)),
        ("/dev/zero", score(Path::new("/dev/zero"))),
        ("list", score(Path::new(&list))),
        (
            "config.json",
            score(&at("a.jsonl")).arg("--model").arg(at("model")),
        ),
        (
            "fifo.onnx",
            score(&at("a.jsonl")).arg("--model").arg(at("fifo.onnx")),
        ),
        (
            "tokenizer.json",
            score(&at("a.jsonl"))
                .arg("--tokenizer")
                .arg(at("tokenizer.json")),
        ),
        ("fifo.arrow", Run::new(&["stats"]).arg(at("fifo.arrow"))),
        ("fifo.arrow", Run::new(&["show"]).arg(at("fifo.arrow"))),
    ] {
        let ended = ends_in_time(run);
        assert_eq!(ended.code, Some(2), "{what}: {}", ended.stderr);
        let error = ended.lines_with("error")[0];
        assert!(error.contains(what), "{what}: {}", ended.stderr);
        assert!(
            !ended.lines_with("hint: ").is_empty(),
            "{what}: {}",
            ended.stderr
        );
    }
    assert!(!at("out").join("state.json").exists());
}

#[test]
fn a_pointer_in_the_place_of_a_tokenizer_is_said() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    write(&at("a.jsonl"), json!({"text": "One document."}).to_string());
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9085657\n";
    write(&at("tokenizer.json"), pointer);
    let run = Run::score(&at("a.jsonl"), &at("out"));
    let ended = run
        .arg("--tokenizer")
        .arg(at("tokenizer.json"))
        .ends_with(2);
    assert!(
        ended.stderr.contains("got a Git LFS pointer"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("hint: download its content: git lfs pull"),
        "{}",
        ended.stderr
    );
}

#[test]
fn names_of_any_length_have_masks_of_their_own() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
    // As names made of URLs are: 255 bytes, the most that most file systems take.
    let long = |letter: &str| format!("{}.jsonl", letter.repeat(249));
    let names = [
        "a.jsonl".to_owned(),
        "a.jsonl.arrow/b.jsonl".to_owned(),
        "a.jsonl.json/c.jsonl".to_owned(),
        long("n"),
        format!("folder/{}", long("o")),
        format!("folder/{}.txt", "\u{e4}".repeat(120)),
    ];
    for name in &names {
        let line = json!({"id": name, "text": format!("The document of {}.", name.len())});
        write(&corpus.join(name), line.to_string());
    }
    // Rejected, so that its list of rejections is written as well.
    fs::write(
        corpus.join(&names[3]),
        "{}\n{\"id\":\"n\",\"text\":\"One more.\"}",
    )
    .unwrap();
    Run::score(&corpus, &out).ends_with(1);
    let documents = |folder: &Path| read_masks(folder).unwrap().map(Result::unwrap).count();
    assert_eq!(documents(&out), names.len());
    // Everything is found again.
    let again = Run::score(&corpus, &out).ends_with(1);
    assert!(
        again.stderr.contains("all shards are masked already"),
        "{}",
        again.stderr
    );
    assert_eq!(documents(&out), names.len());
    let selected = place.path().join("selected");
    Run::new(&["select"])
        .arg(&out)
        .args(&["--by", "loss", "--keep", "0.5", "--out"])
        .arg(&selected)
        .ends_with(0);
    assert_eq!(documents(&selected), names.len());
    for to in ["webdataset", "mds"] {
        let converted = place.path().join(to);
        Run::new(&["convert"])
            .arg(&out)
            .args(&["--to", to, "--out"])
            .arg(&converted)
            .ends_with(0);
    }
    Run::score(&corpus, &out).args(&["--restart"]).ends_with(1);
    assert_eq!(documents(&out), names.len());
}

#[test]
fn a_large_window_is_said_once() {
    let place = tempfile::tempdir().unwrap();
    let line = "{\"text\":\"One document.\"}\n";
    // A frame with a window of 2 GiB and one raw block.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3];
    bytes.extend(&((line.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    bytes.extend(line.as_bytes());
    let corpus = place.path().join("long.jsonl.zst");
    fs::write(&corpus, bytes).unwrap();
    let ended = Run::score(&corpus, &place.path().join("out")).ends_with(0);
    let notes = ended.lines_with("zstd window");
    assert_eq!(notes.len(), 1, "{}", ended.stderr);
    assert!(
        notes[0].contains("up to 2048 MiB of memory"),
        "{}",
        notes[0]
    );
}
