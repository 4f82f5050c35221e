//! `verify`: its refusals, what masks record of it, and, if PyTorch is installed, its numbers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rho_graph::DataType::{F32, I64};
use serde_json::{Value, json};

use crate::support::{
    Random, Run, demo, metadata, onnx::Graph, python::python, random_tokens, read_json, root,
    token_lines, torch::python_with_torch, write,
};

fn fixture(name: &str) -> PathBuf {
    root().join("models/graph/tests/fixtures").join(name)
}

/// `verify` of token ids on the CPU.
fn verify(model: &Path, corpus: &Path, out: &Path) -> Run {
    Run::new(&["verify", "--device", "cpu", "--tokens-field", "input_ids"])
        .arg("--model")
        .arg(model)
        .arg("--corpus")
        .arg(corpus)
        .arg("--out")
        .arg(out)
}

/// Documents with token ids below 96: one too short to score, one longer than four windows of 64 tokens.
fn corpus(place: &Path) -> PathBuf {
    let lengths = [1, 2, 11, 40, 64, 65, 150, 500];
    let documents = lengths.map(|length| random_tokens(length, 96, length as u32));
    let path = place.join("ids.jsonl");
    write(&path, token_lines(&documents));
    path
}

#[test]
fn a_python_without_torch_is_told_what_to_install() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let ids = corpus(place.path());
    // Python looks for imports in the current folder last, so never.
    let here = place.path().join("here");
    for module in ["json", "os", "site", "torch", "transformers"] {
        write(
            &here.join(format!("{module}.py")),
            "open('was-run', 'w').close()\n",
        );
    }
    let mut run = verify(
        &fixture("llama_tied"),
        &ids,
        &place.path().join("verify.json"),
    )
    .arg("--python")
    .arg(&python);
    run.0.current_dir(&here).env("PYTHONPATH", &here);
    let said = run.ends_with(2).stderr;
    let shown = python.display();
    for expected in [
        format!(
            "error: {shown}: expected PyTorch and Transformers, got no module torch and no module transformers\n"
        ),
        format!("hint: install them with `{shown} -m pip install torch transformers`, or"),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    assert!(!here.join("was-run").exists());
    assert!(!place.path().join("verify.json").exists());
}

#[test]
fn what_cannot_be_compared_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (ids, out) = (corpus(place.path()), place.path().join("verify.json"));
    let llama = fixture("llama_tied");
    let run = |model: &Path| verify(model, &ids, &out);
    let without_corpus = || {
        Run::new(&["verify", "--tokens-field", "input_ids", "--model"])
            .arg(&llama)
            .arg("--out")
            .arg(&out)
    };
    for (run, expected) in [
        (
            run(&demo()),
            "expected a checkpoint for Transformers (config.json and .safetensors files), got none",
        ),
        (
            run(&demo()).arg("--checkpoint").arg(place.path()),
            "--checkpoint ",
        ),
        (
            run(&llama).args(&["--documents", "0"]),
            "--documents: expected at least 1, got 0",
        ),
        (
            run(&llama).args(&["--corpus", "-"]),
            "--corpus: expected files or folders, got standard input",
        ),
        (
            without_corpus(),
            "--corpus: expected documents to compare, got none",
        ),
        (
            verify(&llama, &ids, place.path()),
            "expected a file to write, got a folder",
        ),
        (
            run(&llama).args(&["--precision", "int8"]),
            "--tolerance: expected a number of nats for a model computed in int8, got none",
        ),
        (
            run(&llama).args(&["--python", "/nowhere/python"]),
            "--python /nowhere/python: expected a Python, it cannot be started",
        ),
    ] {
        let said = run.ends_with(2).stderr;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("\nhint: "), "{said}");
        assert!(!out.exists());
    }
    let said = run(&llama).arg("--tolerance=-1").ends_with(2).stderr;
    assert!(said.contains("expected a number of nats"), "{said}");
}

