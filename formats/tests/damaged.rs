//! Files with rows in columns or members, cut at many places and damaged at random: the rows before come out, the rest
//! is an error, and nothing panics or asks for memory without bounds.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rho_formats::{ReadOptions, ShardError};

use crate::other_writers::{with_text, with_tokens, written};
use crate::support::read_bytes;

/// A file that is cut gives no row that the whole one does not, and the error stands behind the last.
fn cut(name: &str, bytes: &[u8], places: usize) {
    let options = ReadOptions::default();
    let whole = read_bytes(name, bytes, &options);
    assert!(whole.error.is_none());
    for place in 0..places {
        let at = bytes.len() * place / places;
        let outcome = read_bytes(name, &bytes[..at], &options);
        assert!(
            whole.records.starts_with(&outcome.records),
            "{name} cut at {at}"
        );
        let error = outcome
            .error
            .unwrap_or_else(|| panic!("{name} cut at {at}: no error"));
        assert_eq!(
            error.row(),
            outcome.records.len() as i64,
            "{name} cut at {at}"
        );
        assert!(error.hint().is_some(), "{name} cut at {at}: {error:?}");
    }
}

/// Any bytes may change.
fn change(files: &[(&str, Vec<u8>)], cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    // What says how long things are stands at the ends.
    let near_ends = prop::bool::ANY;
    TestRunner::new_with_rng(config, rng)
        .run(
            &(0..files.len(), changes, near_ends),
            |(file, changes, near_ends)| {
                let (name, bytes) = &files[file];
                let mut bytes = bytes.clone();
                for (index, byte) in changes {
                    let index = match near_ends {
                        true => {
                            let ends = bytes.len().min(1000);
                            let index = index.index(ends);
                            if index % 2 == 0 {
                                index
                            } else {
                                bytes.len() - index
                            }
                        }
                        false => index.index(bytes.len()),
                    };
                    bytes[index] = byte;
                }
                let small = ReadOptions {
                    max_document_bytes: 1 << 20,
                    ..ReadOptions::default()
                };
                for options in [
                    small,
                    with_tokens("input_ids"),
                    with_text("meta.inner.text"),
                ] {
                    let outcome = read_bytes(name, &bytes, &options);
                    let rows: Vec<_> = outcome.told().iter().map(|(row, _)| *row).collect();
                    prop_assert!(rows.is_sorted_by(|a, b| a < b), "{:?}", rows);
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn parquet() {
    let Some(folder) = written() else { return };
    let file = |name: &str| std::fs::read(folder.join("parquet").join(name)).unwrap();
    let plain = file("none-1.0.parquet");
    // Without its end, a Parquet file says nothing.
    cut("a.parquet", &plain, 50);
    // A page that fails its checksum: the pages before it are read.
    let text = "text 3 é".as_bytes();
    let windows = plain.windows(text.len()).enumerate();
    let places: Vec<_> = windows
        .filter_map(|(at, window)| (window == text).then_some(at))
        .collect();
    let mut rows = Vec::new();
    for place in places.into_iter().step_by(20) {
        let mut damaged = plain.clone();
        damaged[place] ^= 1;
        let outcome = read_bytes("a.parquet", &damaged, &ReadOptions::default());
        match &outcome.error {
            Some(ShardError::Damaged { row, source, .. }) => {
                assert_eq!(*row, outcome.records.len() as i64);
                assert!(source.to_string().contains("CRC"), "{source}");
                rows.push(*row);
            }
            // The same texts stand in a column that is not read.
            None => assert_eq!(outcome.records.len(), 1000),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        rows.is_sorted() && rows.iter().any(|row| *row > 300),
        "{rows:?}"
    );
    let names = [
        "none-1.0",
        "snappy-2.0",
        "gzip-1.0",
        "brotli-2.0",
        "zstd-1.0",
        "lz4-2.0",
        "dictionary",
        "nulls",
    ];
    let files = names.map(|name| ("a.parquet", file(&format!("{name}.parquet"))));
    change(&files, 400);
}

#[test]
fn arrow() {
    let Some(folder) = written() else { return };
    let file = |name: &str| std::fs::read(folder.join("arrow").join(name)).unwrap();
    for name in [
        "stream-None.arrow",
        "stream-zstd.arrow",
        "dictionary.arrows",
    ] {
        cut(name, &file(name), 50);
    }
    let names = [
        "file-None.arrow",
        "stream-lz4.arrow",
        "stream-zstd.arrow",
        "large.arrow",
        "view.arrows",
        "dictionary.arrows",
        "large_list.arrow",
        "nulls.arrow",
    ];
    let files = names.map(|name| ("a.arrow", file(name)));
    change(&files, 400);
}

#[test]
fn tar() {
    let Some(folder) = written() else { return };
    let file = |name: &str| std::fs::read(folder.join("tar").join(name)).unwrap();
    let files = [file("json.tar"), file("text.tar")];
    for bytes in &files {
        cut("a.tar", bytes, 50);
    }
    change(&files.map(|bytes| ("a.tar", bytes)), 200);
}
