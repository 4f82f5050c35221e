//! Times reading and tokenising alone, on one thread: with the tokenizers crate, and with the program's own code.
//!
//!     cargo bench --bench tokenize -- [CORPUS [TOKENIZER...]]
//!
//! CORPUS is any input of `rho-mask score`, TOKENIZER a `tokenizer.json`. Both run in turn, five times each. Every run
//! starts with empty caches, from the first byte of the corpus.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::{path::Path, time::Instant};

use anyhow::{Context as _, ensure};
use rho_formats::{Content, ReadOptions, Record, ShardReader, find_shards};
use rho_mask::tokenization::Tokenization;
use tokenizers::Tokenizer;

const RUNS: usize = 5;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundled = |name: &str| root.join(name).display().to_string();
    // Cargo itself adds `--bench`.
    let given = std::env::args().skip(1).filter(|a| a != "--bench");
    let mut given: Vec<String> = given.collect();
    if given.is_empty() {
        given.push(bundled("examples/corpus"));
    }
    if given.len() == 1 {
        given.push(bundled("models/demo/tokenizer.json"));
    }
    println!(
        "| tokenizer | tokens | reading alone | the crate | words | times |\n|---|---|---|---|---|---|"
    );
    for tokenizer in &given[1..] {
        compare(&given[0], tokenizer)?;
    }
    Ok(())
}

/// One line of the table: million tokens per second, median of all runs.
fn compare(corpus: &str, path: &str) -> anyhow::Result<()> {
    let load = || {
        let mut tokenizer = Tokenizer::from_file(path).map_err(anyhow::Error::from_boxed)?;
        tokenizer.with_padding(None);
        let cuts = tokenizer.with_truncation(None);
        cuts.map_err(anyhow::Error::from_boxed)?;
        anyhow::Ok(tokenizer)
    };
    ensure!(
        Tokenization::of(load()?).by_words(),
        "{path}: expected a byte-level BPE with a known pattern"
    );
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut tokens = 0;
    for _ in 0..RUNS {
        let time = |encode: &mut dyn FnMut(&str) -> anyhow::Result<usize>| {
            let start = Instant::now();
            let tokens = read(corpus, encode)?;
            anyhow::Ok((tokens, start.elapsed().as_secs_f64()))
        };
        let (_, reading) = time(&mut |_| Ok(0))?;
        let theirs = load()?;
        let (expected, crates) = time(&mut |text| {
            let ids = theirs.encode_fast(text, false);
            Ok(ids.map_err(anyhow::Error::from_boxed)?.len())
        })?;
        let ours = Tokenization::of(load()?);
        let (got, words) = time(&mut |text| Ok(ours.encode(text)?.len()))?;
        ensure!(expected == got, "expected {expected} tokens, got {got}");
        tokens = got;
        for (all, one) in seconds.iter_mut().zip([reading, crates, words]) {
            all.push(one);
        }
    }
    let [reading, crates, words] = seconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        tokens as f64 / all[RUNS / 2] / 1e6
    });
    println!(
        "| {path} | {tokens} | {reading:.2} M/s | {crates:.2} M/s | {words:.2} M/s | {:.1} |",
        words / crates
    );
    Ok(())
}

/// Reads all documents and sums the results of `encode`.
fn read(
    corpus: &str,
    encode: &mut dyn FnMut(&str) -> anyhow::Result<usize>,
) -> anyhow::Result<usize> {
    let options = ReadOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    runtime.block_on(async {
        let mut tokens = 0;
        let found = find_shards(&[corpus.into()])?;
        for shard in found.shards {
            let mut reader = ShardReader::open(&shard, &options).await?;
            while let Some(record) = reader.next().await.context("cannot read")? {
                if let Record::Document(document) = record
                    && let Content::Text(text) = document.content
                {
                    tokens += encode(&text)?;
                }
            }
        }
        Ok(tokens)
    })
}
