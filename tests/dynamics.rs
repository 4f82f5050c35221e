//! `dynamics`: real checkpoints of a run against NumPy, interruptions, output and refusals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::export::library;
use crate::report::{between, in_browser};
use crate::support::{
    Ended, Random, Run, demo, files, python::python, read_json, rows, tiny::tiny_drawn,
    tiny::with_tokenizer, write,
};
use crate::train::words;

const ORACLE: &str = include_str!("dynamics.py");

/// Uses a cache folder of its own, so that checkpoints of tests do not stay in the user's cache.
fn with_cache(run: Run, place: &Path) -> Run {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(library);
    run.env("XDG_CACHE_HOME", place.join("cache"))
        .env("ORT_DYLIB_PATH", &*LIBRARY)
}

/// `dynamics` on the processor.
fn dynamics(checkpoints: &[&Path], corpus: &Path, out: &Path) -> Run {
    let run = Run::new(&["dynamics", "--device", "cpu", "--progress", "none"]);
    let run = checkpoints
        .iter()
        .fold(run.args(&["--checkpoints"]), |run, path| run.arg(path));
    let run = run.arg("--corpus").arg(corpus).arg("--out").arg(out);
    with_cache(run, out.parent().unwrap_or(out))
}

/// Compares everything in a folder with what NumPy computes from its losses.
#[track_caller]
fn numpy_agrees(out: &Path) {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .args(["-c", ORACLE])
        .arg(out)
        .env("HF_DATASETS_OFFLINE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", out.display());
}

/// A short run of `train` on the bundled corpus, with a checkpoint every four steps.
fn trained(place: &Path) -> PathBuf {
    let config = place.join("config");
    with_tokenizer(&config);
    let written = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 2048, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 1, "initializer_range": 0.02,
    });
    write(&config.join("config.json"), written.to_string());
    let out = place.join("run");
    let run = Run::new(&words(
        "train --device cpu --objective clm --steps 24 --save-every 4 --keep-last 0 --length 64 --batch-tokens 1024 \
         --learning-rate 1e-2 --warm-up 0 --progress none --corpus examples/corpus/pages.jsonl --init",
    ));
    run.arg(config.join("config.json"))
        .arg("--out")
        .arg(&out)
        .ends_with(0);
    out
}

/// A model that was trained further, on mathematics.
fn reference(place: &Path, base: &Path) -> PathBuf {
    let out = place.join("reference");
    let run = Run::new(&words(
        "train --device cpu --objective clm --steps 20 --length 64 --batch-tokens 1024 --learning-rate 3e-3 --progress none \
         --corpus examples/corpus/notes.jsonl.gz --model",
    ));
    run.arg(base).arg("--out").arg(&out).ends_with(0);
    out
}

/// Documents of the bundled corpus, a line each.
fn pages() -> Vec<String> {
    let text = fs::read_to_string(crate::support::root().join("examples/corpus/pages.jsonl"));
    text.unwrap().lines().map(str::to_owned).collect()
}

/// Two shards of text.
fn corpus(place: &Path) -> PathBuf {
    let folder = place.join("validation");
    let lines = pages();
    write(&folder.join("a.jsonl"), lines[..20].join("\n"));
    write(&folder.join("sub/b.jsonl"), lines[20..34].join("\n"));
    folder
}

/// Tiny models with different random weights.
fn drawn(place: &Path, count: u32) -> Vec<PathBuf> {
    let models = (0..count).map(|seed| {
        let folder = place.join(format!("model-{seed}"));
        with_tokenizer(&folder);
        tiny_drawn(&folder, 2048, 100 + seed)
    });
    models.collect()
}