/// A signal ends it while Python is running, and ends Python too.
#[cfg(unix)]
#[test]
fn a_signal_ends_python_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let ids = corpus(place.path());
    let (python, pid) = (place.path().join("python"), place.path().join("pid"));
    // It answers nothing, but writes its process id.
    let script = format!(
        "#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\nexec sleep 600\n",
        pid.display()
    );
    write(&python, script);
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let out = place.path().join("verify.json");
    let mut run = verify(&fixture("llama_tied"), &ids, &out)
        .arg("--python")
        .arg(&python);
    let mut child = run.0.stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !pid.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "Python was not started"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = |arguments: &[&str]| {
        Command::new("kill")
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .unwrap()
    };
    assert!(kill(&["-TERM", &child.id().to_string()]).success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let python = fs::read_to_string(&pid).unwrap();
    assert!(
        !kill(&["-0", python.trim()]).success(),
        "Python is still running"
    );
    assert!(!out.exists());
}

/// What `verify` would write about the bundled model, taken from the plan of `score`.
fn finding(corpus: &Path, place: &Path) -> Value {
    let plan = Run::score(corpus, &place.join("none"))
        .arg("--show-plan")
        .ends_with(0)
        .stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let apart = json!({"largest": 2.5e-6, "mean": 1.5e-7, "at": null});
    json!({
        "format_version": 1,
        "passed": true,
        "model": {
            "name": "demo",
            "fingerprint": plan["references"][0]["fingerprint"],
            "tokenizer_fingerprint": plan["tokenizer_fingerprint"],
            "provider": "cpu",
            "precision": "f32",
            "context": 512,
            "overlap": 256,
            "bos": plan["bos"],
            "eos": plan["eos"],
        },
        "checkpoint": {"name": "checkpoint", "fingerprint": "0123"},
        "oracle": {"class": "LlamaForCausalLM", "dtype": "float64"},
        "versions": {
            "rho_mask": env!("CARGO_PKG_VERSION"),
            "onnxruntime": plan["library_version"],
            "python": "3.12.0",
            "torch": "2.12.1",
            "transformers": "5.16.1",
        },
        "sample": {"documents": 64, "tokens": 12345, "scored": 12281, "windows": 70, "cut": 0},
        "tolerance": 0.001,
        "loss": apart,
        "entropy": apart,
        "masks": [{"keep": 0.7, "loss": 1.0, "entropy": 0.9995, "intersection": 1.0}],
        "batch_tolerance": 0.0001,
        "batches": [{"name": "each window alone", "batch_tokens": 1, "loss": apart, "entropy": apart}],
    })
}

#[test]
fn masks_keep_what_was_verified() {
    let place = tempfile::tempdir().unwrap();
    let corpus = root().join("examples/corpus/texts/page.txt");
    let (certificate, out) = (place.path().join("verify.json"), place.path().join("masks"));
    let found = finding(&corpus, place.path());
    write(&certificate, found.to_string());
    let run = || {
        Run::score(&corpus, &out)
            .arg("--verified")
            .arg(&certificate)
    };

    let plan = run().arg("--show-plan").ends_with(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["verified"][0]["loss"]["largest"], 2.5e-6);
    run().ends_with(0);
    let kept = &metadata(&out, "page.txt")["verified"];
    assert_eq!(*kept, plan["verified"][0]);
    for (field, expected) in [
        ("fingerprint", found["model"]["fingerprint"].clone()),
        ("documents", 64.into()),
        ("tokens", 12281.into()),
        ("tolerance", 0.001.into()),
        ("versions", found["versions"].clone()),
        ("masks", found["masks"].clone()),
        ("batches", json!({"loss": 2.5e-6, "entropy": 2.5e-6})),
    ] {
        assert_eq!(kept[field], expected, "{field}");
    }

    let page = place.path().join("report.html");
    Run::new(&["report"])
        .arg(&out)
        .arg("--out")
        .arg(&page)
        .ends_with(0);
    let page = fs::read_to_string(&page).unwrap();
    let said = "with Transformers 5.16.1 in float64 on 64 documents, 12,281 tokens: losses differ by at most 2.5e-6 nats";
    assert!(page.contains(said), "the report does not mention it");

    // Another verification is another plan, like any other change of the metadata.
    let mut other = found.clone();
    other["sample"]["documents"] = 65.into();
    write(&certificate, other.to_string());
    let said = run().ends_with(2).stderr;
    assert!(
        said.contains("--verified (documents): 64 before, 65 now"),
        "{said}"
    );
}

