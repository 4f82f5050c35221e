//! The ways to write an ONNX file: every form of a head that exporters write is cut off and scores correctly, a graph
//! that cannot be cut is scored anyway, and one that cannot work is refused by name.
//!
//! The models are tiny and built here: the logits that predict token `i + 1` depend on token `i` alone, so loss and
//! entropy take a few lines of f64.

use std::path::{Path, PathBuf};

use half::{bf16, f16};
use rho_graph::{
    DataType::{self, Bf16, Bool, F16, F32, I32, I64},
    onnx::AttributeProto,
};

use crate::support::{
    Random, Run, assert_close, files,
    onnx::{Graph, float, int},
    random_tokens, rows, token_lines, write,
};

/// The tolerance of f32 against f64, over some dozens of products.
const ROUNDING: f32 = 1e-4;
const VOCABULARY: usize = 600;
/// Large enough that constants exceed those that stay in the graph.
const HIDDEN: usize = 16;
const CONTEXT: usize = 128;

/// Random weights of a model.
struct Tiny {
    /// `[vocabulary, hidden]`
    embedding: Vec<f32>,
    /// `[hidden, vocabulary]`
    head: Vec<f32>,
    bias: Vec<f32>,
    /// `[context, hidden]`
    positions: Vec<f32>,
}

/// A model in a temporary folder.
struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        let config = format!("{{\"max_position_embeddings\": {CONTEXT}}}");
        write(&place.at("model/config.json"), config);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.at("model/model.onnx")
    }
}

impl Tiny {
    fn new() -> Self {
        let mut random = Random(5);
        let mut draw = |n: usize, scale: f32| (0..n).map(|_| random.signed() * scale).collect();
        Self {
            embedding: draw(VOCABULARY * HIDDEN, 1.0),
            head: draw(HIDDEN * VOCABULARY, 2.0),
            bias: draw(VOCABULARY, 3.0),
            positions: draw(CONTEXT * HIDDEN, 1.0),
        }
    }

    /// `[vocabulary, hidden]`
    fn head_transposed(&self) -> Vec<f32> {
        let place = |i: usize| self.head[i % HIDDEN * VOCABULARY + i / HIDDEN];
        (0..VOCABULARY * HIDDEN).map(place).collect()
    }

    /// The inputs with optimum's names, the embedding, and the output. The value `hidden` is f32.
    fn begin(&self) -> Graph {
        self.begin_with(I64)
    }

    fn begin_with(&self, ids: DataType) -> Graph {
        Graph::default()
            .input("input_ids", ids, "batch_size sequence_length")
            .input("attention_mask", ids, "batch_size sequence_length")
            .output(
                "logits",
                F32,
                &format!("batch_size sequence_length {VOCABULARY}"),
            )
            .floats("embedding", F32, &[VOCABULARY, HIDDEN], &self.embedding)
            .node("Gather", "embedding input_ids", "hidden")
    }

    /// The head's weights in MatMul's layout.
    fn with_head(&self, graph: Graph) -> Graph {
        graph.floats("head", F32, &[HIDDEN, VOCABULARY], &self.head)
    }

    fn hidden(&self, token: usize) -> Vec<f64> {
        let row = &self.embedding[token * HIDDEN..(token + 1) * HIDDEN];
        row.iter().map(|&x| f64::from(x)).collect()
    }

    /// The logits of a hidden state: its matmul with the head.
    fn product(&self, hidden: &[f64]) -> Vec<f64> {
        let logit = |v: usize| {
            let terms = hidden.iter().enumerate();
            terms
                .map(|(k, x)| x * f64::from(self.head[k * VOCABULARY + v]))
                .sum()
        };
        (0..VOCABULARY).map(logit).collect()
    }

    /// Logits of a token in the plain model.
    fn logits(&self, token: usize) -> Vec<f64> {
        self.product(&self.hidden(token))
    }
}

