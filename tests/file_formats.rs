//! Masks as Arrow streams, Arrow files and Parquet: the same rows in other programs, and in every command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::ScoreType;

use crate::support::{
    Random, Run, bytes_without_times, files, masks::masks, python::python, read_json, root, write,
};

const CHECK: &str = include_str!("file_formats.py");

const FORMATS: [&str; 3] = ["arrow-stream", "arrow-file", "parquet"];

/// The bytes of files, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Starts a command with more options.
type Start<'a> = Box<dyn Fn(&[&str]) -> Run + 'a>;

/// Runs a part of the script.
#[track_caller]
fn check(python: &Path, what: &str, arguments: &[PathBuf]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.args(["-c", CHECK, what]).args(arguments);
    command
        .env("HF_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} {arguments:?}\n{said}");
}

/// A corpus with sources, a shard without documents, and many small files that share a masks file.
fn corpus(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    let pages = fs::read_to_string(root().join("examples/corpus/pages.jsonl")).unwrap();
    let mut lines = String::new();
    for (i, line) in pages.lines().take(24).enumerate() {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        if i % 3 > 0 {
            row["kind"] = format!("kind {}", i % 2).into();
        }
        // Large enough for a masks file of its own.
        row["unread"] = " ".repeat(5_000).into();
        lines += &format!("{row}\n");
    }
    write(&corpus.join("a/pages.jsonl"), lines);
    write(&corpus.join("a/empty.jsonl"), "");
    for i in 0..34 {
        let words: Vec<&str> = pages.split(' ').skip(i * 9).take(12).collect();
        write(&corpus.join(format!("small/{i:02}.txt")), words.join(" "));
    }
    corpus
}

/// `score` in each format: the same rows and types in `datasets`, pyarrow and polars, which scan lazily.
#[test]
fn other_programs_open_what_score_writes() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let corpus = corpus(place.path());
    for (name, options) in [
        ("plain", &["--source-field", "kind", "--keep-text"][..]),
        (
            "half",
            &[
                "--score-dtype",
                "float16",
                "--top",
                "3",
                "--shard-size",
                "20kB",
                "--scope",
                "document",
                "--batch-tokens",
                "32",
                "--by",
                "loss",
            ],
        ),
        ("corpus", &["--scope", "corpus", "--compression", "zstd"]),
        ("weights", &["--weights", "rank", "--by", "loss"]),
    ] {
        let folders = FORMATS.map(|format| at(&format!("{name}-{format}")));
        for (format, out) in FORMATS.iter().zip(&folders) {
            let score = Run::score(&corpus, out).args(options);
            score.args(&["--format", format]).ends_with(0);
            let ending = if *format == "parquet" {
                ".parquet"
            } else {
                ".arrow"
            };
            let all = files(out);
            let masks: Vec<&String> = all
                .iter()
                .filter(|name| name.contains("jsonl") || name.contains("small"))
                .collect();
            assert!(
                masks.len() >= 3 && masks.iter().all(|name| name.ends_with(ending)),
                "{masks:?}"
            );
            assert!(
                masks.iter().any(|name| name.contains("34-files")),
                "{masks:?}"
            );
            // Nothing to do, and nothing is touched.
            let before = bytes_without_times(out);
            let again = Run::score(&corpus, out)
                .args(options)
                .args(&["--format", format]);
            let said = again.ends_with(0).stderr;
            assert!(said.contains("masked already"), "{said}");
            assert!(bytes_without_times(out) == before);
        }
        check(&python, "open", &folders);
    }
}

