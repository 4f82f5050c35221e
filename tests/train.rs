//! `train`: a tiny model on the bundled corpus and its masks, through the binary.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Ended, Random, Run, bundled::SHARDS, bundled::bundled, demo, python::python, read_json, root,
    rows, skipped, write,
};

/// A tiny Llama with the tokenizer of the demonstration: config.json for `--init`.
pub(crate) fn config(place: &Path) -> PathBuf {
    let folder = place.join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(demo().join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 2048, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.02,
    });
    write(&folder.join("config.json"), config.to_string());
    folder.join("config.json")
}

/// A short run of this objective from scratch on the CPU.
pub(crate) fn train(place: &Path, objective: &str, out: &Path) -> Run {
    Run::new(&[
        "train",
        "--device",
        "cpu",
        "--objective",
        objective,
        "--init",
    ])
    .arg(config(place))
    .args(&words("--length 64 --batch-tokens 512 --micro-batch 4"))
    .args(&words("--learning-rate 3e-3 --progress plain --out"))
    .arg(out)
}

/// Splits options at spaces.
pub(crate) fn words(options: &str) -> Vec<&str> {
    options.split_whitespace().collect()
}

/// The same run with other values of its options.
fn instead(run: Run, options: &str) -> Run {
    let mut arguments: Vec<OsString> = run.0.get_args().map(OsString::from).collect();
    for pair in words(options).chunks(2) {
        let at = arguments.iter().position(|argument| argument == pair[0]);
        arguments[at.unwrap() + 1] = pair[1].into();
    }
    let run = Run::new(&[]);
    arguments.into_iter().fold(run, Run::arg)
}

/// The same on the bundled masks.
pub(crate) fn on_masks(place: &Path, objective: &str, out: &Path) -> Run {
    train(place, objective, out)
        .arg("--masks")
        .arg(&bundled().out)
}

/// The lines of training steps.
pub(crate) fn steps(out: &Path) -> Vec<Value> {
    let mut lines = lines(out);
    lines.retain(|line| line.get("evaluation").is_none());
    lines
}