/// Documents of many lengths, so that a batch has padding; the first is long enough for the check of the model.
fn documents() -> Vec<Vec<u32>> {
    [40, 0, 1, 2, 97, 3, 128, 64]
        .into_iter()
        .zip(1..)
        .map(|(length, seed)| random_tokens(length, VOCABULARY as u32, seed))
        .collect()
}

/// `-ln p[target]` and the entropy of `p = softmax(logits)`.
fn loss_and_entropy(logits: &[f64], target: usize) -> (f32, f32) {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
    let log_p = |z: f64| z - max - sum.ln();
    let entropy: f64 = logits.iter().map(|&z| -log_p(z).exp() * log_p(z)).sum();
    (-log_p(logits[target]) as f32, entropy as f32)
}

/// Scores the documents with the model and compares with the logits expected for each token and position. Returns the
/// notes about the cut.
fn scores_as(
    what: &str,
    place: &Workspace,
    logits: impl Fn(usize, usize) -> Vec<f64>,
) -> Vec<String> {
    let (corpus, out) = (place.at("documents.jsonl"), place.at("masks"));
    write(&corpus, token_lines(&documents()));
    let ended = Run::score_tokens(&corpus, &place.at("model"), &out).end();
    assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
    let got = rows(&out, "documents.jsonl");
    assert_eq!(got.len(), documents().len(), "{what}");
    for (row, tokens) in got.iter().zip(documents()) {
        assert_eq!(row.input_ids, tokens, "{what}");
        let mut expected = [vec![f32::NAN; tokens.len()], vec![f32::NAN; tokens.len()]];
        for i in 1..tokens.len() {
            let logits = logits(tokens[i - 1] as usize, i - 1);
            let (loss, entropy) = loss_and_entropy(&logits, tokens[i] as usize);
            expected[0][i] = loss;
            expected[1][i] = entropy;
        }
        for (column, (got, expected)) in row.scores.iter().zip(&expected).enumerate() {
            assert_close(
                got,
                expected,
                ROUNDING,
                &format!("{what}, {}, column {column}", row.id),
            );
        }
    }
    let notes = ended.lines_with("note: ").into_iter();
    notes.map(str::to_owned).collect()
}

/// Checks that the graph is cut, and scores correctly.
fn is_cut(what: &str, graph: Graph, logits: impl Fn(usize, usize) -> Vec<f64>) {
    let place = Workspace::new();
    graph.write(&place.model());
    assert_eq!(scores_as(what, &place, logits), [] as [&str; 0], "{what}");
}

/// Checks that the graph is not cut, that this is reported once with the reason, and that it scores correctly.
fn is_not_cut(what: &str, reason: &str, graph: Graph, logits: impl Fn(usize, usize) -> Vec<f64>) {
    let place = Workspace::new();
    graph.write(&place.model());
    let notes = scores_as(what, &place, logits);
    assert_eq!(notes.len(), 1, "{what}: {notes:?}");
    assert!(
        notes[0].starts_with("note: ") && notes[0].contains(reason),
        "{}",
        notes[0]
    );
}

