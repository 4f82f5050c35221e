//! Checkpoints: exported by the command, read directly by `score`, and refused with reasons.
//! models/reference/tests/export.rs tests the numbers of an export.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prost::Message as _;
use rho_formats::MaskRow;
use rho_graph::{Tensor, onnx::ModelProto};
use serde_json::{Value, json};

use crate::support::{
    Run, assert_same_scores, demo, files, python::python, read_json, root, rows, token_lines, write,
};

const CHECK: &str = include_str!("export.py");

fn fixtures() -> PathBuf {
    root().join("models/graph/tests/fixtures")
}

/// A copy of a fixture, to be modified.
fn checkpoint(name: &str, to: &Path) -> PathBuf {
    let folder = to.join(name);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(fixtures().join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn export(checkpoint: &Path, out: &Path) -> Run {
    Run::new(&["export"]).arg(checkpoint).arg("--out").arg(out)
}

/// Changes config.json.
fn set(folder: &Path, name: &str, value: Value) {
    let mut config = read_json(&folder.join("config.json"));
    config[name] = value;
    write(&folder.join("config.json"), config.to_string());
}

/// Tensors of a safetensors file: name, header entry, bytes.
type Tensors = Vec<(String, Value, Vec<u8>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    let entries = header.as_object().unwrap().iter();
    let entries = entries.filter(|(name, _)| *name != "__metadata__");
    let tensor = |(name, entry): (&String, &Value)| {
        let place = |i: usize| 8 + size + entry["data_offsets"][i].as_u64().unwrap() as usize;
        (
            name.clone(),
            entry.clone(),
            bytes[place(0)..place(1)].to_vec(),
        )
    };
    entries.map(tensor).collect()
}

fn write_tensors(path: &Path, tensors: Tensors) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, mut entry, bytes) in tensors {
        entry["data_offsets"] = json!([data.len(), data.len() + bytes.len()]);
        header.insert(name, entry);
        data.extend(bytes);
    }
    let header = Value::from(header).to_string();
    let size = (header.len() as u64).to_le_bytes();
    write(path, [&size[..], header.as_bytes(), &data].concat());
}