pub(crate) fn lines(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn number(line: &Value, name: &str) -> f64 {
    line[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name}: {line}"))
}

/// Text to evaluate on.
pub(crate) fn held_out(place: &Path) -> PathBuf {
    let path = place.join("held-out.jsonl");
    let texts = [
        "Question: 3 + 4?\nAnswer: 7 apples",
        "no marker",
        "Q. Answer: 12 and more",
    ];
    let lines = texts.map(|text| json!({"text": text}).to_string() + "\n");
    write(&path, lines.concat());
    path
}

/// Checks what must be equal between two runs.
#[track_caller]
fn assert_same(got: &Path, expected: &Path) {
    for name in ["metrics.jsonl", "model.safetensors", "config.json"] {
        let [got, expected] = [got, expected].map(|out| fs::read(out.join(name)).unwrap());
        assert!(got == expected, "{name} differs");
    }
    let optimiser = |out: &Path| {
        let mut names: Vec<_> = fs::read_dir(out.join("checkpoints"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        fs::read(names.last().unwrap().join("optimiser.safetensors")).unwrap()
    };
    assert!(
        optimiser(got) == optimiser(expected),
        "the optimiser differs"
    );
}

/// A run with every option that a resumed run must repeat.
fn long(place: &Path, out: &Path) -> Run {
    on_masks(place, "slm", out)
        .args(&words(
            "--steps 60 --keep-schedule linear:1.0:0.5:30 --mix-clm 0.1",
        ))
        .args(&words("--save-every 5 --keep-last 2 --changed-every 10"))
        .args(&["--eval-every", "15", "--eval-after", "Answer: ", "--eval"])
        .arg(held_out(place))
}

fn start(mut run: Run) -> std::process::Child {
    run.0.stdout(Stdio::null()).stderr(Stdio::piped());
    run.0.spawn().unwrap()
}

/// Waits until this many steps are done, or the run ended.
fn wait_for(child: &mut std::process::Child, out: &Path, steps: usize) {
    let done = || fs::read_to_string(out.join("timings.jsonl")).map_or(0, |t| t.lines().count());
    while done() < steps && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_random_steps_it_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let (whole, killed) = (place.path().join("whole"), place.path().join("killed"));
    long(place.path(), &whole).ends_with(0);
    // Between the steps of checkpoints, at them, and while they are written.
    let mut random = Random(2404);
    for _ in 0..5 {
        let moment = random.next() as usize % 60;
        let mut child = start(long(place.path(), &killed));
        wait_for(&mut child, &killed, moment);
        let _ = child.kill();
        child.wait().unwrap();
    }
    let ended = long(place.path(), &killed).ends_with(0);
    assert_same(&killed, &whole);
    assert!(ended.stderr.contains("trained ") || ended.stderr.contains("all steps are done"));
}

#[test]
fn interrupted_it_saves_and_says_how_to_go_on() {
    let place = tempfile::tempdir().unwrap();
    let (whole, stopped) = (place.path().join("whole"), place.path().join("stopped"));
    long(place.path(), &whole).ends_with(0);
    let mut child = start(long(place.path(), &stopped));
    wait_for(&mut child, &stopped, 3);
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains(" of 60 is saved\n"), "{said}");
    assert!(
        said.contains("resume with: ") && said.contains(" train "),
        "{said}"
    );
    let ended = long(place.path(), &stopped).ends_with(0);
    assert!(
        ended.stderr.contains("resuming after step "),
        "{}",
        ended.stderr
    );
    assert_same(&stopped, &whole);
    let again = long(place.path(), &stopped).ends_with(0);
    assert!(
        again.stderr.contains("all steps are done already"),
        "{}",
        again.stderr
    );
}

#[test]
fn every_objective_learns_from_the_tokens_it_names() {
    let place = tempfile::tempdir().unwrap();
    let weighted = place.path().join("weights");
    Run::new(&["select"])
        .arg(&bundled().out)
        .arg("--out")
        .arg(&weighted)
        .args(&words("--by loss --weights rank"))
        .ends_with(0);
    for objective in ["slm", "clm", "random", "hard", "easy", "static", "weighted"] {
        let out = place.path().join(objective);
        let mut run = match objective {
            "weighted" => train(place.path(), objective, &out)
                .arg("--masks")
                .arg(&weighted),
            _ => on_masks(place.path(), objective, &out),
        };
        let ratio = matches!(objective, "slm" | "random" | "hard" | "easy");
        if ratio {
            run = run.args(&["--keep", "0.6"]);
        }
        run.args(&["--steps", "6"]).ends_with(0);
        let steps = steps(&out);
        assert_eq!(steps.len(), 6);
        for line in &steps {
            let (targets, kept) = (number(line, "targets"), number(line, "kept"));
            if ratio {
                assert_eq!(kept, (0.6 * targets).round(), "{objective}");
            }
            if ratio || objective == "static" {
                let dropped = ["loss_dropped", "reference_loss_dropped"];
                assert!(dropped.iter().all(|name| line[name].is_number()), "{line}");
            }
            let excess = |of: &str| {
                number(line, &format!("loss_{of}")) - number(line, &format!("reference_loss_{of}"))
            };
            match objective {
                "clm" => assert_eq!(kept, targets),
                "slm" => assert!(excess("kept") > excess("dropped")),
                "hard" => assert!(number(line, "loss_kept") > number(line, "loss_dropped")),
                "easy" => assert!(number(line, "loss_kept") < number(line, "loss_dropped")),
                _ => {}
            }
        }
        let (first, last) = (&steps[0], &steps[5]);
        assert!(number(last, "loss") < number(first, "loss"), "{objective}");
    }
}

#[test]
fn static_keeps_the_bits_of_the_masks_and_an_epoch_sees_every_token_once() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("static");
    let run = on_masks(place.path(), "static", &out);
    instead(run, "--batch-tokens 8192")
        .args(&["--mask-column", "mask_loss"])
        .ends_with(0);
    let (mut targets, mut kept, mut loss) = (0, 0, 0.0);
    for shard in SHARDS {
        for row in rows(&bundled().out, shard) {
            targets += row.input_ids.len() as u64 - 1;
            kept += row.masks[0].iter().filter(|kept| **kept).count() as u64;
            let kept = row.scores[0]
                .iter()
                .zip(&row.masks[0])
                .filter(|(_, kept)| **kept);
            loss += kept.map(|(&loss, _)| f64::from(loss)).sum::<f64>();
        }
    }
    let steps = steps(&out);
    let last = steps.last().unwrap();
    assert_eq!(
        (
            last["tokens_seen"].as_u64(),
            last["tokens_trained"].as_u64()
        ),
        (Some(targets), Some(kept))
    );
    let reported: f64 = steps
        .iter()
        .map(|line| number(line, "reference_loss_kept") * number(line, "kept"))
        .sum();
    assert!((reported - loss).abs() < 1e-6 * loss, "{reported}, {loss}");
    let summary = read_json(&out.join("summary.json"));
    assert!(summary["padding"].as_f64().unwrap() < 0.01, "{summary}");
}

/// One batch in four parts or in one: the same tokens are ranked together.
#[test]
fn accumulated_batches_are_ranked_as_one() {
    let place = tempfile::tempdir().unwrap();
    let [one, four] = ["8", "2"].map(|rows| {
        let out = place.path().join(rows);
        let run = on_masks(place.path(), "slm", &out);
        instead(run, &format!("--micro-batch {rows}"))
            .args(&["--steps", "4"])
            .ends_with(0);
        steps(&out)
    });
    for (one, four) in one.iter().zip(&four) {
        assert_eq!(one["kept"], four["kept"]);
        for name in [
            "loss",
            "loss_kept",
            "loss_dropped",
            "objective",
            "gradient_norm",
        ] {
            let (one, four) = (number(one, name), number(four, name));
            assert!((one - four).abs() < 1e-4 * one, "{name}: {one}, {four}");
        }
    }
    // The reference's loss is read, not computed, so equal tokens have equal numbers.
    assert_eq!(
        one[0]["reference_loss_kept"],
        four[0]["reference_loss_kept"]
    );
}

#[test]
fn masks_of_another_tokenizer_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let tokenizer = place.path().join("other/tokenizer.json");
    let mut text = fs::read_to_string(demo().join("tokenizer.json")).unwrap();
    text.push('\n');
    write(&tokenizer, text);
    let out = place.path().join("out");
    let ended = on_masks(place.path(), "slm", &out)
        .arg("--tokenizer")
        .arg(&tokenizer)
        .ends_with(2);
    assert!(
        ended.stderr.contains("got masks of another"),
        "{}",
        ended.stderr
    );
    assert!(!out.exists(), "refused before anything was written");
}