#[test]
fn heads_are_cut_off_however_they_are_written() {
    let tiny = Tiny::new();
    let plain = |token, _| tiny.logits(token);
    let each = |change: fn(f64) -> f64| {
        let tiny = &tiny;
        move |token: usize, _: usize| tiny.logits(token).into_iter().map(change).collect()
    };
    let biased = |token, _| {
        let logits = tiny.logits(token).into_iter().zip(&tiny.bias);
        logits.map(|(z, &b)| z + f64::from(b)).collect()
    };
    let product = || {
        tiny.with_head(tiny.begin())
            .node("MatMul", "hidden head", "product")
    };
    let scalar = |graph: Graph, name: &str, value: f32| graph.floats(name, F32, &[], &[value]);

    let graph = tiny.with_head(tiny.begin());
    is_cut(
        "MatMul",
        graph.node("MatMul", "hidden head", "logits"),
        plain,
    );

    let graph = tiny.begin().node("Transpose", "embedding", "turned").node(
        "MatMul",
        "hidden turned",
        "logits",
    );
    is_cut("tied to the embedding", graph, |token, _| {
        let hidden = tiny.hidden(token);
        let logit = |v| tiny.hidden(v).iter().zip(&hidden).map(|(a, b)| a * b).sum();
        (0..VOCABULARY).map(logit).collect()
    });

    // The export of PyTorch's Linear over flattened rows.
    let flat = |graph: Graph| {
        graph
            .integers("flat", &[-1, HIDDEN as i64])
            .integers("width", &[VOCABULARY as i64])
            .node("Reshape", "hidden flat", "rows")
            .node("Shape", "input_ids", "batch_and_length")
            .node_with(
                "Concat",
                "batch_and_length width",
                "shape",
                vec![int("axis", 0)],
            )
            .floats("bias", F32, &[VOCABULARY], &tiny.bias)
    };
    let graph = flat(tiny.begin())
        .floats(
            "linear",
            F32,
            &[VOCABULARY, HIDDEN],
            &tiny.head_transposed(),
        )
        .node_with(
            "Gemm",
            "rows linear bias",
            "product",
            vec![int("transB", 1)],
        )
        .node("Reshape", "product shape", "logits");
    is_cut("Gemm with transB", graph, biased);
    let factors = vec![float("alpha", 0.5), float("beta", -2.0)];
    let graph = tiny
        .with_head(flat(tiny.begin()))
        .node_with("Gemm", "rows head bias", "product", factors)
        .node("Reshape", "product shape", "logits");
    is_cut("Gemm with factors", graph, |token, _| {
        let logits = tiny.logits(token).into_iter().zip(&tiny.bias);
        logits.map(|(z, &b)| 0.5 * z - 2.0 * f64::from(b)).collect()
    });

    for (what, inputs) in [
        ("bias last", "product bias"),
        ("bias first", "bias product"),
    ] {
        let graph = product()
            .floats("bias", F32, &[VOCABULARY], &tiny.bias)
            .node("Add", inputs, "logits");
        is_cut(what, graph, biased);
    }
    let graph = product()
        .floats("bias", F32, &[1, 1, VOCABULARY], &tiny.bias)
        .node("Add", "product bias", "logits");
    is_cut("bias of three axes", graph, biased);

    let graph = scalar(scalar(product(), "cap", 3.0), "scale", 0.25)
        .node("Div", "product cap", "divided")
        .node("Tanh", "divided", "bent")
        .node("Mul", "cap bent", "capped")
        .node("Mul", "capped scale", "logits");
    is_cut(
        "soft cap and scale",
        graph,
        each(|z| 3.0 * (z / 3.0).tanh() * 0.25),
    );

    let value = float("value_float", 1.5);
    let graph = product()
        .node_with("Constant", "", "shift", vec![value])
        .node("Sub", "product shift", "shifted")
        .node("Identity", "shifted", "logits");
    is_cut("shift by a Constant node", graph, each(|z| z - 1.5));

    // Cohere's and Granite's models scale.
    let graph = scalar(product(), "scale", -0.5).node("Mul", "product scale", "logits");
    is_cut("negative scale", graph, each(|z| -0.5 * z));

    // Old exporters list constants among the inputs too.
    let graph = tiny
        .with_head(tiny.begin())
        .input("head", F32, &format!("{HIDDEN} {VOCABULARY}"))
        .node("MatMul", "hidden head", "logits");
    is_cut("weights among the inputs", graph, plain);

    // Beside other outputs, and under another name.
    let mut graph = tiny
        .with_head(tiny.begin())
        .node("MatMul", "hidden head", "scores")
        .node("Identity", "hidden", "last_hidden_state");
    graph.0.output.clear();
    let graph = graph
        .output("last_hidden_state", F32, &format!("batch length {HIDDEN}"))
        .output("scores", F32, &format!("batch length {VOCABULARY}"));
    is_cut("logits by shape", graph, plain);
}