/// Every command gives the same output, whatever the format of its input; and writes every format from it.
#[test]
fn every_command_reads_every_format() {
    for score_type in [ScoreType::Float32, ScoreType::Float16] {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        masks(&at("base"), score_type);
        let mut expected: Option<Vec<(String, Files)>> = None;
        for format in FORMATS {
            let (input, other) = (at("in"), at("other"));
            Run::select(
                &at("base"),
                &input,
                &["--by", "intersection", "--format", format],
            )
            .ends_with(0);
            Run::select(
                &at("base"),
                &other,
                &["--by", "loss", "--weights", "rank", "--format", format],
            )
            .ends_with(0);
            for folder in [&input, &other] {
                // The times differ, and reports show them.
                let mut summary = read_json(&folder.join("summary.json"));
                summary.as_object_mut().unwrap().remove("speed");
                write(&folder.join("summary.json"), summary.to_string());
            }
            let mut results = Vec::new();
            for (run, to_file) in [
                ("stats --json", false),
                ("stats", false),
                ("show", false),
                ("show --shard b/two.jsonl --row 2500", false),
                ("report", true),
            ] {
                let words: Vec<&str> = run.split(' ').collect();
                let mut command = Run::new(&words).arg(&input);
                if to_file {
                    command = command.arg("--out").arg(at("out"));
                }
                let ended = command.ends_with(0);
                results.push((format!("{run}\n{}", ended.stdout), BTreeMap::new()));
                if to_file {
                    let html = fs::read(at("out")).unwrap();
                    results.push((run.to_owned(), BTreeMap::from([(String::new(), html)])));
                    fs::remove_file(at("out")).unwrap();
                }
            }
            let ended = Run::new(&["diff", "--json"])
                .arg(at("base"))
                .arg(&input)
                .end();
            results.push((
                format!("diff {:?} {}", ended.code, ended.stdout),
                BTreeMap::new(),
            ));
            for words in [
                "select IN --by loss --keep 0.3",
                "select IN --by excess --scope corpus --format parquet",
                "select IN --by union --format arrow-file",
                "select IN --by loss --scope document --where tokens>=9",
                "select OTHER --by random --format parquet",
                "merge IN IN --on-duplicate first",
                "merge OTHER OTHER --on-duplicate first --format parquet",
                "merge OTHER OTHER --on-duplicate first --format arrow-file",
                "convert IN --to jsonl",
                "convert IN --to parquet",
                "convert IN --to mds --dtype u32",
                "convert IN --to labels",
            ] {
                let mut command = Run::new(&[]);
                for word in words.split(' ') {
                    command = match word {
                        "IN" => command.arg(&input),
                        "OTHER" => command.arg(&other),
                        "tokens>=9" => command.arg("tokens >= 9"),
                        word => command.arg(word),
                    };
                }
                command.arg("--out").arg(at("out")).ends_with(0);
                results.push((words.to_owned(), bytes_without_times(&at("out"))));
                fs::remove_dir_all(at("out")).unwrap();
            }
            fs::remove_dir_all(&input).unwrap();
            fs::remove_dir_all(&other).unwrap();
            match &expected {
                None => expected = Some(results),
                Some(expected) => {
                    for (expected, got) in expected.iter().zip(&results) {
                        assert_eq!(expected.0, got.0, "{format}");
                        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
                        assert_eq!(names(&expected.1), names(&got.1), "{format} {}", got.0);
                        for (name, bytes) in &expected.1 {
                            assert!(*bytes == got.1[name], "{format} {}: {name}", got.0);
                        }
                    }
                }
            }
        }
    }
}