#[test]
fn another_plan_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let run =
        |seed: &str| on_masks(place.path(), "slm", &out).args(&["--steps", "2", "--seed", seed]);
    run("0").ends_with(0);
    let ended = run("1").ends_with(2);
    for words in ["--seed: 0 before, 1 now", "--restart"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    run("1").args(&["--restart"]).ends_with(0);
    // A folder of another command is left alone.
    let ended = on_masks(place.path(), "slm", &bundled().out).ends_with(2);
    assert!(
        ended.stderr.contains("expected an empty folder"),
        "{}",
        ended.stderr
    );
}

/// A corpus finds its masks by its tokens, whatever file they were scored in; one without masks is refused.
#[test]
fn a_corpus_takes_the_masks_of_its_tokens() {
    let place = tempfile::tempdir().unwrap();
    let pages = fs::read_to_string(root().join("examples/corpus/pages.jsonl")).unwrap();
    let mut turned: Vec<&str> = pages.lines().rev().collect();
    let corpus = place.path().join("turned.jsonl");
    write(&corpus, turned.join("\n"));
    let run = |out: &Path| {
        let run = instead(on_masks(place.path(), "slm", out), "--batch-tokens 8192");
        run.arg("--corpus").arg(&corpus)
    };
    let out = place.path().join("out");
    run(&out).ends_with(0);
    let (mut tokens, mut loss) = (0, 0.0);
    for row in rows(&bundled().out, "pages.jsonl") {
        tokens += row.input_ids.len() as u64 - 1;
        loss += row.scores[0]
            .iter()
            .filter(|l| !l.is_nan())
            .map(|&l| f64::from(l))
            .sum::<f64>();
    }
    let steps = steps(&out);
    assert_eq!(steps.last().unwrap()["tokens_seen"], tokens);
    let sum: f64 = steps
        .iter()
        .map(|l| number(l, "reference_loss") * number(l, "targets"))
        .sum();
    assert!((sum - loss).abs() < 1e-6 * loss, "{sum}, {loss}");

    let stranger = json!({"text": "a text that nobody scored"}).to_string();
    turned.push(&stranger);
    write(&corpus, turned.join("\n"));
    let out = place.path().join("one");
    let ended = run(&out).ends_with(1);
    assert!(
        ended.stderr.contains("1 documents have no masks"),
        "{}",
        ended.stderr
    );
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    assert!(
        rejected.contains("the masks have no document with these tokens"),
        "{rejected}"
    );
    let ended = run(&place.path().join("none"))
        .args(&["--max-unmatched", "0"])
        .ends_with(2);
    assert!(
        ended.stderr.contains("documents without masks"),
        "{}",
        ended.stderr
    );
}