#[test]
fn half_precision_is_cut_and_computed_in_single() {
    let tiny = Tiny::new();
    let round = |values: &[f32], to: fn(f32) -> f32| values.iter().map(|&v| to(v)).collect();
    let to_f16 = |v: f32| f16::from_f32(v).to_f32();
    let to_bf16 = |v: f32| bf16::from_f32(v).to_f32();
    let all_f16 = Tiny {
        embedding: round(&tiny.embedding, to_f16),
        head: round(&tiny.head, to_f16),
        ..Tiny::new()
    };
    let inputs = || {
        Graph::default()
            .input("input_ids", I64, "batch length")
            .floats("embedding", F16, &[VOCABULARY, HIDDEN], &tiny.embedding)
            .floats("head", F16, &[HIDDEN, VOCABULARY], &tiny.head)
            .node("Gather", "embedding input_ids", "hidden")
    };
    let axes = format!("batch length {VOCABULARY}");
    let graph = inputs()
        .output("logits", F16, &axes)
        .node("MatMul", "hidden head", "logits");
    is_cut("f16 logits", graph, |token, _| all_f16.logits(token));
    let graph = inputs()
        .output("logits", F32, &axes)
        .node("MatMul", "hidden head", "half")
        .cast("half", "logits", F32);
    is_cut("f16 weights, cast logits", graph, |token, _| {
        all_f16.logits(token)
    });

    // Weights stored in fewer bits.
    for (what, dtype, to) in [
        ("f16 weights cast to f32", F16, to_f16 as fn(f32) -> f32),
        ("bf16 weights cast to f32", Bf16, to_bf16),
    ] {
        let stored = Tiny {
            head: round(&tiny.head, to),
            ..Tiny::new()
        };
        let graph = tiny
            .begin()
            .floats("stored", dtype, &[HIDDEN, VOCABULARY], &tiny.head)
            .cast("stored", "head", F32)
            .node("MatMul", "hidden head", "logits");
        is_cut(what, graph, |token, _| stored.logits(token));
    }
}

#[test]
fn inputs_are_fed_however_they_are_declared() {
    let tiny = Tiny::new();
    let plain = |token, _| tiny.logits(token);
    let head = |graph: Graph| tiny.with_head(graph).node("MatMul", "fed head", "logits");
    let axes = "batch_size sequence_length";

    let graph = tiny.with_head(tiny.begin_with(I32));
    is_cut(
        "i32 ids",
        graph.node("MatMul", "hidden head", "logits"),
        plain,
    );

    let mut graph = tiny.with_head(tiny.begin());
    graph.0.input.truncate(1);
    is_cut(
        "ids alone",
        graph.node("MatMul", "hidden head", "logits"),
        plain,
    );

    let graph = tiny
        .begin()
        .input("position_ids", I64, axes)
        .floats("positions", F32, &[CONTEXT, HIDDEN], &tiny.positions)
        .node("Gather", "positions position_ids", "place")
        .node("Add", "hidden place", "fed");
    is_cut("position_ids", head(graph), |token, position| {
        let place = &tiny.positions[position * HIDDEN..];
        let fed = tiny.hidden(token).into_iter().zip(place);
        tiny.product(&fed.map(|(x, &p)| x + f64::from(p)).collect::<Vec<_>>())
    });

    // A token behind the mask would lose its embedding.
    let graph = tiny
        .begin()
        .integers("last", &[-1])
        .cast("attention_mask", "mask", F32)
        .node("Unsqueeze", "mask last", "column")
        .node("Mul", "hidden column", "fed");
    is_cut("attention_mask", head(graph), plain);

    // A cache of length 0 contributes nothing; one of another length has no values to give.
    for dtype in [F32, F16] {
        let cache = "batch_size 2 past_sequence_length 4";
        let graph = tiny
            .begin()
            .input("past_key_values.0.key", dtype, cache)
            .input("past_key_values.0.value", dtype, cache)
            .output("present.0.key", dtype, cache)
            .node("Identity", "past_key_values.0.key", "present.0.key")
            .node_with(
                "Concat",
                "past_key_values.0.key past_key_values.0.value",
                "past",
                vec![int("axis", 2)],
            )
            .cast("past", "past32", F32)
            .node_with("ReduceSum", "past32", "nothing", vec![int("keepdims", 0)])
            .node("Size", "past", "size")
            .cast("size", "size32", F32)
            .node("Sub", "nothing size32", "still_nothing")
            .node("Add", "hidden still_nothing", "fed");
        is_cut(&format!("past_key_values {dtype:?}"), head(graph), plain);
    }

    // Converters append the nodes they add at the end, after their readers.
    let graph = tiny
        .begin()
        .input("position_ids", I64, axes)
        .node("Mul", "hidden one", "fed");
    let graph = head(graph)
        .node("Cos", "zero", "one")
        .node("Sub", "column column", "zero")
        .node("Unsqueeze", "place last", "column")
        .integers("last", &[-1])
        .cast("position_ids", "place", F32);
    is_cut("nodes in any order", graph, plain);

    let graph = tiny
        .begin()
        .input("use_cache_branch", Bool, "1")
        .cast("use_cache_branch", "branch", F32)
        .node("Add", "hidden branch", "fed");
    is_cut("use_cache_branch", head(graph), plain);
}

