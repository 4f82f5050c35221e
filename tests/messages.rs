//! What the program prints: nothing that others wrote acts on a terminal, what cannot be written is an error, and
//! `--progress`, `--quiet` and `--log-file` do what they say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::support::{
    Ended, Run, metadata, read_json,
    terminal::{HOSTILE, is_obeyed, is_only_shown, on_a_terminal},
    tiny::tiny,
    write,
};

/// A corpus in which everything is hostile that can be: names, ids, sources, texts, field names, and a bad row.
fn hostile_corpus(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    let name = format!("{}\nerror: forged.jsonl", HOSTILE.replace('/', "_"));
    let row =
        |text: &str| json!({"id": HOSTILE, "from": HOSTILE, "text": text, HOSTILE: 1}).to_string();
    let bad = json!({HOSTILE: "no text"}).to_string();
    let rows = [row(HOSTILE), row("Two and two are four."), bad];
    write(&corpus.join(name), rows.join("\n"));
    corpus
}

#[track_caller]
fn only_shows(what: &str, ended: &Ended) {
    is_only_shown(what, &ended.stdout);
    is_only_shown(what, &ended.stderr);
    let forged = ended
        .stderr
        .lines()
        .chain(ended.stdout.lines())
        .find(|line| line.starts_with("error: forged"));
    assert_eq!(forged, None, "{what}");
}

#[test]
fn nothing_that_others_wrote_acts_on_a_terminal() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, masks) = (hostile_corpus(place.path()), place.path().join("masks"));
    // The folder of the model has a hostile name, too.
    let model = tiny(
        &place
            .path()
            .join(format!("model {}", HOSTILE.replace('/', "_"))),
    );
    let score = |out: &Path, more: &[&str]| {
        let run = Run::score(&corpus, out).args(&["--source-field", "from", "--keep-text"]);
        run.args(&["--max-rejected", "1", "--model"])
            .arg(&model)
            .args(more)
    };
    let scored = score(&masks, &[]).ends_with(1);
    only_shows("score", &scored);
    assert!(
        scored.stderr.contains('␛') && scored.stderr.contains("⟨202e⟩"),
        "{}",
        scored.stderr
    );
    // Nothing is escaped twice, and files hold the values themselves.
    let rejected = fs::read_to_string(masks.join("rejected.jsonl")).unwrap();
    let rejected: Value = serde_json::from_str(rejected.trim_end()).unwrap();
    let shard = rejected["shard"].as_str().unwrap();
    assert_eq!(
        shard,
        format!("{}\nerror: forged.jsonl", HOSTILE.replace('/', "_"))
    );
    let path = metadata(&masks, shard)["reference"]["path"].clone();
    assert_eq!(path, model.to_str().unwrap());

    let at = |name: &str| place.path().join(name);
    let on = |command: &str, more: &[&str]| Run::new(&[command]).arg(&masks).args(more);
    let json = score(&at("json"), &["--progress", "json"]).ends_with(1);
    only_shows("score as JSON", &json);
    let events = json
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shards: Vec<Value> = events.filter(|event| event["event"] == "shard").collect();
    assert_eq!(shards[0]["shard"], shard, "JSON holds the value itself");
    only_shows("score again", &score(&masks, &[]).ends_with(1));
    only_shows(
        "another plan",
        &score(&masks, &["--keep", "0.1"]).ends_with(2),
    );
    let plan = score(&at("plan"), &["--show-plan"]).ends_with(0);
    only_shows("the plan", &plan);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["shards"][0], shard);
    only_shows("stats", &on("stats", &[]).ends_with(0));
    let stats = on("stats", &["--json"]).ends_with(0);
    only_shows("stats as JSON", &stats);
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert!(
        stats.to_string().contains(&json!(HOSTILE).to_string()),
        "{stats}"
    );
    for more in [
        &["--sample", "2", "--numbers"][..],
        &["--document", HOSTILE],
        &["--document", "none \u{1b}[2J"],
    ] {
        only_shows("show", &on("show", more).end());
    }
    // Colours are the only sequences, also where a mask has a hostile name.
    let shown = on("show", &["--color", "always", "--by", "loss"])
        .ends_with(0)
        .stdout;
    let uncoloured: Vec<&str> = shown.split("\u{1b}[").collect();
    assert!(uncoloured.len() > 5);
    for (i, part) in uncoloured.into_iter().enumerate() {
        let (codes, rest) = if i == 0 {
            ("", part)
        } else {
            part.split_once('m').unwrap()
        };
        assert!(
            codes.chars().all(|c| c.is_ascii_digit() || c == ';'),
            "{codes}"
        );
        is_only_shown("show in colours", rest);
    }
    let selected = at(&format!("selected {}", HOSTILE.replace('/', "_")));
    only_shows(
        "select",
        &on("select", &["--by", "loss", "--out"])
            .arg(&selected)
            .ends_with(0),
    );
    only_shows(
        "convert",
        &on("convert", &["--to", "labels", "--out"])
            .arg(at("labels"))
            .ends_with(0),
    );
    only_shows("report", &on("report", &["--out", "-"]).ends_with(0));
    only_shows("finish", &Run::new(&["finish"]).arg(&selected).ends_with(2));
    let eval = Run::new(&["eval", "--max-rejected", "1", "--device", "cpu", "--model"]).arg(&model);
    only_shows("eval", &eval.args(&["--data"]).arg(&corpus).ends_with(1));
    let path = at(&format!("no such {HOSTILE}"));
    only_shows("an error", &Run::new(&["stats"]).arg(&path).ends_with(2));
    only_shows(
        "doctor",
        &Run::new(&["doctor"]).env("ORT_DYLIB_PATH", &path).end(),
    );

    // The parser prints arguments and the environment itself.
    for words in [
        vec![HOSTILE],
        vec!["score", "--keep", HOSTILE],
        vec!["stats", "--nothing", HOSTILE],
        vec!["score", "--by", HOSTILE, "x"],
    ] {
        only_shows("a refusal", &Run::new(&words).ends_with(2));
        only_shows("a refusal on a terminal", &uncoloured_terminal(&words, 2));
    }
    for words in [["score", "--help"], ["score", "-h"]] {
        let run = Run::new(&words).env("ORT_DYLIB_PATH", HOSTILE).ends_with(0);
        only_shows("help", &run);
        assert!(run.stdout.contains("ORT_DYLIB_PATH"), "{}", run.stdout);
    }
}

