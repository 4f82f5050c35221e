//! Token ids of whole corpora, against those of the tokenizers crate.

use std::{fs, path::Path};

use rho_formats::{Content, ReadOptions, Record, ShardReader, find_shards};
use rho_mask::tokenization::Tokenization;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::support::{beside, demo, root};

/// Documents of the noisy corpus to compare.
const DOCUMENTS: usize = 1_000;

/// Llama 3's pattern, and Qwen 2's.
const PATTERNS: [&str; 2] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// The bundled tokenizer, also with other patterns, and those beside the project.
fn tokenizers() -> Vec<Tokenizer> {
    let text = fs::read_to_string(demo().join("tokenizer.json")).unwrap();
    let bundled: Value = serde_json::from_str(&text).unwrap();
    let mut all: Vec<Tokenizer> = vec![text.parse().unwrap()];
    for pattern in PATTERNS {
        let mut other = bundled.clone();
        other["normalizer"] = json!({"type": "NFC"});
        other["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]});
        all.push(other.to_string().parse().unwrap());
    }
    for name in ["bpe4096", "bpe16384", "gpt2"] {
        if let Some(folder) = beside(&format!("data/tokenizers/{name}")) {
            all.push(Tokenizer::from_file(folder.join("tokenizer.json")).unwrap());
        }
    }
    all
}

#[test]
fn bundled_documents_have_the_tokens_of_the_crate() {
    assert_eq!(compare(&root().join("examples/corpus"), usize::MAX), 341);
}

#[test]
fn noisy_documents_have_the_tokens_of_the_crate() {
    if let Some(noisy) = beside("data/corpus_noisy.jsonl.zst") {
        assert_eq!(compare(&noisy, DOCUMENTS), DOCUMENTS);
    }
}

#[test]
#[ignore = "takes minutes; run it with --ignored"]
fn all_noisy_documents_have_the_tokens_of_the_crate() {
    if let Some(noisy) = beside("data/corpus_noisy.jsonl.zst") {
        assert_eq!(compare(&noisy, usize::MAX), 10_331);
    }
}

/// The number of documents that are equal for all tokenizers.
fn compare(corpus: &Path, most: usize) -> usize {
    let texts = texts(corpus, most);
    for theirs in tokenizers() {
        let ours = Tokenization::of(theirs.clone());
        assert!(ours.by_words());
        for text in &texts {
            let expected = theirs.encode_fast(text.as_str(), false).unwrap();
            assert!(ours.encode(text).unwrap() == expected.get_ids(), "{text}");
        }
    }
    texts.len()
}

fn texts(corpus: &Path, most: usize) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut texts = vec![];
        let found = find_shards(&[corpus.to_owned()]).unwrap();
        for shard in found.shards {
            let mut reader = ShardReader::open(&shard, &ReadOptions::default())
                .await
                .unwrap();
            while let Some(record) = reader.next().await.unwrap() {
                if let Record::Document(document) = record
                    && let Content::Text(text) = document.content
                    && texts.len() < most
                {
                    texts.push(text);
                }
            }
        }
        texts
    })
}
