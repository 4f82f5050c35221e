//! The command line itself: completions, man pages, the version, and options from a file.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use clap::CommandFactory;
use rho_mask::cli::Cli;
use serde_json::{Value, json};

use crate::support::{Run, read_json, skipped, tiny::tiny, write};

#[test]
fn shells_complete_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Run::new(&["completions", shell]).ends_with(0).stdout;
        for word in ["score", "batch-tokens", "completions", "log-file"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = Run::new(&["completions", "bash"]).ends_with(0).stdout;
    // What bash itself offers for `rho-mask sc` and `rho-mask score --batch`.
    let offer = "source /dev/stdin; COMP_WORDS=(rho-mask \"$@\"); COMP_CWORD=$#; \
                 _rho__mask rho-mask \"${!#}\" \"\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let offered = |words: &[&str]| -> Vec<String> {
        let mut bash = Command::new("bash");
        bash.args(["-c", offer, "bash"]).args(words);
        let mut child = bash
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    if !Path::new("/bin/bash").exists() {
        skipped("no bash");
        return;
    }
    assert_eq!(offered(&["sc"]), ["score"]);
    let mut batches = offered(&["score", "--batch"]);
    batches.sort();
    assert_eq!(batches, ["--batch", "--batch-tokens"]);
    let ended = Run::new(&["completions", "perl"]).ends_with(2);
    assert!(ended.stderr.contains("bash"), "{}", ended.stderr);
}

#[test]
fn every_command_has_a_man_page() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("man/man1");
    let ended = Run::new(&["man", "--out"]).arg(&folder).ends_with(0);
    let mut expected = vec!["rho-mask.1".to_owned()];
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|c| !c.is_hide_set());
    expected.extend(commands.map(|command| format!("rho-mask-{}.1", command.get_name())));
    expected.sort();
    let mut pages: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert_eq!(pages, expected);
    assert!(
        ended
            .stderr
            .contains(&format!("wrote {} pages", pages.len())),
        "{}",
        ended.stderr
    );
    for page in &pages {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".TH ") && text.contains("SYNOPSIS"), "{page}");
        // groff finds nothing wrong with it.
        match Command::new("groff")
            .args(["-man", "-Tutf8", "-z"])
            .arg(folder.join(page))
            .output()
        {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}"),
            Err(_) => skipped("no groff"),
        }
    }
    let page = fs::read_to_string(folder.join("rho-mask-score.1")).unwrap();
    assert!(
        page.contains("batch\\-tokens") && page.contains("Exit codes"),
        "{page}"
    );
    // Again, over the old pages.
    Run::new(&["man", "--out"]).arg(&folder).ends_with(0);
}

#[test]
fn the_version_is_one_line_or_all_about_the_build() {
    let version = env!("CARGO_PKG_VERSION");
    for words in [&["--version"][..], &["-V"]] {
        assert_eq!(
            Run::new(words).ends_with(0).stdout,
            format!("rho-mask {version}\n")
        );
    }
    for words in [
        ["--version", "--verbose"],
        ["--verbose", "--version"],
        ["-V", "--verbose"],
    ] {
        let told = Run::new(&words).ends_with(0).stdout;
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], format!("rho-mask {version}"));
        let value = |name: &str| {
            let line = lines.iter().find(|line| line.starts_with(name));
            line.unwrap_or_else(|| panic!("no {name} in {told}"))[name.len()..].trim()
        };
        let rustc = Command::new("rustc").arg("-vV").output().unwrap();
        let rustc = String::from_utf8(rustc.stdout).unwrap();
        assert!(
            rustc.contains(&format!("host: {}\n", value("target"))),
            "{told}"
        );
        assert!(
            value("commit").len() >= 40 || value("commit") == "unknown",
            "{told}"
        );
        assert_eq!(value("features").contains("train"), cfg!(feature = "train"));
        assert!(value("ONNX Runtime").contains(" at /"), "{told}");
    }
    let place = tempfile::tempdir().unwrap();
    let none = Run::new(&["--version", "--verbose"])
        .without_library(place.path())
        .ends_with(0);
    assert!(
        none.stdout.contains("ONNX Runtime  none: "),
        "{}",
        none.stdout
    );
    Run::new(&["--verbose"]).ends_with(2);
}