/// What is said on a terminal, without the sequences that set colours.
fn uncoloured_terminal(words: &[&str], code: i32) -> Ended {
    let mut ended = on_a_terminal(&Run::new(words));
    assert_eq!(ended.code, Some(code), "{}", ended.stdout);
    for codes in ["0", "1", "4", "31", "32", "33", "1;31"] {
        ended.stdout = ended.stdout.replace(&format!("\u{1b}[{codes}m"), "");
    }
    ended
}

#[test]
fn names_beside_a_bar_are_safe() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        hostile_corpus(place.path()),
        tiny(&place.path().join("model")),
    );
    let run =
        Run::score(&corpus, &place.path().join("masks")).args(&["--max-rejected", "1", "--model"]);
    let ended = on_a_terminal(&run.arg(&model).env("NO_COLOR", "1"));
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    // A bar moves the cursor; these sequences are its own.
    for hostile in [
        "\u{1b}[2J",
        "\u{1b}]",
        "\u{9b}",
        "\u{9d}",
        "\u{202e}",
        "\u{7}",
        "\u{7f}",
    ] {
        assert!(
            !ended.stdout.contains(hostile),
            "{hostile:?} in {:?}",
            ended.stdout
        );
    }
}

/// The commands that print data, each with its arguments.
fn printing(place: &Path) -> Vec<Vec<String>> {
    let model = tiny(&place.join("model"));
    let (corpus, masks) = (place.join("c.jsonl"), place.join("masks"));
    write(
        &corpus,
        "{\"text\": \"Two and two are four.\"}\n".repeat(50),
    );
    Run::score(&corpus, &masks)
        .args(&["--model"])
        .arg(&model)
        .ends_with(0);
    let [model, corpus, masks] = [&model, &corpus, &masks].map(|path| path.to_str().unwrap());
    [
        "--help".to_owned(),
        "help score".to_owned(),
        "score --help".to_owned(),
        "--version".to_owned(),
        "-V".to_owned(),
        "--version --verbose".to_owned(),
        "completions bash".to_owned(),
        "doctor".to_owned(),
        format!("stats {masks}"),
        format!("stats {masks} --json"),
        format!("show {masks}"),
        format!("show {masks} --sample 40 --numbers"),
        format!("report {masks} --out -"),
        format!("eval --model {model} --device cpu --data {corpus}"),
        format!("eval --model {model} --device cpu --data {corpus} --json"),
        format!("score {corpus} --model {model} --device cpu --out {masks} --show-plan"),
        format!("score {corpus} --model {model} --device cpu --out -"),
        format!("convert {masks} --to jsonl --out -"),
    ]
    .iter()
    .map(|words| words.split(' ').map(str::to_owned).collect())
    .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for words in printing(place.path()) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = Run::new(&words);
        let output = run.0.stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(
            said.contains("No space left on device"),
            "{words:?}: {said}"
        );
        let lines = said.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(lines.count(), 1, "{words:?}: {said}");
    }
    // Messages are lost, too: the masks are there, but nobody can know what was said about them.
    let (corpus, out) = (place.path().join("c.jsonl"), place.path().join("more"));
    let mut run = Run::score(&corpus, &out)
        .arg("--model")
        .arg(place.path().join("model"));
    let ended = run.0.stderr(full()).status().unwrap();
    assert_eq!(ended.code(), Some(2));
    assert!(out.join("summary.json").exists());
}