#[test]
fn external_data_is_found_beside_the_model() {
    let tiny = Tiny::new();
    let graph = || {
        tiny.with_head(tiny.begin())
            .floats("bias", F32, &[VOCABULARY], &vec![0.0; VOCABULARY])
            .node("MatMul", "hidden head", "product")
            .node("Add", "product bias", "logits")
    };
    let place = Workspace::new();
    graph().write_with_external_data(&place.model(), "model.onnx_data");
    let notes = scores_as("external data", &place, |token, _| tiny.logits(token));
    assert_eq!(notes, [] as [&str; 0]);

    // Links to the model work like the model: with the data beside the link, as in a download cache, where both lead to
    // files with other names, and with the data beside the real file only.
    #[cfg(unix)]
    for links in [
        &[("model.onnx", "1111"), ("model.onnx_data", "2222")][..],
        &[("model.onnx", "model.onnx")],
    ] {
        let place = Workspace::new();
        graph().write_with_external_data(&place.at("real/model.onnx"), "model.onnx_data");
        for (name, target) in links {
            let (from, to) = (place.at("real").join(name), place.at("real").join(target));
            std::fs::rename(from, &to).unwrap();
            std::os::unix::fs::symlink(to, place.at("model").join(name)).unwrap();
        }
        let notes = scores_as(&format!("{links:?}"), &place, |token, _| tiny.logits(token));
        assert_eq!(notes, [] as [&str; 0]);
    }
}

#[test]
fn external_data_that_is_not_whole_stops_the_run_before_it_begins() {
    let tiny = Tiny::new();
    let refused = |damage: &dyn Fn(&Path)| {
        let place = Workspace::new();
        let graph = tiny.with_head(tiny.begin());
        let graph = graph.node("MatMul", "hidden head", "logits");
        graph.write_with_external_data(&place.model(), "model.onnx_data");
        damage(&place.at("model/model.onnx_data"));
        let corpus = place.at("documents.jsonl");
        write(&corpus, token_lines(&documents()));
        let run = Run::score_tokens(&corpus, &place.at("model"), &place.at("masks"));
        let ended = run.ends_with(2);
        assert!(ended.stderr.contains("model.onnx_data"), "{}", ended.stderr);
        assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
        assert!(!place.at("masks").exists());
    };
    refused(&|data| std::fs::remove_file(data).unwrap());
    // The head's weights are the second constant.
    refused(&|data| {
        let bytes = std::fs::read(data).unwrap();
        write(data, &bytes[..bytes.len() - 100]);
    });
    refused(&|data| write(data, [0; 100]));
}

