//! `experiment`: a tiny one from end to end; killed and resumed; changed; its numbers recomputed; its report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    report::in_browser,
    support::{Random, Run, demo, python::python, read_json, root, write},
};

const FILE: &str = r#"
title = "Tiny"
seeds = [0, 1]

[paths]
data = "data"

[base]
init = "config.json"
tokenizer = "${tokenizer}"
files = ["${data}/corpus.jsonl.gz"]
part = "1/2"
steps = 4

[reference]
files = ["${data}/good.jsonl.gz"]
steps = 4

[corpus]
files = ["${data}/corpus.jsonl.gz"]
part = "2/2"

[train]
length = 64
batch_tokens = 256
learning_rate = 3e-3

[budget]
steps = 8

[evaluation]
files = ["${data}/held_out_math.jsonl.gz", "${data}/held_out_rest.jsonl.gz"]
parts = { held_out_math = "1/2" }
after = "?"
every = 3
choices = ["questions.jsonl"]

[[arms]]
name = "clm"
objective = "clm"

[[arms]]
name = "slm"
objective = "slm"
keep = 0.6

[[arms]]
name = "static"
objective = "static"
select = { by = "intersection", keep_loss = 0.8, keep_entropy = 0.7 }

[[arms]]
name = "weighted"
objective = "weighted"
select = { by = "excess", weights = "sigmoid" }

[[arms]]
name = "own"
objective = "static"
scores = "base"

[[arms]]
name = "mixed"
objective = "clm"
mix = 0.3

[sweep]
objective = "slm"
keep = [0.3, 0.6]
seeds = [0]
"#;

/// The experiment's file and the files beside it.
fn experiment(place: &Path) -> PathBuf {
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 2048, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.02,
    });
    write(&place.join("config.json"), config.to_string());
    let questions = (0..6).map(|i| {
        json!({"question": format!("{i} + 1?"), "choices": [format!("{}", i + 1), "no"], "answer": i % 2}).to_string() + "\n"
    });
    write(
        &place.join("questions.jsonl"),
        questions.collect::<String>(),
    );
    for name in ["corpus", "good", "held_out_math", "held_out_rest"] {
        let name = format!("{name}.jsonl.gz");
        let bytes = fs::read(root().join("examples/small").join(&name)).unwrap();
        write(&place.join("data").join(name), bytes);
    }
    let file = place.join("experiment.toml");
    write(&file, FILE);
    file
}

fn run(file: &Path, out: &Path) -> Run {
    let tokenizer = format!("tokenizer={}", demo().join("tokenizer.json").display());
    Run::new(&["experiment", "--progress", "none", "--path", &tokenizer])
        .arg(file)
        .arg("--out")
        .arg(out)
}

/// The results without what differs between runs: times, and comparisons by time.
fn timeless(out: &Path) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("seconds");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => {
                items.retain(|item| item["axis"] != "seconds");
                items.iter_mut().for_each(strip);
            }
            _ => {}
        }
    }
    let mut results = read_json(&out.join("results.json"));
    strip(&mut results);
    results
}