#[test]
fn exports_pass_the_checker_and_run_in_python() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut exports = Vec::new();
    let mut names: Vec<_> = fs::read_dir(fixtures())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.retain(|path| path.is_dir());
    for fixture in names {
        let name = fixture.file_name().unwrap().to_string_lossy().into_owned();
        let options: [&[&str]; 5] = [
            &[],
            &["--head", "logits"],
            &["--portable", "--head", "logits"],
            &["--dtype", "int8"],
            &["--dtype", "f16"],
        ];
        for (i, options) in options.into_iter().enumerate() {
            // Its layers use operators of ONNX Runtime only.
            if name.starts_with("qwen3_5") && options.contains(&"--portable") {
                continue;
            }
            let out = place.path().join(format!("{name}-{i}"));
            export(&fixture, &out).args(options).ends_with(0);
            let tolerance = ["1e-4", "1e-4", "1e-4", "3", "0.1"][i];
            exports.push(format!(
                "{}={}={tolerance}",
                out.display(),
                fixture.display()
            ));
        }
    }
    // Two more types, only for the checker.
    for dtype in ["bf16", "int8"] {
        let out = place.path().join(dtype);
        let fixture = fixtures().join("llama_tied");
        let options = ["--dtype", dtype, "--portable"];
        export(&fixture, &out).args(&options).ends_with(0);
        exports.push(format!("{}=={dtype}", out.display()));
    }
    let output = Command::new(python)
        .args(["-c", CHECK])
        .args(&exports)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_summary_says_what_was_written() {
    let place = tempfile::tempdir().unwrap();
    let folder = checkpoint("llama_tied", place.path());
    write(
        &folder.join("tokenizer.json"),
        r#"{"model": {"vocab": {"a": 95}}, "added_tokens": []}"#,
    );
    let out = place.path().join("ref");
    let said = export(&folder, &out).ends_with(0).stderr;
    for expected in [
        "family      llama",
        "parameters  20,640",
        "2 GroupQueryAttention",
        "4 SkipSimplifiedLayerNormalization",
        "runs on     the CPU",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let expected = [
        "config.json",
        "generation_config.json",
        "model.onnx",
        "tokenizer.json",
    ];
    assert_eq!(files(&out), expected);
    // An existing export is not overwritten.
    let said = export(&folder, &out).ends_with(2).stderr;
    assert!(
        said.contains("does not exist yet or is empty, got a folder with 4 entries"),
        "{said}"
    );
}

#[test]
fn the_context_ends_where_scaling_would_depend_on_the_length() {
    let place = tempfile::tempdir().unwrap();
    for (fixture, most) in [("phi3_long", 40), ("llama_dynamic", 64)] {
        let out = place.path().join(fixture);
        let said = export(&fixtures().join(fixture), &out).ends_with(0).stderr;
        assert!(
            said.contains(&format!("the context ends at {most} tokens")),
            "{said}"
        );
        let config = read_json(&out.join("config.json"));
        assert_eq!(config["max_position_embeddings"], most, "{fixture}");
    }
}

#[test]
fn a_checkpoint_is_scored_as_it_is_and_exported_once() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    let corpus = place.path().join("corpus.jsonl");
    let documents: Vec<Vec<u32>> = (1..40)
        .map(|n| (0..n).map(|i| i * 7 % 96).collect())
        .collect();
    write(&corpus, token_lines(&documents));
    let library = library();
    let score = |out: &str, model: &Path, cache: &Path| {
        Run::score_tokens(&corpus, model, &place.path().join(out))
            .env("XDG_CACHE_HOME", cache)
            .env("ORT_DYLIB_PATH", &library)
    };
    let folder = checkpoint("qwen3", place.path());
    let exported = place.path().join("ref");
    export(&folder, &exported).ends_with(0);
    score("expected", &exported, &cache).ends_with(0);
    // Two at once: one exports, both score.
    let runs = ["first", "second"].map(|out| score(out, &folder, &cache));
    let ended: Vec<_> = std::thread::scope(|scope| {
        let threads = runs.map(|run| scope.spawn(move || run.ends_with(0)));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let exports: usize = ended
        .iter()
        .map(|e| e.lines_with("exporting it in f32").len())
        .sum();
    assert_eq!(
        exports,
        1,
        "{:?}",
        ended.iter().map(|e| &e.stderr).collect::<Vec<_>>()
    );
    let third = score("third", &folder, &cache).ends_with(0);
    assert!(
        third.lines_with("exporting it").is_empty(),
        "{}",
        third.stderr
    );
    assert_eq!(
        third.lines_with("using its export at").len(),
        1,
        "{}",
        third.stderr
    );
    let expected = rows(&place.path().join("expected"), "corpus.jsonl");
    for out in ["first", "second", "third"] {
        let got = rows(&place.path().join(out), "corpus.jsonl");
        assert_same_scores(&got, &expected, 0.0, out);
    }
    // Other content under the same name is another reference.
    let path = folder.join("model.safetensors");
    let mut changed = tensors(&path);
    changed[0].2[0] ^= 1;
    write_tensors(&path, changed);
    let fourth = score("fourth", &folder, &cache).ends_with(0);
    assert_eq!(
        fourth.lines_with("exporting it in f32").len(),
        1,
        "{}",
        fourth.stderr
    );
}

#[test]
fn a_checkpoint_is_taken_before_the_onnx_files_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("corpus.jsonl");
    let documents: Vec<Vec<u32>> = (1..20)
        .map(|n| (0..n).map(|i| i * 7 % 96).collect())
        .collect();
    write(&corpus, token_lines(&documents));
    let library = library();
    let score = |out: &str, model: &Path| {
        let _ = fs::remove_dir_all(place.path().join(out));
        Run::score_tokens(&corpus, model, &place.path().join(out))
            .env("XDG_CACHE_HOME", place.path().join("cache"))
            .env("ORT_DYLIB_PATH", &library)
    };
    let same = |a: &str, b: &str| {
        let [a, b] = [a, b].map(|out| rows(&place.path().join(out), "corpus.jsonl"));
        assert_same_scores(&a, &b, 0.0, "scores");
    };
    let folder = checkpoint("llama_tied", place.path());
    let (exported, other) = (place.path().join("ref"), place.path().join("other"));
    export(&folder, &exported).ends_with(0);
    export(&fixtures().join("qwen3"), &other).ends_with(0);
    // Without a checkpoint, nothing is said.
    let ended = score("expected", &exported).ends_with(0);
    assert!(ended.lines_with("ONNX").is_empty(), "{}", ended.stderr);
    score("of-other", &other).ends_with(0);

    let onnx = folder.join("onnx");
    fs::create_dir(&onnx).unwrap();
    for (name, count) in [
        ("onnx/model_quantized.onnx", "1 ONNX file"),
        ("onnx/model_q4.onnx", "2 ONNX files"),
        ("model.onnx", "3 ONNX files"),
        ("encoder_model.onnx", "4 ONNX files"),
    ] {
        fs::copy(other.join("model.onnx"), folder.join(name)).unwrap();
        let ended = score("got", &folder).ends_with(0);
        let said = ended.lines_with(&format!(
            "holds a checkpoint and {count}: using the checkpoint"
        ));
        assert_eq!(said.len(), 1, "{}", ended.stderr);
        same("got", "expected");
    }
    // Other files are used if they are named; otherwise the error lists them.
    let ended = score("got", &onnx).ends_with(2);
    assert!(ended.stderr.contains("model_q4.onnx"), "{}", ended.stderr);
    for named in ["onnx/model_q4.onnx", "model.onnx"] {
        score("got", &folder.join(named)).ends_with(0);
        same("got", "of-other");
    }
    fs::remove_file(onnx.join("model_q4.onnx")).unwrap();
    score("got", &onnx).ends_with(0);
    same("got", "of-other");
}

#[test]
fn the_bundled_reference_exported_again_gives_the_same_masks() {
    let place = tempfile::tempdir().unwrap();
    // Its weights as a checkpoint, which stores matmul weights transposed.
    let bytes = fs::read(demo().join("model.onnx")).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let products = graph.node.iter().filter(|n| n.op_type() == "MatMul");
    let turned: Vec<&String> = products.filter_map(|node| node.input.get(1)).collect();
    let mut all: Tensors = Vec::new();
    for stored in &graph.initializer {
        let name = stored.name.clone().unwrap();
        if !name.ends_with(".weight") {
            continue;
        }
        let numbers = Tensor::resolve(stored, Path::new("")).unwrap();
        let (mut dims, mut numbers) = (numbers.dims.clone(), numbers.to_f32().unwrap());
        if turned.contains(&&name) {
            let columns = (0..dims[1]).flat_map(|c| (0..dims[0]).map(move |r| (r, c)));
            numbers = columns.map(|(r, c)| numbers[r * dims[1] + c]).collect();
            dims.swap(0, 1);
        }
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        all.push((name, json!({"dtype": "F32", "shape": dims}), bytes));
    }
    let folder = place.path().join("checkpoint");
    write_tensors(&folder.join("model.safetensors"), all);
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(demo().join(name), folder.join(name)).unwrap();
    }
    let corpus = root().join("examples/corpus/notes.jsonl.gz");
    let score = |model: &Path, name: &str| {
        let out = place.path().join(name);
        let run = Run::score(&corpus, &out).arg("--model").arg(model);
        run.args(&["--keep", "0.6"]).ends_with(0);
        rows(&out, "notes.jsonl.gz")
    };
    let expected = score(&demo(), "expected");
    for (dtype, tolerance, agreement) in [("f32", 1e-4, 0.9995), ("int8", 5.0, 0.99)] {
        let out = place.path().join(dtype);
        export(&folder, &out).args(&["--dtype", dtype]).ends_with(0);
        let got = score(&out, &format!("masks-{dtype}"));
        assert_same_scores(&got, &expected, tolerance, dtype);
        let masks = |rows: &[MaskRow]| -> Vec<bool> {
            let masks = rows.iter().flat_map(|row| row.masks.iter().flatten());
            masks.copied().collect()
        };
        let (got, expected) = (masks(&got), masks(&expected));
        let same = got.iter().zip(&expected).filter(|(a, b)| a == b).count();
        let share = same as f64 / expected.len() as f64;
        assert!(
            share >= agreement && got.len() == expected.len(),
            "{dtype}: {share} agree"
        );
    }
}