#[test]
fn graphs_that_cannot_be_cut_are_scored_all_the_same() {
    let tiny = Tiny::new();
    let plain = |token, _| tiny.logits(token);
    let product = || {
        tiny.with_head(tiny.begin())
            .node("MatMul", "hidden head", "product")
    };
    let graph = product()
        .floats("low", F32, &[], &[-1.0])
        .floats("high", F32, &[], &[2.0])
        .node("Clip", "product low high", "logits");
    is_not_cut("Clip", "the operator Clip", graph, |token, _| {
        let logits = tiny.logits(token).into_iter();
        logits.map(|z| z.clamp(-1.0, 2.0)).collect()
    });
    // One that changes nothing gives the same scores as a cut graph.
    let graph =
        product()
            .floats("lowest", F32, &[], &[-1e9])
            .node("Max", "product lowest", "logits");
    is_not_cut("Max", "the operator Max", graph, plain);

    let graph = product()
        .floats("zero", F32, &[], &[0.0])
        .floats("minus", F32, &[], &[-5.0])
        .node("Less", "product zero", "negative")
        .node("Where", "negative minus product", "logits");
    is_not_cut("Where", "the operator Where", graph, |token, _| {
        let logits = tiny.logits(token).into_iter();
        logits.map(|z| if z < 0.0 { -5.0 } else { z }).collect()
    });

    let graph = tiny
        .with_head(tiny.begin())
        .floats("two", F32, &[], &[2.0])
        .node("Mul", "head two", "doubled")
        .node("MatMul", "hidden doubled", "logits");
    is_not_cut(
        "computed weights",
        "doubled, which is not a constant",
        graph,
        |token, _| tiny.logits(token).into_iter().map(|z| 2.0 * z).collect(),
    );

    // Only config.json has the width of the logits.
    let mut graph = product().node("Abs", "product", "logits");
    graph.0.output.clear();
    let graph = graph.output_of_unknown_shape("logits", F32);
    let place = Workspace::new();
    graph.write(&place.model());
    let config = format!("{{\"n_positions\": {CONTEXT}, \"vocab_size\": {VOCABULARY}}}");
    write(&place.at("model/config.json"), config);
    let notes = scores_as("width by config.json", &place, |token, _| {
        tiny.logits(token).into_iter().map(f64::abs).collect()
    });
    assert_eq!(notes.len(), 1);
}

/// Expects that the model is refused with exit code 2, that the message contains all these words, and that nothing is
/// written.
fn is_refused(graph: Graph, words: &[&str]) {
    let place = Workspace::new();
    graph.write(&place.model());
    let corpus = place.at("documents.jsonl");
    write(&corpus, token_lines(&documents()));
    let before = files(place.folder.path());
    let ended = Run::score_tokens(&corpus, &place.at("model"), &place.at("masks")).ends_with(2);
    let told = refusal(&place.model(), &ended.stderr);
    for word in words {
        assert!(told.contains(word), "expected {word:?} in {told}");
    }
    assert_eq!(files(place.folder.path()), before);
}

/// The error and the hint; the error starts with the model's path.
fn refusal(model: &Path, stderr: &str) -> String {
    let start = format!("error: {}: ", model.canonicalize().unwrap().display());
    let at = stderr.find(&start);
    let at = at.unwrap_or_else(|| panic!("expected {start:?} in {stderr}"));
    assert!(stderr[at..].contains("\nhint: "), "{stderr}");
    stderr[at + start.len()..].to_owned()
}

