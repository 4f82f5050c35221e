//! Files with rows in columns or members, cut at many offsets: the rows before the cut are yielded, the rest is an
//! error. `fuzzed` tests other damage.

use rho_formats::{ReadOptions, ShardError};

use crate::other_writers::written;
use crate::support::read_bytes;

/// A cut file yields only rows of the whole one, and the error comes after the last of them.
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
    }
}

#[test]
fn parquet() {
    let Some(folder) = written() else { return };
    let file = |name: &str| std::fs::read(folder.join("parquet").join(name)).unwrap();
    let plain = file("none-1.0.parquet");
    // Without its footer, a Parquet file has no readable rows.
    cut("a.parquet", &plain, 50);
    // If a page fails its checksum, the pages before it are read.
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
            // The same texts are in a column that is not read.
            None => assert_eq!(outcome.records.len(), 1000),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        rows.is_sorted() && rows.iter().any(|row| *row > 300),
        "{rows:?}"
    );
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
}

#[test]
fn tar() {
    let Some(folder) = written() else { return };
    let file = |name: &str| std::fs::read(folder.join("tar").join(name)).unwrap();
    let files = [file("json.tar"), file("text.tar")];
    for bytes in &files {
        cut("a.tar", bytes, 50);
    }
}