/// Files that other programs wrote from masks are masks.
#[test]
fn files_of_other_programs_are_read() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("base"), ScoreType::Float32);
    let input = at("base/d.jsonl.arrow");
    let parts = fs::read_dir(at("base"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let input = match input.exists() {
        true => input,
        false => parts
            .filter(|path| path.to_string_lossy().ends_with(".arrow"))
            .min()
            .unwrap(),
    };
    check(&python, "rewrite", &[input.clone(), at("others")]);
    let stats = |path: &Path| Run::new(&["stats", "--json"]).arg(path).ends_with(0).stdout;
    let expected = stats(&input);
    let all = files(&at("others"));
    assert!(all.len() > 10, "{all:?}");
    for name in all {
        if name.starts_with("polars") {
            // Its own types of strings and lists, as in its streams.
            let ended = Run::new(&["stats"])
                .arg(at("others").join(&name))
                .ends_with(2);
            assert!(
                ended
                    .stderr
                    .contains("expected types of mask files, got LargeUtf8"),
                "{}",
                ended.stderr
            );
            continue;
        }
        // The path of the masks stands in the numbers.
        let got = stats(&at("others").join(&name));
        let same = |text: &str, path: &Path| text.replace(&*path.to_string_lossy(), "");
        let got = same(&got, &at("others").join(&name));
        assert_eq!(got, same(&expected, &input), "{name}");
    }
}

#[test]
fn another_format_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let text = at("text.jsonl");
    write(&text, "{\"text\": \"a text of some words\"}\n");
    let score = |out: &Path, options: &[&str]| Run::score(&text, out).args(options);
    for format in ["parquet", "arrow-file"] {
        let ended = score(Path::new("-"), &["--format", format]).ends_with(2);
        let said = format!(
            "--format: expected arrow-stream with --out -, because standard output is one stream, got {format}"
        );
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: ") && ended.stdout.is_empty());
    }
    score(&at("masks"), &["--format", "parquet"]).ends_with(0);
    score(&at("others"), &[]).ends_with(0);
    let runs: [(&str, Start<'_>); 3] = [
        ("masks", Box::new(|options| score(&at("masks"), options))),
        (
            "selected",
            Box::new(|options| {
                Run::select(&at("others"), &at("selected"), &["--by", "loss"]).args(options)
            }),
        ),
        (
            "merged",
            Box::new(|options| {
                let merge = Run::new(&["merge", "--on-duplicate", "first"]);
                merge
                    .arg(at("others"))
                    .arg(at("others"))
                    .arg("--out")
                    .arg(at("merged"))
                    .args(options)
            }),
        ),
    ];
    for (name, run) in &runs {
        run(&["--format", "parquet"]).ends_with(0);
        let ended = run(&[]).ends_with(2);
        let said = "--format: parquet before, arrow-stream now\n";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        let ended = run(&["--format", "arrow-file"]).ends_with(2);
        assert!(
            ended
                .stderr
                .contains("--format: parquet before, arrow-file now\n"),
            "{}",
            ended.stderr
        );
        // Started over in another format, with what interrupted runs of both left: only the new files are there.
        for left in [
            ".text.jsonl.arrow.partial",
            ".text.jsonl.arrow.rewritten.partial",
        ] {
            write(&at(name).join(left), "left");
        }
        run(&["--format", "arrow-file", "--restart"]).ends_with(0);
        let mut names: Vec<String> = files(&at(name));
        names.retain(|name| name.contains("text.jsonl"));
        assert_eq!(names, ["text.jsonl.arrow"]);
        assert!(
            fs::read(at(name).join("text.jsonl.arrow"))
                .unwrap()
                .starts_with(b"ARROW1")
        );
        run(&["--restart"]).ends_with(0);
        assert!(
            fs::read(at(name).join("text.jsonl.arrow"))
                .unwrap()
                .starts_with(&[0xff; 4])
        );
        run(&["--format", "parquet", "--restart"]).ends_with(0);
        let mut names: Vec<String> = files(&at(name));
        names.retain(|name| name.contains("text.jsonl"));
        assert_eq!(names, ["text.jsonl.parquet"]);
    }
    // Two files whose names differ in their formats only.
    let state = read_json(&at("masks/state.json"));
    fs::copy(at("others/text.jsonl.arrow"), at("masks/text.jsonl.arrow")).unwrap();
    let mut both = state.clone();
    let first = both["_data_files"][0].clone();
    let list = both["_data_files"].as_array_mut().unwrap();
    list.push(first);
    list[0]["filename"] = "text.jsonl.arrow".into();
    write(&at("masks/state.json"), both.to_string());
    let ended = Run::select(&at("masks"), &at("twice"), &["--by", "loss"]).ends_with(2);
    assert!(
        ended
            .stderr
            .contains("one file of each name, got several for text.jsonl.arrow"),
        "{}",
        ended.stderr
    );
    // What reads documents at random takes Arrow only.
    #[cfg(feature = "train")]
    {
        write(&at("masks/state.json"), state.to_string());
        let ended = Run::new(&["eval", "--model"])
            .arg(crate::support::demo())
            .arg("--data")
            .arg(&text)
            .arg("--masks")
            .arg(at("masks"))
            .end();
        assert!(
            ended.stderr.contains("got Parquet") && ended.stderr.contains("--format arrow-stream"),
            "{}",
            ended.stderr
        );
    }
}

/// Cut, and with flipped bits: an error that names the file, or the same documents; no panic.
#[test]
fn damaged_files_end_with_an_error() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let text = at("text.jsonl");
    write(
        &text,
        "{\"text\": \"a text of some words, and of some more\"}\n".repeat(6),
    );
    for format in ["arrow-file", "parquet"] {
        let out = at(format);
        Run::score(&text, &out)
            .args(&["--format", format])
            .ends_with(0);
        let name = files(&out)
            .into_iter()
            .find(|name| name.contains("text.jsonl"))
            .unwrap();
        let whole = fs::read(out.join(&name)).unwrap();
        let file = at(&format!("damaged-{format}"));
        let expected = {
            fs::write(&file, &whole).unwrap();
            Run::new(&["stats", "--json"])
                .arg(&file)
                .ends_with(0)
                .stdout
        };
        let documents = |json: &str| {
            serde_json::from_str::<serde_json::Value>(json).unwrap()["documents"].clone()
        };
        let mut random = Random(7);
        for i in 0..30 {
            let mut damaged = whole.clone();
            match i {
                0..10 => damaged.truncate(whole.len() * i / 10),
                _ => {
                    let at = random.next() as usize % whole.len();
                    damaged[at] ^= 1 << (random.next() % 8);
                }
            }
            fs::write(&file, &damaged).unwrap();
            let ended = Run::new(&["stats", "--json"]).arg(&file).end();
            assert!(
                !ended.stderr.contains("panicked at"),
                "{format} {i}: {}",
                ended.stderr
            );
            match ended.code {
                Some(0) => assert_eq!(
                    documents(&ended.stdout),
                    documents(&expected),
                    "{format} {i}"
                ),
                code => assert_eq!(code, Some(2), "{format} {i}: {}", ended.stderr),
            }
            assert!(
                i >= 10 || ended.code == Some(2),
                "{format} cut to {i} tenths"
            );
        }
    }
}