#[test]
fn a_reader_that_has_enough_ends_the_program_quietly() {
    let place = tempfile::tempdir().unwrap();
    for words in printing(place.path()) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = Run::new(&words);
        let mut child = run
            .0
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        assert!(
            !said.contains("error") && !said.contains("panic"),
            "{words:?}: {said}"
        );
    }
}

/// A small corpus and a model.
fn small(place: &Path) -> (PathBuf, PathBuf) {
    let corpus = place.join("small");
    for shard in ["a", "b"] {
        let lines = "{\"text\": \"The secret word is pomegranate.\"}\n".repeat(20);
        write(&corpus.join(format!("{shard}.jsonl")), lines);
    }
    (corpus, tiny(&place.join("model")))
}

#[test]
fn json_is_all_there_is() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = small(place.path());
    let at = |name: &str| place.path().join(name);
    let objects = |ended: &Ended| -> Vec<Value> {
        let parsed =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
        ended.stderr.lines().map(parsed).collect()
    };
    let score = |out: &str| Run::score(&corpus, &at(out)).arg("--model").arg(&model);
    let events = objects(&score("masks").args(&["--progress", "json"]).ends_with(0));
    let done = events.iter().filter(|event| event["event"] == "shard");
    assert_eq!(done.count(), 2);
    let end = events.last().unwrap();
    assert_eq!(
        (&end["event"], &end["exit_code"], &end["shards"]),
        (&json!("end"), &json!(0), &json!(2))
    );
    let mut summary = read_json(&at("masks/summary.json"));
    let mut told = end["summary"].clone();
    // Times are taken again.
    for summary in [&mut summary, &mut told] {
        summary["speed"] = Value::Null;
    }
    assert_eq!(told, summary);
    assert!(
        !events
            .iter()
            .any(|event| event.to_string().contains("pomegranate"))
    );
    for (what, run, code) in [
        ("again", score("masks").args(&["--progress=json"]), 0),
        (
            "an error",
            score("masks").args(&["--keep", "0.1", "--progress=json"]),
            2,
        ),
        (
            "a refusal",
            score("masks").args(&["--progress", "json", "--nothing"]),
            2,
        ),
        (
            "select",
            Run::new(&["select", "--progress", "json"])
                .arg(at("masks"))
                .args(&["--by", "loss", "--out"])
                .arg(at("selected")),
            0,
        ),
        (
            "convert",
            Run::new(&["convert", "--progress", "json"])
                .arg(at("masks"))
                .args(&["--to", "jsonl", "--out"])
                .arg(at("converted")),
            0,
        ),
        (
            "eval",
            Run::new(&["eval", "--progress", "json", "--model"])
                .arg(&model)
                .arg("--data")
                .arg(&corpus),
            0,
        ),
    ] {
        let ended = run.ends_with(code);
        let events = objects(&ended);
        let end = events
            .last()
            .unwrap_or_else(|| panic!("{what}: nothing was said"));
        assert_eq!(
            (&end["event"], &end["exit_code"]),
            (&json!("end"), &json!(code)),
            "{what}"
        );
        let errors = events.iter().filter(|event| event["event"] == "error");
        assert_eq!(errors.count(), usize::from(code == 2), "{what}");
    }
}

