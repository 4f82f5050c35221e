//! Token ids of whole corpora, against those of the tokenizers crate.

use std::path::Path;

use rho_formats::{Content, ReadOptions, Record, ShardReader, find_shards};
use rho_mask::tokenization::Tokenization;
use tokenizers::Tokenizer;

use crate::support::{beside, demo, root};

/// Documents of the noisy corpus that are looked at.
const DOCUMENTS: usize = 2_000;

/// The bundled tokenizer, and those beside the project.
fn tokenizers() -> Vec<Tokenizer> {
    let mut folders = vec![demo()];
    let names = [
        "data/tokenizers/bpe4096",
        "data/tokenizers/bpe16384",
        "data/tokenizers/gpt2",
    ];
    folders.extend(names.into_iter().filter_map(beside));
    let load = |folder| Tokenizer::from_file(Path::join(folder, "tokenizer.json")).unwrap();
    folders.iter().map(|folder| load(folder)).collect()
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

/// How many documents were the same for all tokenizers.
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