#[test]
fn what_was_verified_must_be_of_this_run() {
    let place = tempfile::tempdir().unwrap();
    let corpus = root().join("examples/corpus/texts/page.txt");
    let (certificate, out) = (place.path().join("verify.json"), place.path().join("masks"));
    let found = finding(&corpus, place.path());
    let run = || {
        Run::score(&corpus, &out)
            .arg("--verified")
            .arg(&certificate)
    };
    for (pointer, value, expected) in [
        (
            "/model/fingerprint",
            json!("00"),
            "got another model (SHA-256): 00, here ",
        ),
        (
            "/model/tokenizer_fingerprint",
            json!("00"),
            "got another tokenizer (SHA-256): 00",
        ),
        (
            "/model/precision",
            json!("int8"),
            "got another precision: int8, here f32",
        ),
        (
            "/model/provider",
            json!("cuda"),
            "got another provider: cuda, here cpu",
        ),
        (
            "/model/context",
            json!(256),
            "got another context: at most 256 tokens, here at most 512 tokens",
        ),
        (
            "/versions/onnxruntime",
            json!("1.0"),
            "got another version of ONNX Runtime: 1.0",
        ),
        (
            "/versions/rho_mask",
            json!("0.0.1"),
            "got another version of rho-mask: 0.0.1",
        ),
        (
            "/passed",
            json!(false),
            "expected a comparison that passed, got one that failed",
        ),
        (
            "/format_version",
            json!(2),
            "expected format version 1, got 2",
        ),
        (
            "/loss",
            json!(1),
            "expected a file of `rho-mask verify`, got another",
        ),
    ] {
        let mut other = found.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        write(&certificate, other.to_string());
        let said = run().ends_with(2).stderr;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("\nhint: "), "{said}");
        assert!(!out.exists(), "something was written");
    }
    fs::remove_file(&certificate).unwrap();
    let said = run().ends_with(2).stderr;
    assert!(said.contains("verify.json: cannot be read"), "{said}");

    // Every window of a shorter context was verified.
    write(&certificate, found.to_string());
    run()
        .args(&["--context", "100", "--show-plan"])
        .ends_with(0);
}

