//! Every option that takes a number, at numbers that no run needs: the program uses them or refuses them. It does not
//! panic, take all memory or run for ever. The options are those of the command line's own definitions, so that a new
//! one is tested too.

use std::any::TypeId;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use rho_mask::cli::{Cli, RankChoice};
use serde_json::json;

use crate::support::{Run, tiny::tiny, write};

/// Longer than any of the runs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Larger than any size, and a product of it with a small number overflows.
const LARGE: &str = "4611686018427387904";
/// What else numbers can be.
const OTHERS: [&str; 10] = [
    "0",
    "1",
    "2147483648",
    "4294967295",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "NaN",
    "inf",
    "1e308",
];

/// Options that ask for a run of this length, which takes its time: large numbers are no mistake.
const LENGTHS: [(&str, &str); 2] = [("train", "steps"), ("train", "epochs")];

/// The command line of each command without the option, and whatever else an option needs to have an effect.
fn command_line(command: &str, option: &str, place: &Path) -> Option<Vec<String>> {
    let at = |name: &str| place.join(name).display().to_string();
    let paths = ["model", "c.jsonl", "masks", "out"].map(at);
    let [model, corpus, masks, out] = paths.each_ref().map(String::as_str);
    let base: Vec<&str> = match command {
        "score" => vec![corpus, "--model", model, "--device", "cpu", "--out", out],
        "select" => vec![masks, "--out", out],
        "convert" if option == "shard-size" => vec![masks, "--to", "mds", "--out", out],
        "convert" => vec![masks, "--to", "labels", "--out", out],
        "show" | "stats" => vec![masks],
        "report" => vec![masks, "--out", out],
        "dynamics" => vec![
            "--checkpoints",
            model,
            model,
            "--corpus",
            corpus,
            "--device",
            "cpu",
            "--out",
            out,
        ],
        "eval" => vec!["--model", model, "--device", "cpu", "--data", corpus],
        "verify" => vec![
            "--model",
            model,
            "--checkpoint",
            model,
            "--device",
            "cpu",
            "--corpus",
            corpus,
            "--python",
            out,
        ],
        "train" => vec!["--objective", "slm", "--masks", masks, "--out", out],
        _ => return None,
    };
    let extra: &[&str] = match (command, option) {
        ("score" | "select", "above" | "below") => &["--by", "threshold"],
        ("score" | "select", "drop-easiest" | "drop-hardest") => &["--by", "band"],
        ("score" | "select", "temperature" | "min-weight" | "max-weight") => {
            &["--by", "excess", "--weights", "clipped"]
        }
        ("score" | "select", "seed") => &["--by", "random"],
        ("score", "rank") => &["--world-size", "4"],
        ("score", "world-size") => &["--rank", "0"],
        ("convert", "eos-id") => &["--length", "8"],
        _ => &[],
    };
    let mut line: Vec<String> = base
        .iter()
        .chain(extra)
        .map(|&word| word.to_owned())
        .collect();
    if command == "train" {
        line.extend(["--init".to_owned(), at("config.json")]);
        line.extend(["--tokenizer".to_owned(), model.to_owned()]);
        if option == "eval-every" {
            line.extend(["--eval".to_owned(), corpus.to_owned()]);
        }
        for (name, value) in [("steps", "2"), ("batch-tokens", "32"), ("length", "16")] {
            if name != option {
                line.extend([format!("--{name}"), value.to_owned()]);
            }
        }
    }
    Some(line)
}

/// The commands and the long names of their options with numbers.
fn options() -> Vec<(String, String)> {
    let is_number = |id: &dyn Fn(TypeId) -> bool| {
        [
            TypeId::of::<usize>(),
            TypeId::of::<u64>(),
            TypeId::of::<u32>(),
            TypeId::of::<f64>(),
            TypeId::of::<f32>(),
            TypeId::of::<rho_selection::KeepRatio>(),
            TypeId::of::<RankChoice>(),
        ]
        .into_iter()
        .any(id)
    };
    let mut found = Vec::new();
    for command in Cli::command().get_subcommands() {
        for option in command.get_arguments() {
            let id = option.get_value_parser().type_id();
            if let Some(name) = option.get_long()
                && option.get_action().takes_values()
                && is_number(&|other| id == other)
            {
                found.push((command.get_name().to_owned(), name.to_owned()));
            }
        }
    }
    found
}

/// Ends a program that is still running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs every option with these numbers.
fn sweep(numbers: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let model = tiny(&at("model"));
    let texts = [
        "What is 2 + 3? The answer is 5.",
        "A train travels 60 miles in 2 hours.",
    ];
    let lines = texts.map(|text| json!({"text": text}).to_string());
    write(&at("c.jsonl"), lines.join("\n") + "\n");
    let config = json!({"model_type": "llama", "vocab_size": 2048, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64});
    write(&at("config.json"), config.to_string());
    let run = Run::score(&at("c.jsonl"), &at("masks"));
    run.arg("--model").arg(&model).ends_with(0);

    let mut wrong = Vec::new();
    let mut tested = std::collections::BTreeSet::new();
    for (command, option) in options() {
        let Some(line) = command_line(&command, &option, place.path()) else {
            continue;
        };
        tested.insert(command.clone());
        for &number in numbers {
            let is_long = LENGTHS.contains(&(command.as_str(), option.as_str()));
            if is_long && number.parse().is_ok_and(|number: f64| number > 1.0) {
                continue;
            }
            let _ = std::fs::remove_dir_all(at("out"));
            let _ = std::fs::remove_file(at("out"));
            let errors = at("errors.txt");
            let mut run = Run::new(&[command.as_str()]).0;
            run.args(&line)
                .arg(format!("--{option}={number}"))
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(&errors).unwrap());
            let start = Instant::now();
            let mut running = Running(run.spawn().unwrap());
            let ended = loop {
                match running.0.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if start.elapsed() > PATIENCE => break None,
                    None => std::thread::sleep(Duration::from_millis(10)),
                }
            };
            let code = ended.and_then(|status| status.code());
            let said = std::fs::read_to_string(&errors).unwrap();
            if !matches!(code, Some(0..=2)) || said.contains("panicked") {
                let last: String = said.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
                wrong.push(format!("{command} --{option}={number}: {ended:?}: {last}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The definitions were found, with the commands that this build has.
    assert!(tested.len() >= 9, "{tested:?}");
}

#[test]
fn options_take_numbers_of_any_size_or_refuse_them() {
    sweep(&[LARGE]);
}

#[test]
#[ignore = "takes minutes"]
fn every_setting_that_is_a_number_at_its_extremes() {
    sweep(&OTHERS);
}