/// The library that a run without settings finds.
/// The library in use, for runs with a cache folder of their own.
pub(crate) fn library() -> PathBuf {
    let ended = Run::new(&["doctor"]).end();
    let mut words = ended.stdout.split_whitespace();
    let found = words.find(|word| word.contains("libonnxruntime") && Path::new(word).is_file());
    found
        .unwrap_or_else(|| panic!("no library in {}", ended.stdout))
        .into()
}

#[test]
fn what_is_not_known_is_refused_by_name_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    for (fixture, name, value, expected) in [
        (
            "llama_tied",
            "model_type",
            json!("mamba"),
            "model_type: expected one of llama, mistral",
        ),
        ("llama_tied", "model_type", Value::Null, "got nothing"),
        (
            "llama_tied",
            "hidden_act",
            json!("mish"),
            "hidden_act: expected one of silu",
        ),
        (
            "llama_tied",
            "hidden_size",
            json!(-3),
            "hidden_size: expected a positive whole number, got -3",
        ),
        (
            "llama_tied",
            "num_key_value_heads",
            json!(3),
            "num_key_value_heads: expected a divisor of",
        ),
        (
            "llama_tied",
            "quantization_config",
            json!({"bits": 4}),
            "quantization_config: expected fp8 with scales",
        ),
        (
            "llama_tied",
            "architectures",
            json!(["LlamaForTokenClassification"]),
            "a causal language model",
        ),
        (
            "llama_linear",
            "rope_scaling",
            json!({"rope_type": "magic"}),
            "rope_scaling.rope_type: expected one of default",
        ),
        (
            "llama_linear",
            "rope_scaling",
            json!({"rope_type": "linear"}),
            "rope_scaling.factor: expected a number above zero",
        ),
        (
            "qwen2_window",
            "layer_types",
            json!(["full_attention"]),
            "layer_types: expected full_attention or",
        ),
        (
            "gemma2",
            "head_dim",
            Value::Null,
            "head_dim: expected a positive whole number, got null",
        ),
        (
            "llama_tied",
            "num_hidden_layers",
            json!(4_000_000_000u32),
            "num_hidden_layers: expected at most 2, which is what the weights hold",
        ),
        (
            "qwen3_moe",
            "num_local_experts",
            json!(1_000_000_000),
            "num_local_experts: expected at most 4, which is what the weights hold",
        ),
        (
            "phi3_long",
            "intermediate_size",
            json!(4_000_000_000u32),
            "intermediate_size: expected at most",
        ),
        (
            "llama_tied",
            "rms_norm_eps",
            json!(-1e-6),
            "rms_norm_eps: expected a number that is not negative",
        ),
        (
            "gemma2",
            "final_logit_softcapping",
            json!(1e300),
            "final_logit_softcapping: expected a number that f32 holds",
        ),
        (
            "opt",
            "do_layer_norm_before",
            json!(false),
            "do_layer_norm_before: expected true",
        ),
        (
            "opt",
            "word_embed_proj_dim",
            json!(16),
            "word_embed_proj_dim: expected 32",
        ),
        (
            "gpt_neox_serial",
            "rotary_pct",
            json!(7.5),
            "even number of the 16 dimensions of a head (7.5 gives 120), got 7.5",
        ),
    ] {
        let folder = checkpoint(fixture, place.path());
        set(&folder, name, value);
        if name == "rotary_pct" {
            set(&folder, "partial_rotary_factor", Value::Null);
        }
        refused(&folder, expected);
    }
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let place = tempfile::tempdir().unwrap();
    let spoil = |fixture: &str, how: &dyn Fn(&mut Tensors), expected: &str| {
        let folder = checkpoint(fixture, place.path());
        let path = folder.join("model.safetensors");
        let mut all = tensors(&path);
        how(&mut all);
        write_tensors(&path, all);
        refused(&folder, expected);
    };
    let at = |all: &Tensors, name: &str| all.iter().position(|(n, ..)| n == name).unwrap();
    let drop = |name: &'static str| {
        move |all: &mut Tensors| {
            all.remove(at(all, name));
        }
    };
    let missing = "expected a tensor model.layers.1.mlp.up_proj.weight, got 19 other tensors";
    spoil(
        "llama_tied",
        &drop("model.layers.1.mlp.up_proj.weight"),
        missing,
    );
    spoil(
        "qwen2_window",
        &drop("lm_head.weight"),
        "expected a tensor lm_head.weight",
    );
    let extra = |all: &mut Tensors| {
        let (_, entry, bytes) = all[0].clone();
        all.push((
            "model.layers.0.self_attn.adapter.weight".into(),
            entry,
            bytes,
        ));
    };
    spoil(
        "llama_tied",
        &extra,
        "expected no other tensors, got model.layers.0.self_attn.adapter.weight",
    );
    let other_head = |all: &mut Tensors| {
        let (_, entry, mut bytes) = all[at(all, "model.embed_tokens.weight")].clone();
        bytes[5] ^= 1;
        all.push(("lm_head.weight".into(), entry, bytes));
    };
    spoil(
        "llama_tied",
        &other_head,
        "expected lm_head.weight to equal model.embed_tokens.weight",
    );
    let reshaped = |all: &mut Tensors| {
        let at = at(all, "model.norm.weight");
        all[at].1["shape"] = json!([16, 2]);
    };
    spoil(
        "llama_tied",
        &reshaped,
        "tensor model.norm.weight: expected the shape [32], got [16, 2]",
    );
    let doubles = |all: &mut Tensors| {
        let at = at(all, "model.norm.weight");
        all[at].1["dtype"] = json!("I32");
    };
    spoil(
        "llama_tied",
        &doubles,
        "tensor model.norm.weight: expected f32, f16 or bf16",
    );
    let broken = |all: &mut Tensors| {
        let at = at(all, "model.layers.1.mlp.up_proj.weight");
        all[at].2[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    spoil(
        "llama_tied",
        &broken,
        "expected numbers that f32 can hold, got NaN at element 2",
    );
    // A second copy of the same head is not another head.
    let same_head = |all: &mut Tensors| {
        let (_, entry, bytes) = all[at(all, "model.embed_tokens.weight")].clone();
        all.push(("lm_head.weight".into(), entry, bytes));
    };
    let folder = checkpoint("llama_tied", place.path());
    let path = folder.join("model.safetensors");
    let mut all = tensors(&path);
    same_head(&mut all);
    write_tensors(&path, all);
    export(&folder, &place.path().join("same")).ends_with(0);
}

#[test]
fn files_that_are_cut_or_lie_are_named() {
    let place = tempfile::tempdir().unwrap();
    let spoil = |fixture: &str, file: &str, how: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let folder = checkpoint(fixture, place.path());
        let path = folder.join(file);
        let mut bytes = fs::read(&path).unwrap_or_default();
        how(&mut bytes);
        fs::write(&path, bytes).unwrap();
        refused(&folder, expected);
    };
    let whole = "expected a whole safetensors file";
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 100);
    spoil("llama_tied", "model.safetensors", &cut, whole);
    spoil(
        "llama_tied",
        "model.safetensors",
        &|bytes| bytes.truncate(5),
        whole,
    );
    let long = |bytes: &mut Vec<u8>| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    spoil("llama_tied", "model.safetensors", &long, whole);
    let lie = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let at = text.find("\"shape\":[32]").unwrap();
        bytes[at..at + 12].copy_from_slice(b"\"shape\":[99]");
    };
    spoil("llama_tied", "model.safetensors", &lie, whole);
    spoil(
        "llama_tied",
        "config.json",
        &|bytes| bytes.truncate(20),
        "config.json: expected a JSON object",
    );
    let index = "model.safetensors.index.json";
    let elsewhere = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(bytes).replace("model-00001", "../model-00001");
        *bytes = text.into_bytes();
    };
    spoil(
        "llama_sharded",
        index,
        &elsewhere,
        "expected a relative path that stays inside its folder, got \"../model-00001-of-00008.safetensors\"",
    );
    let misplaced = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(bytes).replace("model-00001", "model-00002");
        *bytes = text.into_bytes();
    };
    spoil(
        "llama_sharded",
        index,
        &misplaced,
        "in model-00002-of-00008.safetensors, got none there",
    );
    let folder = checkpoint("llama_sharded", place.path());
    fs::remove_file(folder.join("model-00003-of-00008.safetensors")).unwrap();
    refused(&folder, "cannot read");
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(
        &empty,
        "expected a folder with config.json and safetensors, got a folder without config.json",
    );
    refused(
        &place.path().join("nowhere"),
        "got nothing: it does not exist",
    );
}

/// Expects exit code 2, these words, a hint if there is one to give, and no files left behind.
#[track_caller]
fn refused(folder: &Path, expected: &str) {
    let place = tempfile::tempdir().unwrap();
    let ended = export(folder, &place.path().join("ref")).ends_with(2);
    assert!(
        ended.stderr.contains(expected),
        "{expected}: {}",
        ended.stderr
    );
    let hinted = ended.stderr.contains("hint: ") || expected == "cannot read";
    assert!(hinted, "{}", ended.stderr);
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        0,
        "{}",
        ended.stderr
    );
}