#[test]
fn documents_with_tokens_beyond_the_embedding_are_rejected() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, held_out) = (
        place.path().join("corpus.jsonl"),
        place.path().join("held.jsonl"),
    );
    let documents = fs::read_to_string(root().join("examples/corpus/pages.jsonl")).unwrap();
    let beyond = json!({"text": "one [PAD]"}).to_string();
    write(&corpus, format!("{documents}{beyond}\n"));
    write(&held_out, format!("{beyond}\n{documents}"));
    let out = place.path().join("run");
    let run = train(place.path(), "clm", &out).args(&words("--steps 2 --eval-every 2 --corpus"));
    let settings = r#"{"pad_token": "[PAD]"}"#;
    write(&place.path().join("config/tokenizer_config.json"), settings);
    let ended = run.arg(&corpus).arg("--eval").arg(&held_out).ends_with(1);
    let beyond = "token 3: expected an id below the vocabulary of 2048, got 2048";
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    assert!(
        rejected.contains(&format!("{beyond} (\\\"[PAD]\\\")")),
        "{rejected}"
    );
    assert!(
        ended.stderr.contains(&format!("such as row 0: {beyond}")),
        "{}",
        ended.stderr
    );
    // The file with that setting is copied along with the model.
    assert_eq!(
        fs::read_to_string(out.join("tokenizer_config.json")).unwrap(),
        settings
    );
}

#[test]
fn masks_that_are_compressed_give_the_same_run() {
    let place = tempfile::tempdir().unwrap();
    let packed = place.path().join("packed");
    Run::score(Path::new("examples/corpus"), &packed)
        .args(&["--compression", "zstd"])
        .ends_with(0);
    let (plain, unpacked) = (place.path().join("plain"), place.path().join("unpacked"));
    on_masks(place.path(), "slm", &plain)
        .args(&["--steps", "3"])
        .ends_with(0);
    train(place.path(), "slm", &unpacked)
        .arg("--masks")
        .arg(&packed)
        .args(&["--steps", "3"])
        .ends_with(0);
    // The corpus takes its tokens' masks; its shards are those of the masks, in the same order.
    let joined = place.path().join("joined");
    train(place.path(), "slm", &joined)
        .arg("--masks")
        .arg(&packed)
        .args(&["--corpus", "examples/corpus", "--steps", "3"])
        .ends_with(0);
    let metrics = |out: &Path| fs::read(out.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics(&plain), metrics(&unpacked));
    assert_eq!(metrics(&plain), metrics(&joined));
    // Parquet and compressed Arrow files are unpacked as well.
    for format in ["parquet", "arrow-file"] {
        let (masks, out) = (
            place.path().join(format),
            place.path().join(format!("of-{format}")),
        );
        Run::new(&["select", "--by", "intersection", "--format", format])
            .arg(&packed)
            .arg("--out")
            .arg(&masks)
            .ends_with(0);
        train(place.path(), "slm", &out)
            .arg("--masks")
            .arg(&masks)
            .args(&["--steps", "3"])
            .ends_with(0);
        assert_eq!(metrics(&plain), metrics(&out), "{format}");
    }
    assert!(
        !joined.join(".rho-mask/masks").exists(),
        "the joined masks are temporary"
    );
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let run = on_masks(place.path(), "clm", &out);
    let ended = instead(run, "--learning-rate 1e30")
        .args(&words("--steps 9 --save-every 1 --schedule constant"))
        .ends_with(2);
    let said = &ended.stderr;
    for words in [
        "error: step ",
        ": expected a finite ",
        "in its batch: ",
        "#",
        "step-0000",
    ] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    let stopped = read_json(&out.join("stopped.json"));
    assert!(!stopped["documents"].as_array().unwrap().is_empty());
}

#[test]
fn settings_that_cannot_be_meant_are_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let run = |objective: &str| on_masks(place.path(), objective, &out);
    for (ended, words) in [
        (
            run("clm").args(&["--keep", "0.5"]).ends_with(2),
            "--keep: expected an objective that keeps a share",
        ),
        (
            run("slm")
                .args(&["--keep-schedule", "linear:1"])
                .ends_with(2),
            "linear:FROM:TO:STEPS",
        ),
        (
            run("slm").args(&["--loss-column", "other"]).ends_with(2),
            "a column \"other\"",
        ),
        (
            run("weighted").ends_with(2),
            "expected a column of weights, got none",
        ),
        (
            instead(run("slm"), "--length 9999").ends_with(2),
            "--length: expected 2 to 256 tokens",
        ),
        (
            instead(run("slm"), "--batch-tokens 9").ends_with(2),
            "at least a row of 64 tokens",
        ),
        (
            run("slm").args(&["--final-rate", "2"]).ends_with(2),
            "--final-rate",
        ),
        (
            train(place.path(), "slm", &out)
                .args(&["--corpus", "examples/corpus"])
                .ends_with(2),
            "expected --masks",
        ),
        (
            run("slm").args(&["--eval-after", "A"]).ends_with(2),
            "--eval-after: expected --eval",
        ),
    ] {
        assert!(ended.stderr.contains(words), "{words:?}: {}", ended.stderr);
        assert!(!out.exists(), "{words:?}");
    }
    let plan = run("slm").args(&["--show-plan"]).ends_with(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(
        (&plan["objective"], &plan["batch_rows"]),
        (&"slm".into(), &8.into())
    );
    assert!(!out.exists());
}