#[test]
fn graphs_that_cannot_work_are_refused_by_name() {
    let tiny = Tiny::new();
    let product = || {
        tiny.with_head(tiny.begin())
            .node("MatMul", "hidden head", "logits")
    };
    let axes = "batch length";

    // An encoder, and a classifier.
    let mut graph = tiny.begin().node("Identity", "hidden", "last_hidden_state");
    graph.0.output.clear();
    let encoder = graph.output("last_hidden_state", F32, &format!("batch length {HIDDEN}"));
    is_refused(
        encoder,
        &[
            "expected an output of logits [batch, length, vocabulary]",
            "got last_hidden_state F32 [batch, length, 16]",
            "hint: name the checkpoint itself, or export it with `rho-mask export`",
        ],
    );
    let mut graph = product();
    graph.0.output.clear();
    let classifier = graph.output("logits", F32, "batch 2");
    is_refused(
        classifier,
        &["expected an output of logits", "got logits F32 [batch, 2]"],
    );

    let graph = product().input("encoder_hidden_states", F32, "batch length 16");
    is_refused(
        graph,
        &[
            "got an encoder-decoder (input encoder_hidden_states)",
            "hint: ",
        ],
    );
    let graph = product().input("token_type_ids", I64, axes);
    is_refused(
        graph,
        &[
            "unknown required input token_type_ids I64 [batch, length]",
            "known inputs are input_ids",
        ],
    );
    let graph = product().input("pixel_values", F32, "batch 3 224 224");
    is_refused(graph, &["unknown required input pixel_values"]);
    let mut graph = product();
    graph.0.input.remove(0);
    is_refused(graph, &["unknown required input input_ids (missing)"]);

    let mut graph = product();
    graph.0.input.remove(0);
    is_refused(
        graph.input("input_ids", I64, "1 64"),
        &["input input_ids I64 [1, 64]: expected integers [batch, length] with both axes free"],
    );
    is_refused(
        product().input("past_key_values.0.key", F32, "batch heads past head_size"),
        &["past_key_values.0.key", "with heads and head size given"],
    );

    // Nothing has the width of the logits.
    let mut graph = product().node("Abs", "logits", "positive");
    graph.0.output.clear();
    is_refused(
        graph.output_of_unknown_shape("positive", F32),
        &[
            "the vocabulary's size is neither in the graph nor in config.json",
            "hint: ",
        ],
    );
}

/// Our operator computes attention, for any number of axes. A graph that only looks like attention is computed as
/// exported, and that is reported.
#[test]
fn attention_of_an_unknown_shape_is_computed_as_exported() {
    let tiny = Tiny::new();
    let zeros = vec![0.0; HIDDEN * HIDDEN];
    for (axes, mask, softmax, noted) in [
        (&[1][..], "mask", 3, false),
        (&[1, 2][..], "mask", -1, false),
        // Not the last axis, and a mask without the meaning of each column.
        (&[1, 2][..], "mask", 3, true),
        (&[1][..], "zero", -1, true),
    ] {
        let last = axes.len() as i64 + 2;
        let mut order: Vec<i64> = (0..=last).collect();
        order.swap(last as usize, last as usize - 1);
        let perm = AttributeProto {
            name: Some("perm".to_owned()),
            ints: order,
            r#type: Some(7),
            ..Default::default()
        };
        // It adds nothing, so a token's logits are those of the plain model.
        let graph = tiny
            .begin()
            .integers("axes", axes)
            .floats("none", F32, &[HIDDEN, HIDDEN], &zeros)
            .integers("columns", &(1..last).collect::<Vec<_>>())
            .floats("zero", F32, &[1], &[0.0])
            .cast("attention_mask", "seen", F32)
            .node("Mul", "seen zero", "zeros")
            .node("Unsqueeze", "zeros columns", "mask")
            .node("Unsqueeze", "hidden axes", "queries")
            .node_with("Transpose", "queries", "keys", vec![perm])
            .node("MatMul", "queries keys", "scores")
            .node("Add", &format!("scores {mask}"), "masked")
            .node_with("Softmax", "masked", "p", vec![int("axis", softmax)])
            .node("MatMul", "p queries", "told")
            .node("Squeeze", "told axes", "weighed")
            .node("MatMul", "weighed none", "nothing")
            .node("Add", "hidden nothing", "fed");
        let graph = tiny.with_head(graph).node("MatMul", "fed head", "logits");
        let place = Workspace::new();
        graph.write(&place.model());
        let said = scores_as("attention", &place, |token, _| tiny.logits(token));
        let notes = said
            .iter()
            .filter(|line| line.contains("attention runs as exported in the graph"));
        assert_eq!(notes.count(), usize::from(noted), "{said:?}");
    }
}
