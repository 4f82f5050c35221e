//! Models, tokenizers and masks that are made to break the program: what concerns a document rejects it, everything else
//! is refused by name. Nothing panics, hangs, takes all memory, or reads files elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rho_graph::{
    DataType::{Bool, F32, I64},
    onnx::{AttributeProto, GraphProto, StringStringEntryProto, ValueInfoProto},
};
use serde_json::{Value, json};

use crate::support::{
    Ended, Run,
    onnx::{Graph, int},
    read_json, rows,
    tiny::tiny,
    write,
};

const VOCABULARY: usize = 64;
const HIDDEN: usize = 8;

/// Expects this exit code, and no sign of a panic.
fn ends_with(run: Run, code: i32) -> Ended {
    let ended = run.ends_with(code);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

/// A folder with a changed tokenizer of the demonstration, and a model that scores it.
fn model_with(place: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let model = tiny(&place.join("model"));
    let path = model.join("tokenizer.json");
    let mut tokenizer = read_json(&path);
    change(&mut tokenizer);
    write(&path, tokenizer.to_string());
    model
}

fn corpus(place: &Path, texts: &[&str]) -> PathBuf {
    let lines = texts.iter().map(|text| json!({"text": text}).to_string());
    let lines: Vec<String> = lines.collect();
    let path = place.join("corpus.jsonl");
    write(&path, lines.join("\n") + "\n");
    path
}

/// The reasons in rejected.jsonl, by row.
fn reasons(out: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let rejected: Value = serde_json::from_str(line).unwrap();
        let reason = rejected["reason"].as_str().unwrap().to_owned();
        (rejected["row"].as_u64().unwrap(), reason)
    });
    lines.collect()
}

fn split(pattern: &str) -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}