/// Runs on a disk of this size, then copies the run's folder out of it.
#[cfg(target_os = "linux")]
fn on_a_small_disk(place: &Path, size: &str) -> Option<Ended> {
    let disk = place.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let script = r#"mount -t tmpfs -o "$0" tmpfs "$1" || exit 77
        disk=$1; copy=$2; shift 2; "$@"; code=$?; cp -r "$disk/run" "$copy"; exit $code"#;
    let inside = long(place, &disk.join("run"));
    let mut run = Run(Command::new("unshare"));
    run.0
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([&format!("size={size}"), disk.to_str().unwrap()])
        .arg(place.join("copy"))
        .arg(inside.0.get_program())
        .args(inside.0.get_args())
        .current_dir(root())
        .stdin(Stdio::null());
    let ended = run.end();
    if ended.code == Some(77) || ended.stderr.contains("unshare failed") {
        skipped("no file system can be mounted here");
        return None;
    }
    Some(ended)
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_leaves_the_former_checkpoint_usable() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    long(place.path(), &whole).ends_with(0);
    // A checkpoint is weights and two moments of 66,000 parameters: 0.8 MB. Two fit, a third one does not.
    let Some(ended) = on_a_small_disk(place.path(), "2m") else {
        return;
    };
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for words in ["checkpoints/step-0000", "make room"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let copy = place.path().join("copy");
    let names = fs::read_dir(copy.join("checkpoints")).unwrap();
    let names: Vec<String> = names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !names.is_empty() && names.iter().all(|name| name.starts_with("step-")),
        "{names:?}"
    );
    long(place.path(), &copy).ends_with(0);
    assert_same(&copy, &whole);
}

#[test]
fn held_out_text_is_measured_before_in_between_and_after() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let ended = long(place.path(), &out).ends_with(0);
    let mut evaluations = lines(&out);
    evaluations.retain(|line| line.get("evaluation").is_some());
    let at: Vec<u64> = evaluations
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(at, [0, 15, 30, 45, 60]);
    for line in &evaluations {
        assert_eq!(
            (&line["evaluation"], &line["documents"], &line["marked"]),
            (&"held-out".into(), &3.into(), &2.into())
        );
        for mean in [line, &line["after"]] {
            let (loss, perplexity) = (number(mean, "loss"), number(mean, "perplexity"));
            assert!((loss.exp() - perplexity).abs() < 1e-9 * perplexity);
        }
        assert!(number(&line["after"], "tokens") < number(line, "tokens"));
    }
    // An untrained model has maximal entropy.
    assert!((number(&evaluations[0], "loss") - 2048_f64.ln()).abs() < 0.1);
    assert!(number(&evaluations[4], "loss") < number(&evaluations[0], "loss"));
    assert!(
        ended.stderr.contains("held out    held-out: "),
        "{}",
        ended.stderr
    );
    let changed = steps(&out);
    let changed = changed.iter().filter(|line| line["changed"].is_number());
    assert_eq!(changed.count(), 6);
}

/// TensorBoard's own reader finds each step once, even after an interruption.
#[test]
fn tensorboard_reads_the_curves() {
    const READ: &str = "\
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
print([s.step for s in events.Scalars('loss/loss')], [s.step for s in events.Scalars('evaluation/held-out/loss')])
print(repr(events.Scalars('loss/loss')[-1].value))";
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let mut child = start(long(place.path(), &out));
    wait_for(&mut child, &out, 8);
    child.kill().unwrap();
    child.wait().unwrap();
    long(place.path(), &out).ends_with(0);
    let output = Command::new(&python)
        .args(["-c", READ])
        .arg(out.join("tensorboard"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let all: Vec<u32> = (1..=60).collect();
    let mut read = said.lines();
    assert_eq!(read.next().unwrap(), format!("{all:?} [0, 15, 30, 45, 60]"));
    let last: f64 = read.next().unwrap().parse().unwrap();
    assert!((last - number(steps(&out).last().unwrap(), "loss")).abs() < 1e-5);
}
