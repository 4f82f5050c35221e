//! A very fast reference, for tests of everything around it.

use std::fs;
use std::path::{Path, PathBuf};

use rho_graph::DataType::{F32, I64};

use super::{Random, demo, onnx::Graph, write};

const HIDDEN: usize = 8;
const SEED: u32 = 7;

/// Writes a model whose prediction depends only on the previous token, with the tokenizer of the demonstration.
pub(crate) fn tiny(folder: &Path) -> PathBuf {
    with_tokenizer(folder);
    tiny_of(folder, 2048)
}

/// Copies the tokenizer of the demonstration beside a model.
pub(crate) fn with_tokenizer(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::copy(demo().join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
}

/// The same for any vocabulary, without a tokenizer.
pub(crate) fn tiny_of(folder: &Path, vocabulary: usize) -> PathBuf {
    tiny_drawn(folder, vocabulary, SEED)
}

/// The embedding `[vocabulary, HIDDEN]` and the head `[HIDDEN, vocabulary]`.
fn weights(vocabulary: usize, seed: u32) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random(seed);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random.signed() * 2.0).collect() };
    (draw(vocabulary * HIDDEN), draw(HIDDEN * vocabulary))
}

/// The logits after a token, computed in f64 from the weights of [`tiny_of`].
pub(crate) fn logits_after(token: u32, vocabulary: usize) -> Vec<f64> {
    let (embedding, head) = weights(vocabulary, SEED);
    let hidden = &embedding[token as usize * HIDDEN..][..HIDDEN];
    let logit = |v: usize| {
        let products =
            (0..HIDDEN).map(|k| f64::from(hidden[k]) * f64::from(head[k * vocabulary + v]));
        products.sum()
    };
    (0..vocabulary).map(logit).collect()
}

/// The same with a seed for the weights.
pub(crate) fn tiny_drawn(folder: &Path, vocabulary: usize, seed: u32) -> PathBuf {
    let (embedding, head) = weights(vocabulary, seed);
    Graph::default()
        .input("input_ids", I64, "batch length")
        .output("logits", F32, &format!("batch length {vocabulary}"))
        .floats("embedding", F32, &[vocabulary, HIDDEN], &embedding)
        .floats("head", F32, &[HIDDEN, vocabulary], &head)
        .node("Gather", "embedding input_ids", "hidden")
        .node("MatMul", "hidden head", "logits")
        .write(&folder.join("model.onnx"));
    write(
        &folder.join("config.json"),
        r#"{"max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 1}"#,
    );
    folder.to_owned()
}