#[test]
fn options_come_from_a_file() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        place.path().join("c.jsonl"),
        tiny(&place.path().join("model")),
    );
    write(&corpus, "{\"text\": \"Two and two are four.\"}\n".repeat(9));
    let config = place.path().join("score.toml");
    let table = json!({"corpus": corpus, "model": [model], "out": place.path().join("masks")});
    let mut text = String::new();
    for (key, value) in table.as_object().unwrap() {
        text += &format!("{key} = {value}\n");
    }
    text += "keep = 0.5\nscope = \"document\"\nkeep-text = true\nbatch-tokens = 333\nstrict = false\nthreads = 1\n";
    write(&config, &text);
    let plan = |more: &[&str]| -> Value {
        let run = Run::new(&["score", "--device", "cpu", "--show-plan", "--config"]).arg(&config);
        serde_json::from_str(&run.args(more).ends_with(0).stdout).unwrap()
    };
    let from_file = plan(&[]);
    let typed = Run::score(&corpus, &place.path().join("masks"))
        .arg("--model")
        .arg(&model)
        .args(&[
            "--keep=0.5",
            "--scope=document",
            "--keep-text",
            "--batch-tokens=333",
            "--threads=1",
            "--show-plan",
        ]);
    let mut typed: Value = serde_json::from_str(&typed.ends_with(0).stdout).unwrap();
    assert_eq!(from_file["config"], config.to_str().unwrap());
    typed["config"] = from_file["config"].clone();
    assert_eq!(from_file, typed);
    // The command line takes precedence, before and after, and replaces lists.
    let both = plan(&["--keep", "0.25", "--scope=corpus"]);
    assert_eq!(both["selections"][0]["keep_lowest"], 0.25);
    assert_eq!(
        (&both["scope"], &both["batch_tokens"]),
        (&json!("corpus"), &json!(333))
    );
    let other = place.path().join("other.jsonl");
    write(&other, "{\"text\": \"One and one are two.\"}\n");
    assert_eq!(
        plan(&[other.to_str().unwrap()])["shards"],
        json!(["other.jsonl"])
    );
    assert_eq!(
        plan(&["--", other.to_str().unwrap()])["shards"],
        json!(["other.jsonl"])
    );
    // It runs, and other commands read such files too.
    Run::new(&["score", "--device", "cpu"])
        .arg("--config")
        .arg(&config)
        .ends_with(0);
    let select = place.path().join("select.toml");
    write(
        &select,
        format!("masks = {:?}\nby = \"loss\"\n", place.path().join("masks")),
    );
    let selected = place.path().join("selected");
    Run::new(&["select", "--out"])
        .arg(&selected)
        .arg("--config")
        .arg(&select)
        .ends_with(0);
    assert_eq!(
        read_json(&selected.join("summary.json"))["kept"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_file_with_anything_else_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("score.toml");
    let out = place.path().join("masks");
    for (text, words) in [
        ("kep = 0.5", &["\"kep\"", "did you mean \"keep\"?"][..]),
        (
            "batch_tokens = 5",
            &["\"batch_tokens\"", "did you mean \"batch-tokens\"?"],
        ),
        ("config = \"x\"", &["\"config\""]),
        ("help = true", &["\"help\""]),
        ("[nothing]\nkeep = 0.5", &["\"nothing\""]),
        (
            "keep = [0.5]",
            &["keep: expected a text or a number, got array"],
        ),
        (
            "keep = true",
            &["keep: expected a text or a number, got boolean"],
        ),
        (
            "strict = 1",
            &["strict: expected true or false, got integer"],
        ),
        (
            "model = [[1]]",
            &["model: expected a text, a number or a list of them, got array"],
        ),
        ("keep = 2.0", &["--keep", "2"]),
        ("threads = 1\n\nkeep 0.5", &["score.toml:3: expected TOML"]),
        (
            "keep = 0.5\nkeep = 0.6",
            &["score.toml:2: expected TOML", "duplicate key"],
        ),
    ] {
        write(&config, text);
        let run = Run::score(Path::new("examples/corpus/pages.jsonl"), &out)
            .arg("--config")
            .arg(&config);
        let ended = run.ends_with(2);
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "expected {word:?} in {}",
                ended.stderr
            );
        }
        assert!(!out.exists(), "{text}");
    }
    for path in [
        place.path().join("none.toml"),
        place.path().to_owned(),
        "/dev/zero".into(),
    ] {
        let run = Run::score(Path::new("examples/corpus/pages.jsonl"), &out);
        let ended = run.arg("--config").arg(&path).ends_with(2);
        assert!(ended.stderr.contains("--config"), "{}", ended.stderr);
    }
}