fn paths(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

#[test]
fn real_checkpoints_are_described_as_numpy_does() {
    let place = tempfile::tempdir().unwrap();
    let run = trained(place.path());
    let steps = files(&run.join("checkpoints"));
    assert_eq!(
        steps
            .iter()
            .filter(|name| name.ends_with("config.json"))
            .count(),
        6,
        "--keep-last 0 keeps all: {steps:?}"
    );
    let (reference, corpus) = (reference(place.path(), &run), corpus(place.path()));
    let out = place.path().join("dynamics");
    let ended = dynamics(&[&run], &corpus, &out)
        .args(&["--source-field", "source", "--top", "30", "--reference"])
        .arg(&reference)
        .ends_with(0);
    assert_eq!(ended.stdout, "", "the messages go to standard error");
    for said in [
        "6, from step 4 (",
        "34\n",
        "H->L ",
        "51 %",
        "60 % selected by step 24",
        "all tokens",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    numpy_agrees(&out);
    // The scores are in the files now.
    assert!(!out.join(".rho-mask/scores").exists());

    // `score` of the same checkpoints gives the same bits.
    let last = run.join("checkpoints/step-000024");
    for (model, column) in [
        (run.join("checkpoints/step-000004"), "loss_1"),
        (last, "loss_6"),
        (reference.clone(), "reference_loss"),
    ] {
        let scored = place.path().join(column);
        let score = Run::score(&corpus, &scored).arg("--model").arg(&model);
        with_cache(score, place.path())
            .args(&["--progress", "none"])
            .ends_with(0);
        for shard in ["a.jsonl", "sub/b.jsonl"] {
            let place = schema(&out, shard).iter().position(|name| name == column);
            let (got, expected) = (rows(&out, shard), rows(&scored, shard));
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(&expected) {
                assert_eq!(got.input_ids, expected.input_ids);
                let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
                let (got, expected) = (&got.scores[place.unwrap()], &expected.scores[0]);
                assert_eq!(bits(got), bits(expected), "{column} of {shard}");
            }
        }
    }
    // A finished run changes nothing.
    let before = everything(&out);
    let again = dynamics(&[&run], &corpus, &out)
        .args(&["--source-field", "source", "--top", "30", "--reference"])
        .arg(&reference)
        .ends_with(0);
    assert!(
        again.stderr.contains("already finished"),
        "{}",
        again.stderr
    );
    assert!(again.stderr.contains("60 % selected by step 24"));
    assert_eq!(everything(&out), before);

    let page = place.path().join("report.html");
    let report = Run::new(&["report"]).arg(&out).arg("--out").arg(&page);
    report.args(&["--documents", "5"]).ends_with(0);
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<figure>").count(), 6, "figures");
    let summary = read_json(&out.join("summary.json"));
    let matrix = table(&html, "Perplexity of selected tokens");
    assert_eq!(matrix.len(), 8);
    for (row, values) in matrix[1..7]
        .iter()
        .zip(array(&summary["selection"]["perplexity"]))
    {
        let told: Vec<String> = array(values)
            .iter()
            .map(|value| format!("{:.2}", value.as_f64().unwrap()))
            .collect();
        assert_eq!(row[1..], told);
    }
    assert_eq!(matrix[7][0], "all tokens");
    let curves = table(&html, "Mean loss by category");
    for (row, i) in curves[1..].iter().zip(0..) {
        assert_eq!(row[0], format!("step {}", 4 * (i + 1)));
        let expected = array(&summary["categories"]).iter().map(|category| {
            let value = category["curve"][i].as_f64();
            value.map(|value| format!("{value:.3}")).unwrap_or_default()
        });
        assert_eq!(row[1..], expected.collect::<Vec<_>>());
    }
    let again = Run::new(&["report", "--documents", "5", "--out", "-"]).arg(&out);
    assert_eq!(
        again.ends_with(0).stdout,
        html,
        "the same folder, another page"
    );
    in_browser(&out, &page);
}

#[test]
fn without_a_reference_and_over_steps() {
    let place = tempfile::tempdir().unwrap();
    let (run, corpus) = (trained(place.path()), corpus(place.path()));
    let out = place.path().join("dynamics");
    let chosen = ["step-000004", "step-000008", "step-000012", "step-000024"];
    let chosen: Vec<PathBuf> = (0..4)
        .map(|i| run.join("checkpoints").join(chosen[i]))
        .collect();
    // Named one by one they are models without steps.
    let refused = dynamics(&paths(&chosen), &corpus, &out)
        .args(&["--x", "step"])
        .ends_with(2);
    assert!(
        refused.stderr.contains("--x step: expected"),
        "{}",
        refused.stderr
    );
    let some = place.path().join("some/checkpoints");
    fs::create_dir_all(&some).unwrap();
    for path in &chosen {
        copy(path, &some.join(path.file_name().unwrap()));
    }
    let some = place.path().join("some");
    let ended = dynamics(&[&some], &corpus, &out)
        .args(&["--x", "step", "--threshold", "0.5"])
        .ends_with(0);
    assert!(
        ended.stderr.contains("it needs --reference"),
        "{}",
        ended.stderr
    );
    numpy_agrees(&out);
    let page = place.path().join("report.html");
    let report = Run::new(&["report"]).arg(&out).arg("--out").arg(&page);
    report.args(&["--documents", "2"]).ends_with(0);
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("Not shown: what a checkpoint would select"));
    assert!(html.contains("by more than 0.5 nats"));
    in_browser(&out, &page);

    // A model with other weights in the folder is another checkpoint.
    copy(&run.join("checkpoints/step-000016"), &some);
    let ended = dynamics(&[&some], &corpus, &place.path().join("five")).ends_with(0);
    assert!(
        ended.stderr.contains("has other weights than step 24"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("5, from step 4 ("),
        "{}",
        ended.stderr
    );
}

#[test]
fn killed_anywhere_it_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let models = drawn(place.path(), 4);
    let folder = place.path().join("corpus");
    for shard in ["a.jsonl", "b/c.jsonl", "d.jsonl"] {
        // A row without a document in each shard.
        let lines = pages();
        write(
            &folder.join(shard),
            lines[..40].join("\n") + "\n{\"id\": \"none\"}\n",
        );
    }
    let run = |out: &Path| {
        dynamics(&paths(&models[..3]), &folder, out)
            .arg("--reference")
            .arg(&models[3])
    };
    let (whole, killed) = (place.path().join("whole"), place.path().join("killed"));
    let begun = Instant::now();
    let ended = run(&whole).ends_with(1);
    let time = begun.elapsed();
    assert!(ended.stderr.contains("3 rows rejected"), "{}", ended.stderr);
    numpy_agrees(&whole);
    let mut random = Random(2404);
    for _ in 0..12 {
        let mut run = run(&killed);
        run.0.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = run.0.spawn().unwrap();
        sleep(time.mul_f64(f64::from(random.next() % 1000) / 1000.0));
        let _ = child.kill();
        child.wait().unwrap();
    }
    run(&killed).ends_with(1);
    assert_eq!(results(&killed), results(&whole));

    // When stopped by a signal, it says how to resume; the scores so far stay.
    let stopped = place.path().join("stopped");
    let mut polite = run(&stopped);
    polite.0.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = polite.0.spawn().unwrap();
    let scored = stopped.join(".rho-mask/scores/0002/.rho-mask");
    let waited = Instant::now();
    while !scored.exists() && waited.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(1));
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(130) {
        assert!(said.contains("resume with: "), "{said}");
        let ended = run(&stopped).ends_with(1);
        assert!(
            ended.stderr.contains("1 of 4: model-0 is scored already"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(results(&stopped), results(&whole));

    // Another plan needs another folder, or a restart.
    let other = run(&whole).args(&["--threshold", "0.3"]);
    let refused = other.ends_with(2).stderr;
    assert!(
        refused.contains("--threshold: 0.2 before, 0.3 now") && refused.contains("hint: "),
        "{refused}"
    );
    let more = dynamics(&paths(&models), &folder, &whole)
        .ends_with(2)
        .stderr;
    assert!(more.contains("another plan"), "{more}");
    let over = run(&killed).args(&["--threshold", "0.3", "--restart"]);
    over.ends_with(1);
    numpy_agrees(&killed);
    run(&killed).arg("--restart").ends_with(1);
    assert_eq!(results(&killed), results(&whole));

    // As Parquet, it shows the same.
    let shown = || {
        let show = Run::new(&["show", "--shard", "b/c.jsonl"]).arg(&killed);
        show.ends_with(0).stdout
    };
    let expected = shown();
    let parquet = ["--format", "parquet"];
    let refused = run(&killed).args(&parquet).ends_with(2).stderr;
    let said = "--format: arrow-stream before, parquet now";
    assert!(refused.contains(said), "{refused}");
    run(&killed).args(&parquet).arg("--restart").ends_with(1);
    run(&killed).args(&parquet).ends_with(1);
    assert_eq!(shown(), expected);
    let names = files(&killed).into_iter();
    let names: Vec<String> = names.filter(|name| name.contains(".jsonl.")).collect();
    let ending = |ending| names.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!((ending(".parquet"), ending(".arrow")), (3, 0), "{names:?}");
}

#[test]
fn documents_are_shown_by_preference_and_by_category() {
    let place = tempfile::tempdir().unwrap();
    let models = drawn(place.path(), 4);
    let (corpus, out) = (corpus(place.path()), place.path().join("dynamics"));
    let run = dynamics(&paths(&models[..3]), &corpus, &out).arg("--reference");
    run.arg(&models[3]).ends_with(0);
    let show = |arguments: &[&str]| Run::new(&["show"]).arg(&out).args(arguments);
    let shown = show(&["--limit", "12"]).ends_with(0).stdout;
    let heads: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("fifths of all tokens by excess loss"))
        .collect();
    assert_eq!(heads.len(), 4, "{shown}");
    for (head, time) in heads.iter().zip(["0 %", "33 %", "66 %", "100 %"]) {
        assert!(head.contains(&format!(": {time} (model-")), "{head}");
    }
    // The levels follow from the numbers and the bounds in the summary.
    let summary = read_json(&out.join("summary.json"));
    let first = &rows(&out, "a.jsonl")[0];
    let columns = schema(&out, "a.jsonl");
    let score = |name: &str| &first.scores[columns.iter().position(|c| c == name).unwrap()];
    for (time, drawn) in array(&summary["preference"]["times"])
        .iter()
        .zip(shown.split("least preferred (nats)\n").skip(1))
    {
        let own = score(time["column"].as_str().unwrap());
        let bounds = array(&time["bounds"]);
        let levels = own
            .iter()
            .zip(score("reference_loss"))
            .map(|(own, reference)| {
                let excess = f64::from(own - reference);
                let below = bounds
                    .iter()
                    .filter(|b| excess < b.as_f64().unwrap())
                    .count();
                if excess.is_nan() {
                    '-'
                } else {
                    char::from(b'5' - below as u8)
                }
            });
        let mut expected: Vec<char> = levels.take(12).collect();
        expected.dedup();
        let told = drawn.split("...").next().unwrap();
        let got: Vec<char> = told
            .match_indices('[')
            .map(|(at, _)| told[..at].chars().last().unwrap())
            .collect();
        assert_eq!(got, expected, "{drawn}");
    }
    let shown = show(&["--by", "category", "--numbers", "--limit", "20"])
        .ends_with(0)
        .stdout;
    assert!(
        shown.contains("tokens by how their loss changed: H->L "),
        "{shown}"
    );
    let codes = shown
        .lines()
        .filter(|line| line.ends_with("->L") || line.ends_with("->H"));
    assert_eq!(
        codes.count(),
        19,
        "a category for each token but the first: {shown}"
    );
    let colours = show(&["--by", "category", "--color", "always"])
        .ends_with(0)
        .stdout;
    assert!(colours.contains("\x1b["), "{colours}");

    let refused = |ended: Ended, expected: &str| {
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains(expected),
            "{expected}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    };
    refused(
        show(&["--by", "loss"]).end(),
        "expected preference or category",
    );
    refused(
        show(&["--mask", "loss"]).end(),
        "got the dynamics of tokens",
    );
    let masks = &crate::support::bundled::bundled().out;
    let of_masks = Run::new(&["show", "--by", "category"]).arg(masks);
    refused(of_masks.end(), "got a value for a folder of dynamics");
    refused(Run::new(&["stats"]).arg(&out).end(), "expected masks");
    let select = Run::new(&["select", "--by", "loss", "--out"]).arg(place.path().join("s"));
    refused(select.arg(&out).end(), "expected masks");
    let report = || Run::new(&["report", "--out", "-"]).arg(&out);
    refused(
        report().args(&["--threads", "1"]).end(),
        "--threads: expected masks",
    );
    refused(report().arg(masks).end(), "expected one folder of dynamics");
    fs::remove_file(out.join("summary.json")).unwrap();
    refused(
        report().end(),
        "finished, got a folder without summary.json",
    );
    // A folder with masks is left alone.
    let scored = place.path().join("scored");
    Run::score(&corpus, &scored)
        .arg("--model")
        .arg(&models[0])
        .ends_with(0);
    let over = dynamics(&paths(&models[..3]), &corpus, &scored).arg("--restart");
    refused(over.end(), "got one with masks");
}

#[test]
fn documents_have_no_power_over_the_page() {
    let place = tempfile::tempdir().unwrap();
    // More checkpoints than the charts have room to number, and names that are too long.
    let models = (0..11).map(|seed| {
        let folder = place
            .path()
            .join(format!("<b onclick=alert({seed})>&\u{202e}"));
        with_tokenizer(&folder);
        tiny_drawn(&folder, 2048, 100 + seed)
    });
    let models: Vec<PathBuf> = models.collect();
    let corpus = place.path().join("</script> & co.jsonl");
    let texts = [
        "</script><script>document.title = 'taken'</script><!-- <script> ]]> &amp; \u{2028}",
        "<img src=x onerror=\"console.error('taken')\"> \u{202e}backwards\u{2066}",
        "\u{0}\u{1b}[31m\u{7f}\u{9b} a\r\n\tb \u{feff}\u{200b}",
        "שלום עולם, 中文 😀👩‍👩‍👧 é \u{301}",
        "",
    ];
    let lines = texts.iter().enumerate().map(|(i, text)| {
        let id = format!("<b onclick=alert({i})>&\"'</b>\u{202e}");
        json!({"id": id, "text": text.repeat(20), "source": "</script>"}).to_string() + "\n"
    });
    write(&corpus, lines.collect::<String>());
    let out = place.path().join("dynamics");
    let run = dynamics(&paths(&models[..10]), &corpus, &out).arg("--reference");
    let ended = run
        .arg(&models[10])
        .args(&["--source-field", "source"])
        .ends_with(0);
    assert!(
        !ended.stderr.contains('\u{202e}') && !ended.stderr.contains('\u{1b}'),
        "{}",
        ended.stderr
    );
    numpy_agrees(&out);
    let page = place.path().join("report.html");
    let report = Run::new(&["report"]).arg(&out).arg("--out").arg(&page);
    report.ends_with(0);
    let html = fs::read_to_string(&page).unwrap();
    for taken in [
        "<b onclick",
        "<img",
        "'taken'</script>",
        "<!--",
        "\u{202e}",
        "\u{2066}",
        "\u{1b}",
        "\u{0}",
        "\u{2028}",
        "\u{9b}",
    ] {
        assert!(!html.contains(taken), "{taken:?}");
    }
    assert_eq!(html.matches("</script>").count(), 2);
    in_browser(&out, &page);
}

#[test]
fn what_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let models = drawn(place.path(), 4);
    let corpus = corpus(place.path());
    let out = at("out");
    let refused = |run: Run, expected: &[&str]| {
        let ended = run.ends_with(2);
        for expected in expected {
            assert!(
                ended.stderr.contains(expected),
                "{expected}: {}",
                ended.stderr
            );
        }
        assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
        assert!(!out.exists(), "something was written");
    };
    fs::create_dir_all(at("empty")).unwrap();
    let on = |checkpoints: &[&Path]| dynamics(checkpoints, &corpus, &out);
    refused(
        on(&[&at("nowhere")]),
        &["nowhere: expected checkpoints, got nothing"],
    );
    refused(
        on(&[&at("empty")]),
        &["empty: expected checkpoints", "got neither"],
    );
    refused(
        on(&[&models[0]]),
        &["expected at least 3", "got 1 (model-0)"],
    );
    refused(
        on(&paths(&models[..2])),
        &[
            "expected at least 3",
            "got 2 (model-0, model-1)",
            "--keep-last 0",
        ],
    );
    // Another tokenizer.
    let tokenizer = models[1].join("tokenizer.json");
    let text = fs::read_to_string(&tokenizer).unwrap();
    write(&tokenizer, text + "\n");
    refused(
        on(&paths(&models[..3])),
        &[
            "model-1: expected the tokenizer of",
            "model-0",
            "got another (SHA-256 ",
        ],
    );
    // A named tokenizer applies to all.
    let named = dynamics(&paths(&models[..3]), &corpus, &at("named"));
    named.arg("--tokenizer").arg(demo()).ends_with(0);
    // A damaged checkpoint, and a damaged model.
    let checkpoint = at("damaged");
    with_tokenizer(&checkpoint);
    write(
        &checkpoint.join("config.json"),
        r#"{"model_type": "llama"}"#,
    );
    write(&checkpoint.join("model.safetensors"), b"broken");
    refused(on(&[&models[0], &checkpoint, &models[2]]), &["damaged"]);
    let model = at("cut");
    copy(&models[0], &model);
    let bytes = fs::read(model.join("model.onnx")).unwrap();
    write(&model.join("model.onnx"), &bytes[..bytes.len() / 2]);
    refused(on(&[&models[0], &models[2], &model]), &["cut/model.onnx"]);
    // The corpus.
    fs::create_dir_all(at("no-corpus")).unwrap();
    let three = [&*models[0], &*models[2], &*models[3]];
    refused(dynamics(&three, &at("no-corpus"), &out), &["no-corpus"]);
    refused(
        dynamics(&three, Path::new("-"), &out),
        &["--corpus: expected files"],
    );
    refused(
        on(&three).args(&["--threshold=-1"]),
        &["--threshold: expected"],
    );
    let keep = on(&three).args(&["--keep", "0.5"]).ends_with(2).stderr;
    assert!(keep.contains("--reference"), "{keep}");
    // Only after scoring is it known that no token has a loss.
    write(&at("short.jsonl"), "{\"text\": \"\"}\n");
    let never = words("--bos never --eos never");
    let nothing = dynamics(&three, &at("short.jsonl"), &at("nothing"))
        .args(&never)
        .ends_with(2);
    assert!(
        nothing
            .stderr
            .contains("got no token that all checkpoints have a loss of"),
        "{}",
        nothing.stderr
    );
    // The plan alone.
    let plan = on(&three).arg("--show-plan").ends_with(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["metadata"]["dynamics"]["threshold"], 0.2);
    assert!(!out.exists());
}

/// The names of the score columns of a file.
fn schema(out: &Path, shard: &str) -> Vec<String> {
    let reader = rho_formats::read_masks(out.join(format!("{shard}.arrow"))).unwrap();
    reader.schema().scores.clone()
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// The rows of the table under a figure, the header first.
fn table(html: &str, title: &str) -> Vec<Vec<String>> {
    let table = between(
        html,
        &format!("<summary>Numbers: {title}</summary>"),
        "</details>",
    );
    let rows = table.split("<tr>").skip(1).map(|row| {
        let cells = row.split("</th>").flat_map(|cells| cells.split("</td>"));
        let text = |cell: &str| {
            let parts = cell.split('<').skip(1);
            let parts = parts.map(|part| part.split_once('>').unwrap().1);
            parts.collect::<String>()
        };
        let mut cells: Vec<String> = cells.map(text).collect();
        cells.pop();
        cells
    });
    rows.collect()
}

/// The result of a run: all files but its records, and the bytes of each.
fn results(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = files(out).into_iter();
    names
        .map(|name| (name.clone(), fs::read(out.join(name)).unwrap()))
        .collect()
}

/// The same, with the times at which they were written.
fn everything(out: &Path) -> Vec<(String, std::time::SystemTime)> {
    let names = files(out).into_iter();
    let time = |name: &str| fs::metadata(out.join(name)).unwrap().modified().unwrap();
    names.map(|name| (name.clone(), time(&name))).collect()
}

fn copy(from: &Path, to: &Path) {
    for name in files(from) {
        write(&to.join(&name), fs::read(from.join(&name)).unwrap());
    }
}