#[test]
fn texts_that_break_a_tokenizer_are_rejected_and_the_others_are_scored() {
    // `q` becomes ten of it in each of nine steps.
    let ten = json!({"type": "Replace", "pattern": {"String": "q"}, "content": "q".repeat(10)});
    let nine = json!({"type": "Sequence", "normalizers": vec![ten; 9]});
    let replace = json!({"type": "Replace", "pattern": {"Regex": "(q+)+$"}, "content": "b"});
    let long = "q".repeat(60) + "!";
    let backtracks = "backtracks too often";
    type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;
    let cases: [(Change<'_>, &str); 5] = [
        // By the fast tokenizer.
        (
            Box::new(|t| t["pre_tokenizer"] = split("(q+)+$")),
            backtracks,
        ),
        (
            Box::new(|t| t["pre_tokenizer"] = split("(?=q)(q+q+)+y")),
            backtracks,
        ),
        // By the tokenizers crate.
        (
            Box::new(|t| {
                t["pre_tokenizer"] = split("(q+)+$");
                t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = json!("Removed");
            }),
            backtracks,
        ),
        (Box::new(|t| t["normalizer"] = replace), backtracks),
        (Box::new(|t| t["normalizer"] = nine), "got more"),
    ];
    for (change, said) in cases {
        let place = tempfile::tempdir().unwrap();
        let model = model_with(place.path(), change);
        let corpus = corpus(place.path(), &["two and two", &long, "four"]);
        let out = place.path().join("masks");
        let run = Run::score(&corpus, &out).arg("--model").arg(&model);
        ends_with(run.args(&["--max-rejected", "50%"]), 1);
        let kept: Vec<i64> = rows(&out, "corpus.jsonl").iter().map(|r| r.row).collect();
        assert_eq!(kept, [0, 2], "{said}");
        let reasons = reasons(&out);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(
            reasons[0].0 == 1 && reasons[0].1.contains(said),
            "{reasons:?}"
        );
    }
}

#[test]
fn tokenizers_that_cannot_work_are_refused() {
    let precompiled = |map: &str| json!({"type": "Precompiled", "precompiled_charsmap": map});
    let cases: [(&str, Value, &str); 6] = [
        (
            "normalizer",
            precompiled("/////w=="),
            "precompiled_charsmap",
        ),
        (
            "normalizer",
            precompiled("AAAAgP////8AAAAA"),
            "precompiled_charsmap",
        ),
        (
            "normalizer",
            json!({"type": "Precompiled"}),
            "tokenizers crate",
        ),
        (
            "post_processor",
            json!({"type": "TemplateProcessing", "single": [
                {"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            ], "pair": [], "special_tokens": {}}),
            "tokenizers crate failed",
        ),
        ("model", json!([1, 2]), "expected a tokenizer.json"),
        (
            "added_tokens",
            json!({"content": 3}),
            "expected a tokenizer.json",
        ),
    ];
    for (part, value, said) in cases {
        let place = tempfile::tempdir().unwrap();
        let model = model_with(place.path(), |tokenizer| tokenizer[part] = value);
        let corpus = corpus(place.path(), &["two"]);
        let out = place.path().join("masks");
        let run = Run::score(&corpus, &out).arg("--model").arg(&model);
        let ended = ends_with(run, 2);
        for said in [said, "tokenizer.json: ", "\nhint: "] {
            assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
        }
        assert!(!out.exists());
    }
}

/// Files beside a model that are JSON of another kind are refused by name.
#[test]
fn files_of_another_kind_of_json_are_refused_by_name() {
    let wrong = ["[]", "3", "null", "[{}]", "{\"a\":"];
    let nested = "[".repeat(100_000);
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ] {
        let place = tempfile::tempdir().unwrap();
        let corpus = corpus(place.path(), &["two"]);
        for text in wrong.into_iter().chain([nested.as_str()]) {
            let model = tiny(&place.path().join("model"));
            write(&model.join(name), text);
            let out = place.path().join("masks");
            let run = Run::score(&corpus, &out).arg("--model").arg(&model);
            let ended = run.arg("--show-plan").end();
            assert_eq!(ended.code, Some(2), "{name} {text:.9}: {}", ended.stderr);
            assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            fs::remove_file(model.join(name)).unwrap();
        }
    }
}

/// A model whose logits follow from one token, with `nodes` between the embedding and the head: they make `fed` of
/// `hidden`.
fn graph(nodes: impl FnOnce(Graph) -> Graph) -> Graph {
    let weights = |n: usize| -> Vec<f32> { (0..n).map(|i| (i % 7) as f32 / 7.0).collect() };
    let graph = Graph::default()
        .input("input_ids", I64, "batch length")
        .output("logits", F32, &format!("batch length {VOCABULARY}"))
        .floats(
            "embedding",
            F32,
            &[VOCABULARY, HIDDEN],
            &weights(VOCABULARY * HIDDEN),
        )
        .floats(
            "head",
            F32,
            &[HIDDEN, VOCABULARY],
            &weights(VOCABULARY * HIDDEN),
        )
        .node("Gather", "embedding input_ids", "hidden");
    nodes(graph).node("MatMul", "fed head", "logits")
}

/// Scores six tokens with a graph.
fn score(place: &Path, graph: Graph) -> Run {
    let model = place.join("model/model.onnx");
    graph.write(&model);
    write(
        &place.join("model/config.json"),
        "{\"max_position_embeddings\": 64}",
    );
    let corpus = place.join("tokens.jsonl");
    write(&corpus, "{\"input_ids\": [1, 2, 3, 4, 5, 6]}\n");
    Run::score_tokens(&corpus, &place.join("model"), &place.join("masks"))
}

/// Expects that a graph is refused before anything is written, with its path, these words and a hint.
fn is_refused(graph: Graph, words: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let ended = ends_with(score(place.path(), graph), 2);
    for word in words.iter().copied().chain(["model.onnx: ", "\nhint: "]) {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert!(!place.path().join("masks/tokens.jsonl.arrow").exists());
}

#[test]
fn graphs_of_the_last_position_are_refused_at_load() {
    let said = [
        "expected logits for each token of a batch, got them for the last token only",
        "exported for generation",
    ];
    let last = |dims: &[i64]| {
        graph(|graph| {
            let mut graph = graph.integers("index", &[-1]);
            graph.0.initializer.last_mut().unwrap().dims = dims.to_vec();
            graph.node_with("Gather", "hidden index", "fed", vec![int("axis", 1)])
        })
    };
    let output = |mut graph: Graph, axes: &str| {
        graph.0.output.clear();
        graph.output("logits", F32, axes)
    };
    // Declared, named as if it were the length, and without the axis.
    is_refused(output(last(&[1]), "batch 1 64"), &said);
    is_refused(output(last(&[1]), "batch length 64"), &said);
    is_refused(output(last(&[]), "batch length 64"), &said);
    // Also if the head cannot be cut off.
    let mut uncut = last(&[1]);
    let product = uncut.0.node.last_mut().unwrap();
    product.output[0] = "product".to_owned();
    product.name = Some("/product".to_owned());
    let uncut = uncut.node("Abs", "product", "logits");
    is_refused(uncut, &said);
}

#[test]
fn names_that_occur_twice_are_refused() {
    let plain = || graph(|graph| graph.node("Identity", "hidden", "fed"));
    let output = plain().output("logits", F32, "batch length 64");
    is_refused(
        output,
        &[
            "expected names that occur once",
            "two outputs named \"logits\"",
        ],
    );
    let input = plain().input("input_ids", I64, "batch length");
    is_refused(input, &["two inputs named \"input_ids\""]);
    let constant = plain().floats("head", F32, &[1], &[0.0]);
    is_refused(constant, &["two constants named \"head\""]);
    let node = plain().node("Neg", "hidden", "fed");
    is_refused(node, &["two results of nodes named \"fed\""]);
}

/// Also where the product of the axes would be 0 in 64 bits, or the bytes would fit.
#[test]
fn shapes_that_no_tensor_has_are_refused() {
    for dims in [
        &[-1][..],
        &[1 << 32, 1 << 32],
        &[1 << 62, 4, 0],
        &[i64::MAX],
        &[(1 << 44) + 1],
    ] {
        let mut graph = graph(|graph| graph.node("Identity", "hidden", "fed"));
        graph = graph.floats("spare", F32, &[1], &[0.0]);
        graph.0.initializer.last_mut().unwrap().dims = dims.to_vec();
        is_refused(graph, &["tensor spare: ", "got the shape ["]);
    }
    let mut graph = graph(|graph| graph.node("Identity", "hidden", "fed"));
    graph.0.initializer[1].raw_data = Some(vec![0; 40].into());
    let place = tempfile::tempdir().unwrap();
    let ended = ends_with(score(place.path(), graph), 2);
    let said = "tensor head: expected 2048 bytes, got 40";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

/// Scores that are not finite reject the document, with the token.
#[test]
fn losses_that_are_not_finite_reject_the_document() {
    for number in [f32::INFINITY, f32::NAN] {
        let place = tempfile::tempdir().unwrap();
        let graph = graph(|graph| {
            let graph = graph.floats("number", F32, &[], &[number]);
            graph.node("Mul", "hidden number", "fed")
        });
        let run = score(place.path(), graph).args(&["--max-rejected", "100%"]);
        let ended = run.end();
        assert!(matches!(ended.code, Some(1 | 2)), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let reasons = reasons(&place.path().join("masks"));
        assert!(
            reasons[0]
                .1
                .contains("expected a finite loss from the reference"),
            "{reasons:?}"
        );
    }
}

/// A subgraph for `Loop`: the condition and the value stay as they are.
fn endless() -> AttributeProto {
    let value = |name: &str, dtype| -> ValueInfoProto {
        let port = Graph::default().output_of_unknown_shape(name, dtype);
        port.0.output[0].clone()
    };
    let scalar = |name: &str, dtype| -> ValueInfoProto {
        Graph::default().input(name, dtype, "").0.input[0].clone()
    };
    let body = Graph::default()
        .node("Identity", "going", "still")
        .node("Identity", "value", "same");
    AttributeProto {
        name: Some("body".to_owned()),
        g: Some(Box::new(GraphProto {
            name: Some("body".to_owned()),
            input: vec![
                scalar("round", I64),
                scalar("going", Bool),
                value("value", F32),
            ],
            output: vec![value("still", Bool), value("same", F32)],
            ..body.0
        })),
        r#type: Some(5),
        ..Default::default()
    }
}

#[test]
fn loops_without_an_end_are_ended_at_load() {
    let graph = graph(|graph| {
        let mut graph = graph.integers("rounds", &[1 << 62]);
        graph.0.initializer.last_mut().unwrap().dims.clear();
        let mut graph = graph.node_with("Loop", "rounds none hidden", "fed", vec![endless()]);
        // The second input is optional.
        graph.0.node.last_mut().unwrap().input[1].clear();
        graph
    });
    let start = Instant::now();
    is_refused(graph, &["expected an end within 20 seconds, got none"]);
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// Constants of a terabyte from a few bytes.
#[test]
fn constants_that_expand_are_refused() {
    const MANY: i64 = 1 << 40;
    let sum = |graph: Graph| {
        let graph = graph.node_with("ReduceSum", "large", "sum", vec![int("keepdims", 0)]);
        graph.node("Add", "hidden sum", "fed")
    };
    let number = |graph: Graph| graph.floats("zero", F32, &[1], &[0.0]);
    for (operator, graph) in [
        (
            "ConstantOfShape",
            graph(|graph| {
                let graph = graph.integers("shape", &[MANY]);
                sum(graph.node("ConstantOfShape", "shape", "large"))
            }),
        ),
        (
            "Expand",
            graph(|graph| {
                let graph = number(graph).integers("shape", &[MANY]);
                sum(graph.node("Expand", "zero shape", "large"))
            }),
        ),
        (
            "Tile",
            graph(|graph| {
                let graph = number(graph).integers("times", &[MANY]);
                sum(graph.node("Tile", "zero times", "large"))
            }),
        ),
    ] {
        let place = tempfile::tempdir().unwrap();
        let ended = ends_with(score(place.path(), graph), 2);
        assert!(ended.stderr.contains(operator), "{}", ended.stderr);
        assert!(!place.path().join("masks/tokens.jsonl.arrow").exists());
    }
}

/// The plain model with its constants in another file, at this location.
fn with_data_at(model: &Path, location: &str, more: &[(&str, &str)]) {
    let mut graph = graph(|graph| graph.node("Identity", "hidden", "fed"));
    let mut data = Vec::new();
    for tensor in &mut graph.0.initializer {
        let raw = tensor.raw_data.take().unwrap();
        let mut entries = vec![
            ("location", location.to_owned()),
            ("offset", data.len().to_string()),
            ("length", raw.len().to_string()),
        ];
        for (key, value) in more {
            entries.retain(|(other, _)| other != key);
            entries.push((*key, (*value).to_owned()));
        }
        let entry = |(key, value): (&str, String)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        tensor.data_location = Some(1);
        tensor.external_data = entries.into_iter().map(entry).collect();
        data.extend_from_slice(&raw);
    }
    write(model, "");
    let plain = location.trim_start_matches('/');
    write(&model.parent().unwrap().join(plain), &data);
    graph.write(model);
}

#[test]
fn external_data_outside_the_models_folder_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("a/model/model.onnx");
    let corpus = place.path().join("tokens.jsonl");
    write(&corpus, "{\"input_ids\": [1, 2, 3, 4, 5, 6]}\n");
    let out = place.path().join("masks");
    let run = || {
        let config = model.with_file_name("config.json");
        write(&config, "{\"max_position_embeddings\": 64}");
        Run::score_tokens(&corpus, model.parent().unwrap(), &out)
    };
    let absolute = place.path().join("a/secret.bin");
    for (location, more, said) in [
        ("../secret.bin", &[][..], "without .."),
        ("data/../../secret.bin", &[], "without .."),
        (absolute.to_str().unwrap(), &[], "without .."),
        ("*/_ORT_MEM_ADDR_/*", &[], "without .."),
        ("data.bin", &[("offset", "-8")], "a whole number as offset"),
        ("data.bin", &[("length", "-8")], "a whole number as length"),
        ("data.bin", &[("offset", "99999")], "bytes"),
        ("data.bin", &[("length", "99999")], "bytes"),
        ("data.bin", &[("offset", "18446744073709551615")], "bytes"),
    ] {
        fs::create_dir_all(model.parent().unwrap().join("data")).unwrap();
        with_data_at(&model, location, more);
        write(&absolute, vec![0; 1 << 16]);
        let ended = ends_with(run(), 2);
        assert!(ended.stderr.contains(said), "{location}: {}", ended.stderr);
        assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
        assert!(!out.exists());
    }
    // Below the folder, it is read.
    with_data_at(&model, "data/weights.bin", &[]);
    ends_with(run(), 0);
}

#[cfg(unix)]
#[test]
fn links_to_external_data_are_those_of_the_hubs_cache() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("tokens.jsonl");
    write(&corpus, "{\"input_ids\": [1, 2, 3, 4, 5, 6]}\n");
    let run = |folder: &Path, out: &str| {
        write(
            &folder.join("config.json"),
            "{\"max_position_embeddings\": 64}",
        );
        Run::score_tokens(&corpus, folder, &place.path().join(out))
    };
    // As huggingface_hub lays out its cache: the files in blobs, by their hashes, and links to them in a snapshot.
    let cached = place.path().join("models--a--b");
    let (blobs, snapshot) = (cached.join("blobs"), cached.join("snapshots/c0ffee"));
    with_data_at(&blobs.join("model.onnx"), "model.onnx_data", &[]);
    fs::create_dir_all(&snapshot).unwrap();
    for (name, hash) in [("model.onnx", "1111"), ("model.onnx_data", "2222")] {
        fs::rename(blobs.join(name), blobs.join(hash)).unwrap();
        symlink(Path::new("../../blobs").join(hash), snapshot.join(name)).unwrap();
    }
    ends_with(run(&snapshot, "masks"), 0);

    // A link elsewhere, beside a model that is a file.
    let folder = place.path().join("model");
    with_data_at(&folder.join("model.onnx"), "model.onnx_data", &[]);
    let (data, secret) = (folder.join("model.onnx_data"), place.path().join("secret"));
    fs::rename(&data, &secret).unwrap();
    symlink(&secret, &data).unwrap();
    let ended = ends_with(run(&folder, "others"), 2);
    assert!(
        ended
            .stderr
            .contains("expected a file in the model's folder"),
        "{}",
        ended.stderr
    );
}

/// Settings of a model from scratch that claim more than fits.
#[cfg(feature = "train")]
#[test]
fn sizes_that_fit_into_no_memory_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path(), &["two"]);
    let config = place.path().join("config.json");
    let plain = json!({"model_type": "llama", "vocab_size": 2048, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64});
    for (name, number) in [
        ("num_hidden_layers", json!(1_000_000_000)),
        ("num_hidden_layers", json!(-1)),
        ("num_hidden_layers", json!(1_u64 << 62)),
        ("hidden_size", json!(1 << 24)),
        ("vocab_size", json!(1 << 31)),
        ("intermediate_size", json!(16_000_000)),
        ("num_attention_heads", json!(0)),
    ] {
        let mut settings = plain.clone();
        settings[name] = number.clone();
        if name == "intermediate_size" {
            settings["hidden_size"] = json!(1 << 16);
        }
        write(&config, settings.to_string());
        let out = place.path().join("trained");
        let run = Run::new(&["train", "--objective", "clm", "--length", "8"])
            .arg("--init")
            .arg(&config)
            .arg("--tokenizer")
            .arg(crate::support::demo())
            .arg("--corpus")
            .arg(&corpus)
            .arg("--out")
            .arg(&out);
        let ended = ends_with(run, 2);
        let named = ended.stderr.contains(name) || ended.stderr.contains("bytes of memory");
        assert!(named, "{name} {number}: {}", ended.stderr);
    }
}

#[test]
fn masks_whose_metadata_is_no_object_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let corpus = corpus(place.path(), &["two and two"]);
    let out = place.path().join("masks");
    ends_with(Run::score(&corpus, &out).arg("--model").arg(&model), 0);
    // In place, with an array as long as the object.
    let path = out.join("corpus.jsonl.arrow");
    let mut bytes = fs::read(&path).unwrap();
    let start = b"{\"bos\":";
    let found = bytes.windows(start.len()).position(|part| part == start);
    let start = found.expect("the metadata is in the file");
    let metadata: Value = serde_json::Deserializer::from_slice(&bytes[start..])
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    let length = metadata.to_string().len();
    let array = format!("[{}]", " ".repeat(length - 2));
    bytes[start..start + length].copy_from_slice(array.as_bytes());
    write(&path, bytes);
    let page = place.path().join("page.html");
    let other = place.path().join("other");
    let page = page.to_str().unwrap();
    let other = other.to_str().unwrap();
    for arguments in [
        &["report", "--out", page][..],
        &["show"],
        &["stats"],
        &["select", "--by", "loss", "--out", other],
        &["convert", "--to", "labels", "--length", "8", "--out", other],
    ] {
        let ended = ends_with(Run::new(arguments).arg(&out), 2);
        assert!(
            ended
                .stderr
                .contains("expected metadata that is a JSON object"),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

/// An empty variable is one that is not set.
#[test]
fn an_empty_path_of_the_library_is_none() {
    let doctor = Run::new(&["doctor"]).env("ORT_DYLIB_PATH", "");
    let ended = doctor.end();
    assert!(
        ended.stdout.contains("the named library: none"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let corpus = corpus(place.path(), &["two"]);
    let run = Run::score(&corpus, &place.path().join("masks"))
        .arg("--model")
        .arg(&model);
    ends_with(run.env("ORT_DYLIB_PATH", ""), 0);
}