#[test]
#[ignore = "installs PyTorch and Transformers"]
fn scores_with_torch() {
    let python = python_with_torch();
    let place = tempfile::tempdir().unwrap();
    let (ids, out) = (corpus(place.path()), place.path().join("verify.json"));
    // Batches of few tokens, so that there are several.
    let run = |model: &Path| {
        verify(model, &ids, &out)
            .args(&["--batch-tokens", "128", "--python"])
            .arg(&python)
    };
    for name in [
        "llama_tied",
        "llama_yarn",
        "gemma2",
        "gpt_neox_parallel",
        "opt",
        "qwen3",
    ] {
        let ended = run(&fixture(name)).ends_with(0);
        let found = read_json(&out);
        assert_eq!(found["passed"], true, "{name}");
        // Four windows of the 500 tokens are compared: 64 tokens, and 32 more with each.
        let expected =
            json!({"documents": 7, "tokens": 492, "scored": 485, "windows": 14, "cut": 1});
        assert_eq!(found["sample"], expected, "{name}");
        for kind in ["loss", "entropy"] {
            let largest = found[kind]["largest"].as_f64().unwrap();
            assert!(largest < 1e-4, "{name}: {kind} differs by {largest}");
            for batches in found["batches"].as_array().unwrap() {
                let largest = batches[kind]["largest"].as_f64().unwrap();
                assert!(
                    largest < 1e-4,
                    "{name}: {kind} differs by {largest}: {batches}"
                );
            }
            assert!(
                found["masks"][0][kind].as_f64().unwrap() > 0.99,
                "{name}: {kind}"
            );
        }
        assert!(
            ended.stdout.contains("from Transformers, nats"),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stderr.contains("passed: scores differ"),
            "{}",
            ended.stderr
        );
    }

    // Masks of the same model accept it.
    let masks = place.path().join("masks");
    Run::score_tokens(&ids, &fixture("qwen3"), &masks)
        .arg("--verified")
        .arg(&out)
        .ends_with(0);
    let kept = &metadata(&masks, "ids.jsonl")["verified"];
    assert_eq!(kept["loss"]["largest"], read_json(&out)["loss"]["largest"]);

    // An export of a checkpoint with another setting.
    let (reference, other) = (place.path().join("ref"), place.path().join("other"));
    let llama = fixture("llama_tied");
    Run::new(&["export"])
        .arg(&llama)
        .arg("--out")
        .arg(&reference)
        .ends_with(0);
    fs::create_dir(&other).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(llama.join(name), other.join(name)).unwrap();
    }
    run(&reference).arg("--checkpoint").arg(&llama).ends_with(0);
    let mut config = read_json(&other.join("config.json"));
    config["rope_theta"] = 123.0.into();
    write(&other.join("config.json"), config.to_string());
    let ended = run(&reference).arg("--checkpoint").arg(&other).ends_with(1);
    assert!(
        ended.stderr.contains("failed: scores differ"),
        "{}",
        ended.stderr
    );
    let found = read_json(&out);
    assert_eq!(found["passed"], false);
    let at = &found["loss"]["at"];
    let apart = (at["got"].as_f64().unwrap() - at["expected"].as_f64().unwrap()).abs();
    assert_eq!(found["loss"]["largest"], apart);
    let said = Run::score_tokens(&ids, &reference, &place.path().join("refused"))
        .arg("--verified")
        .arg(&out)
        .ends_with(2)
        .stderr;
    assert!(said.contains("got one that failed"), "{said}");

    // A graph that depends on the rest of the batch: the mean of all rows is in each.
    let blurred = place.path().join("blurred");
    let draw = |n: usize| -> Vec<f32> {
        let mut random = Random(3);
        (0..n).map(|_| random.signed()).collect()
    };
    Graph::default()
        .input("input_ids", I64, "batch length")
        .output("logits", F32, "batch length 96")
        .floats("embedding", F32, &[96, 8], &draw(96 * 8))
        .floats("head", F32, &[8, 96], &draw(8 * 96))
        .node("Gather", "embedding input_ids", "rows")
        .node("ReduceMean", "rows", "mean")
        .node("Add", "rows mean", "hidden")
        .node("MatMul", "hidden head", "logits")
        .write(&blurred.join("model.onnx"));
    fs::copy(llama.join("config.json"), blurred.join("config.json")).unwrap();
    let ended = run(&blurred)
        .arg("--checkpoint")
        .arg(&llama)
        .args(&["--tolerance", "100", "--batch-tolerance", "0.0001"])
        .ends_with(1);
    assert!(
        ended
            .stdout
            .contains("loss depends on the batch: largest at ids.jsonl row "),
        "{}",
        ended.stdout
    );
    let found = read_json(&out);
    for batches in found["batches"].as_array().unwrap() {
        assert!(
            batches["loss"]["largest"].as_f64().unwrap() > 1e-4,
            "{batches}"
        );
    }

    // A sample in int8 that passes with a tolerance of its own.
    run(&fixture("llama_tied"))
        .args(&["--precision", "int8", "--tolerance", "3", "--dtype", "f32"])
        .ends_with(0);
    assert_eq!(read_json(&out)["model"]["precision"], "int8");

    // Weights that Transformers lacks are random there, and prove nothing.
    let lacking = Command::new(&python)
        .args(["-c", LACKING])
        .args([&llama, &other])
        .status()
        .unwrap();
    assert!(lacking.success());
    let said = run(&reference)
        .arg("--checkpoint")
        .arg(&other)
        .ends_with(2)
        .stderr;
    assert!(
        said.contains("expected weights for all of LlamaForCausalLM"),
        "{said}"
    );
}

/// A copy of a checkpoint without one of its tensors.
const LACKING: &str = "
import sys, safetensors.torch as st
tensors = st.load_file(sys.argv[1] + '/model.safetensors')
del tensors['model.norm.weight']
st.save_file(tensors, sys.argv[2] + '/model.safetensors', metadata={'format': 'pt'})
";