fn folders(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out.join("steps")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn from_end_to_end() {
    let place = tempfile::tempdir().unwrap();
    let (file, out) = (experiment(place.path()), place.path().join("results"));
    let plan = run(&file, &out).arg("--show-plan").ends_with(0).stdout;
    let plan: Vec<Value> = serde_json::from_str(&plan).unwrap();
    assert!(!out.exists() && plan.iter().all(|step| step["done"] == false));
    let ended = run(&file, &out).ends_with(0);
    for said in [
        "minus clm",
        "after the marker",
        "by keep ratio",
        "5 arms were compared",
        "than the rest: mixed.",
        "(base)",
    ] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    let results = read_json(&out.join("results.json"));
    assert_eq!(results["complete"], true);
    assert_eq!(folders(&out).len(), plan.len());
    // Two sets, one of them also by the marker, matched in three ways.
    assert_eq!(results["comparisons"].as_array().unwrap().len() % 3, 0);
    // No checkpoint was requested, so none takes space.
    let clm = results["arms"][0]["runs"][0]["folder"].as_str().unwrap();
    let clm = out.join("steps").join(clm);
    assert!(clm.join("model.safetensors").exists() && !clm.join("checkpoints").exists());
    // The sweep's 0.6 equals the arm, which is not trained twice.
    assert!(
        folders(&out)
            .iter()
            .all(|name| !name.starts_with("slm-0.6"))
    );

    let before = fs::read(out.join("results.json")).unwrap();
    let again = run(&file, &out).arg("--json").ends_with(0);
    assert!(again.stderr.contains(", 0 to do"), "{}", again.stderr);
    assert_eq!(fs::read(out.join("results.json")).unwrap(), before);
    assert_eq!(
        serde_json::from_str::<Value>(&again.stdout).unwrap(),
        results
    );

    if let Some(python) = python() {
        let output = Command::new(python)
            .args(["-c", include_str!("experiment.py")])
            .arg(&out)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    report(&out, place.path());
    changed(&file, &out);
}

/// The report draws the numbers of the results.
fn report(out: &Path, place: &Path) {
    let page = place.join("report.html");
    Run::new(&["report", "--out"])
        .arg(&page)
        .arg(out)
        .ends_with(0);
    let html = fs::read_to_string(&page).unwrap();
    let own = fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(own, html);
    let results = read_json(&out.join("results.json"));
    // The texts of the tables' cells, whatever their attributes.
    let cells = html.split("<td").skip(1).filter_map(|cell| {
        let (_, text) = cell.split_once('>')?;
        Some(text.split('<').next().unwrap_or_default())
    });
    let cells: std::collections::HashSet<&str> = cells.collect();
    for comparison in results["comparisons"].as_array().unwrap() {
        let base = format!("{:.4}", comparison["base"].as_f64().unwrap());
        assert!(cells.contains(base.as_str()), "{base}");
        for arm in comparison["arms"].as_array().unwrap() {
            let cell = |value: &Value, sign: bool| match sign {
                true => format!("{:+.4}", value.as_f64().unwrap()),
                false => format!(
                    "{:.4} ± {:.4}",
                    value["mean"].as_f64().unwrap(),
                    value["half_width"].as_f64().unwrap()
                ),
            };
            assert!(cells.contains(cell(arm, false).as_str()), "{arm}");
            if arm["difference"].is_object() {
                assert!(
                    cells.contains(cell(&arm["difference"]["mean"], true).as_str()),
                    "{arm}"
                );
            }
        }
    }
    for title in [
        "Figure 6",
        "Figure 7",
        "Figure 9",
        "At equal tokens trained on",
        "no difference found",
        "R² =",
    ] {
        assert!(html.contains(title), "{title}");
    }
    let figures = html.matches("<figure>").count();
    assert_eq!(html.matches(r#"<figcaption>"#).count(), figures);
    in_browser(out, &page);
    let ended = Run::new(&["report", "--seed", "1", "--out", "-"])
        .arg(out)
        .ends_with(2);
    assert!(
        ended.stderr.contains("got the results of an experiment"),
        "{}",
        ended.stderr
    );
}

/// An arm with another option reruns only itself; other data reruns what depends on it.
fn changed(file: &Path, out: &Path) {
    let before = folders(out);
    let text = fs::read_to_string(file).unwrap();
    write(file, text.replace("keep_loss = 0.8", "keep_loss = 0.5"));
    let ended = run(file, out).ends_with(0);
    let new: Vec<String> = folders(out)
        .into_iter()
        .filter(|name| !before.contains(name))
        .collect();
    let names = [
        "answers-static-seed-0-",
        "answers-static-seed-1-",
        "masks-static-",
        "static-seed-0-",
        "static-seed-1-",
    ];
    assert_eq!(new.len(), names.len(), "{new:?}");
    assert!(
        new.iter()
            .zip(names)
            .all(|(new, name)| new.starts_with(name)),
        "{new:?}"
    );
    assert!(ended.stderr.contains("5 to do"), "{}", ended.stderr);
    assert!(ended.stderr.contains("left unchanged"), "{}", ended.stderr);
    // Changed back, nothing is lost.
    write(file, text);
    assert!(run(file, out).ends_with(0).stderr.contains(", 0 to do"));
    let good = file.parent().unwrap().join("data/good.jsonl.gz");
    let corpus = file.parent().unwrap().join("data/held_out_math.jsonl.gz");
    fs::copy(corpus, good).unwrap();
    let plan = run(file, out).arg("--show-plan").ends_with(0).stdout;
    let plan: Vec<Value> = serde_json::from_str(&plan).unwrap();
    for step in plan {
        let name = step["name"].as_str().unwrap();
        let kept = [
            "data-base",
            "base",
            "data-corpus",
            "export-base",
            "scores-of-base",
            "data-held_out_math",
        ];
        let kept = kept.contains(&name) || name.contains("own");
        assert_eq!(step["done"], kept, "{name}");
    }
}

#[test]
fn killed_and_interrupted_it_comes_to_the_same_results() {
    let place = tempfile::tempdir().unwrap();
    let file = experiment(place.path());
    let [whole, broken] = ["whole", "broken"].map(|name| place.path().join(name));
    run(&file, &whole).ends_with(0);
    let start = || {
        let mut run = run(&file, &broken);
        run.0.stdout(Stdio::null()).stderr(Stdio::null());
        run.0.spawn().unwrap()
    };
    let steps =
        || fs::read_dir(broken.join(".rho-mask/steps")).map_or(0, |entries| entries.count());
    let mut random = Random(9);
    for signal in ["KILL", "INT", "KILL", "TERM"] {
        let mut child = start();
        let more = steps() + 1 + random.next() as usize % 6;
        while steps() < more && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(u64::from(random.next() % 100)));
        let _ = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        let ended = child.wait().unwrap();
        if matches!(signal, "INT" | "TERM") {
            assert!(matches!(ended.code(), Some(130 | 0)), "{signal}: {ended}");
        }
    }
    run(&file, &broken).ends_with(0);
    assert_eq!(timeless(&broken), timeless(&whole));
    assert_eq!(folders(&broken), folders(&whole));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let (file, out) = (experiment(place.path()), place.path().join("results"));
    let line = |text: &str| {
        FILE.lines()
            .position(|line| line.starts_with(text))
            .unwrap()
            + 1
    };
    for (from, to, expected) in [
        (
            "every = 3",
            "evry = 3",
            format!("experiment.toml:{}: unknown field `evry`", line("every")),
        ),
        (
            "mix = 0.3",
            "mix = 1.3",
            "arms: mixed: mix: expected a share".to_owned(),
        ),
        (
            "seeds = [0, 1]",
            "seeds = [1, 1]",
            "seeds: expected different numbers".to_owned(),
        ),
        (
            "objective = \"clm\"",
            "objective = \"random\"",
            "expected one with objective clm".to_owned(),
        ),
        ("\"own\"", "\"slm\"", "expected different names".to_owned()),
        (
            "keep = 0.6",
            "keep = 1.6",
            "step slm-seed-0: invalid value '1.6'".to_owned(),
        ),
        (
            "${data}/good",
            "${dota}/good",
            "expected a path for dota".to_owned(),
        ),
        (
            "good.jsonl",
            "gone.jsonl",
            "gone.jsonl.gz: cannot be read".to_owned(),
        ),
        (
            "steps = 8",
            "steps = 8\ntokens = 9",
            "budget: expected either steps or tokens".to_owned(),
        ),
    ] {
        write(&file, FILE.replace(from, to));
        let ended = run(&file, &out).ends_with(2);
        assert!(
            ended.stderr.contains(&expected),
            "{expected}: {}",
            ended.stderr
        );
        assert!(!out.exists(), "{expected}");
    }
    write(&file, FILE);
    let ended = run(&file, &out).args(&["--path", "nobody=x"]).ends_with(2);
    assert!(
        ended.stderr.contains("--path nobody: expected a name that"),
        "{}",
        ended.stderr
    );
    write(&out.join("mine.txt"), "x");
    let ended = run(&file, &out).ends_with(2);
    assert!(
        ended.stderr.contains("found mine.txt in it"),
        "{}",
        ended.stderr
    );
}

/// The examples are valid experiments.
#[test]
fn the_examples_can_be_planned() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("results");
    let steps = |run: Run| -> Vec<Value> {
        let plan = run
            .arg("--out")
            .arg(&out)
            .arg("--show-plan")
            .ends_with(0)
            .stdout;
        serde_json::from_str(&plan).unwrap()
    };
    let small = steps(Run::new(&["experiment", "examples/experiment-small.toml"]));
    let runs = |steps: &[Value]| {
        let names = steps.iter().map(|step| step["name"].as_str().unwrap());
        names.filter(|name| name.contains("-seed-")).count()
    };
    assert_eq!(runs(&small), 4 * 3 + 3);
    // The plan does not read the files, so any will do.
    let text = root().join("examples/small/good.jsonl.gz");
    for name in ["svamp", "aqua_dev", "mathqa_test", "general_overlap"] {
        fs::copy(&text, place.path().join(format!("eval_{name}.jsonl"))).unwrap();
    }
    let tokenizer = demo().join("tokenizer.json");
    let on_data = |file: &str| {
        let paths = [
            ("corpus", text.as_path()),
            ("good", &text),
            ("tokenizer", &tokenizer),
            ("eval", place.path()),
        ];
        let given = paths
            .into_iter()
            .fold(Run::new(&["experiment", file]), |run, (name, path)| {
                run.arg("--path").arg(format!("{name}={}", path.display()))
            });
        steps(given)
    };
    let math = on_data("examples/experiment-math.toml");
    assert_eq!(runs(&math), 6 * 3 + 3);
    let mixed = on_data("examples/experiment-mixed.toml");
    assert_eq!(runs(&mixed), 2 * 3);
    // In a copy of the former's results the base exists.
    let base = |steps: &[Value]| {
        let base = steps.iter().find(|step| step["name"] == "base");
        base.unwrap()["folder"].clone()
    };
    assert_eq!(base(&math), base(&mixed));
}
