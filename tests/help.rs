//! The text of `--help`, and the plan that `--show-plan` prints.

use clap::{Command, CommandFactory};
use rho_mask::cli::Cli;
use serde_json::{Value, json};

use crate::support::{Run, demo, read_json, root, write};

/// Text with every run of whitespace as one space, so that line breaks do not matter.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_option_is_described() {
    let mut cli = Cli::command();
    cli.build();
    let mut commands: Vec<&Command> = vec![&cli];
    commands.extend(cli.get_subcommands().filter(|c| c.get_name() != "help"));
    for command in commands {
        let name = command.get_name();
        let path: &[&str] = if name == "rho-mask" { &[] } else { &[name] };
        let long = Run::new(&[path, &["--help"]].concat()).ends_with(0);
        let short = Run::new(&[path, &["-h"]].concat()).ends_with(0);
        assert_eq!(long.stderr, "", "requested help goes to standard output");
        let (long, short) = (flat(&long.stdout), flat(&short.stdout));
        let about = command.get_about().unwrap().to_string();
        assert!(long.contains(&flat(&about)), "{name}: {about}");

        // Options that a command only knows to refuse them are hidden.
        let arguments = command.get_arguments();
        for argument in arguments.filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{name}: {} has no help", argument.get_id()));
            assert!(help.len() > 8, "{name}: {help}");
            let shown = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.get_value_names().unwrap()[0].to_string(),
            };
            for text in [&long, &short] {
                assert!(text.contains(&shown), "{name}: {shown} is not in {text}");
                let start = flat(&help).trim_end_matches('.').to_owned();
                // The lines of --help and --version are the parser's own.
                let own = ["help", "version"].contains(&argument.get_id().as_str());
                assert!(
                    own || text.contains(&start),
                    "{name}: {start:?} is not in {text}"
                );
            }
        }
        for inner in command.get_subcommands() {
            let line = flat(&inner.get_about().unwrap().to_string());
            assert!(long.contains(inner.get_name()) && long.contains(line.trim_end_matches('.')));
        }
    }
}

#[test]
fn without_arguments_the_help_is_shown() {
    let ended = Run::new(&[]).ends_with(2);
    assert!(ended.stderr.contains("Usage: rho-mask"), "{}", ended.stderr);
    let ended = Run::new(&["score"]).ends_with(2);
    assert!(ended.stderr.contains("--out <DIR>"), "{}", ended.stderr);
    let version = Run::new(&["--version"]).ends_with(0).stdout;
    assert_eq!(version, format!("rho-mask {}\n", env!("CARGO_PKG_VERSION")));
}

/// The plan for these arguments; nothing may be written for it.
fn plan(run: impl FnOnce(&std::path::Path) -> Run) -> Value {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let ended = run(&out).arg("--show-plan").ends_with(0);
    assert!(!out.exists(), "something was written");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The paths of all null fields of an object.
fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Array(items) => items.iter().for_each(|item| nulls(item, path, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            nulls(value, &path, found);
        }),
        _ => {}
    }
}

/// The default rule in the plan.
fn intersection(keep: f64) -> Value {
    let by = |by: &str| json!({"column": format!("mask_{by}"), "by": by, "keep_lowest": keep});
    let both = json!({"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]});
    json!([by("loss"), by("entropy"), both])
}

#[test]
fn the_plan_has_no_open_ends() {
    let corpus = root().join("examples/corpus");
    let text = plan(|out| Run::score(&corpus, out));
    let mut open = Vec::new();
    nulls(&text, "", &mut open);
    assert_eq!(open, ["source_field", "tokens_field"]);
    for (field, expected) in [
        ("device", Value::from("cpu")),
        ("context", 512.into()),
        ("overlap", 256.into()),
        ("scores", json!(["loss", "entropy"])),
        ("selections", intersection(0.7)),
        ("scope", "batch".into()),
        ("scope_tokens", (1 << 20).into()),
        ("vocabulary", 2048.into()),
        ("precision", "f32".into()),
        ("text_field", "text".into()),
        ("id_field", "id".into()),
        ("bos", json!({"rule": "auto", "tokens": [0]})),
        ("eos", json!({"rule": "auto", "tokens": [1]})),
    ] {
        assert_eq!(text[field], expected, "{field}");
    }
    assert_eq!(text["shards"].as_array().unwrap().len(), 9);
    assert!(text["threads"].as_u64().unwrap() > 0);
    // This number is tuned now and then; the help must follow.
    let help = flat(&Run::new(&["score", "--help"]).ends_with(0).stdout);
    let default = format!("[default: {} on the CPU", text["batch_tokens"]);
    assert!(help.contains(&default), "expected {default:?} in {help}");

    // Token ids, without any tokenizer.
    let place = tempfile::tempdir().unwrap();
    let (ids, model) = (place.path().join("ids.jsonl"), place.path().join("model"));
    write(&ids, "{\"input_ids\": [1]}");
    for name in ["model.onnx", "config.json"] {
        write(&model.join(name), std::fs::read(demo().join(name)).unwrap());
    }
    let tokens = plan(|out| Run::score_tokens(&ids, &model, out));
    let mut open = Vec::new();
    nulls(&tokens, "", &mut open);
    assert_eq!(open, ["source_field", "tokenizer", "tokenizer_fingerprint"]);
    assert_eq!(tokens["tokens_field"], "input_ids");
}

#[test]
fn options_reach_the_plan() {
    let corpus = root().join("examples/corpus/notes.jsonl.gz");
    let plan = plan(|out| {
        Run::score(&corpus, out).args(&[
            "--keep=0.5",
            "--scope=document",
            "--context=100",
            "--overlap=7",
            "--bos=never",
            "--eos=always",
            "--batch-tokens=333",
            "--threads=3",
            "--text-field=a.b",
            "--id-field=c",
        ])
    });
    for (field, expected) in [
        ("selections", intersection(0.5)),
        ("scope", "document".into()),
        ("context", 100.into()),
        ("overlap", 7.into()),
        ("batch_tokens", 333.into()),
        ("threads", 3.into()),
        ("text_field", "a.b".into()),
        ("id_field", "c".into()),
        ("bos", json!({"rule": "never", "tokens": []})),
        ("eos", json!({"rule": "always", "tokens": [1]})),
    ] {
        assert_eq!(plan[field], expected, "{field}");
    }
    let config = read_json(&demo().join("config.json"));
    assert_eq!(plan["vocabulary"], config["vocab_size"]);
}

#[cfg(not(feature = "train"))]
#[test]
fn a_build_without_training_says_so() {
    let ended = Run::new(&["train", "--objective", "slm", "--help"]).ends_with(2);
    assert!(
        ended
            .stderr
            .contains("expected a build with the feature `train`"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
}