#[test]
fn documents_are_shown_to_somebody_who_watches() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = small(place.path());
    let score = |out: &str, more: &[&str]| {
        let run = Run::score(&corpus, &place.path().join(out))
            .args(more)
            .arg("--model");
        run.arg(&model).env("NO_COLOR", "1")
    };
    // The tiny model keeps some tokens of the words: look for the words without the brackets.
    let shows = |text: &str| text.replace(['[', ']'], "").contains("pomegranate");
    let piped = score("piped", &[]).ends_with(0).stderr;
    assert!(!shows(&piped) && piped.contains("wrote"), "{piped}");
    let watched = on_a_terminal(&score("watched", &[]));
    assert!(shows(&watched.stdout), "{}", watched.stdout);
    for (out, more) in [
        ("none", ["--progress", "none"]),
        ("json", ["--progress", "json"]),
    ] {
        let ended = on_a_terminal(&score(out, &more));
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
        assert!(!shows(&ended.stdout), "{out}: {}", ended.stdout);
    }
    let quiet = on_a_terminal(&score("quiet", &["--quiet"]));
    assert_eq!((quiet.code, quiet.stdout.as_str()), (Some(0), ""));
    let quiet = score("quiet", &["--quiet", "--keep", "0.1"]).ends_with(2);
    assert!(quiet.stderr.starts_with("error: "), "{}", quiet.stderr);
}

#[test]
fn a_log_holds_every_message_with_its_time() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, log) = (hostile_corpus(place.path()), place.path().join("run.log"));
    let model = tiny(&place.path().join("model"));
    let masks = place.path().join("masks");
    let score = |more: &[&str]| {
        let run = Run::score(&corpus, &masks)
            .args(&["--max-rejected", "1", "--model"])
            .arg(&model);
        run.args(more).arg("--log-file").arg(&log)
    };
    let first = score(&["--quiet"]).ends_with(1);
    assert_eq!(first.stderr, "");
    score(&["--progress", "none", "--keep", "0.1"]).ends_with(2);
    let text = fs::read_to_string(&log).unwrap();
    is_only_shown("the log", &text);
    let mut before = String::new();
    for line in text.lines() {
        // 2026-01-31T12:34:56.789Z, never before the line above.
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(
            time.len() == 24 && time.ends_with('Z') && time >= before.as_str(),
            "{line}"
        );
        assert!(!rest.starts_with("error: forged"), "{line}");
        before = time.to_owned();
    }
    for (part, count) in [
        (" starts", 2),
        (" done (shard 1 of 1)", 1),
        ("wrote ", 1),
        ("  documents   2, 1 rejected", 1),
        ("ended with exit code 1", 1),
        ("error: ", 1),
        ("hint: ", 1),
        ("ended with exit code 2", 1),
    ] {
        let lines = text
            .lines()
            .filter(|line| line.contains(part) && !line.contains("forged.jsonl row"));
        let lines = lines.filter(|line| part != "error: " || line.contains("Z error: "));
        assert_eq!(lines.count(), count, "{part} in {text}");
    }
    let refused = score(&[]).args(&["--log-file", "/dev/null"]).end();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(!text.contains(is_obeyed));
}
