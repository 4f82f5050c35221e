//! Broken and hostile files: the rows before a break are yielded, a bad row is rejected. `fuzzed` checks that nothing
//! panics.

use rho_formats::{Compression, ContentFields, ReadOptions, ShardError};

use crate::support::{compress, compress_flushed, read_bytes};

fn lines() -> Vec<String> {
    let line = |index: usize| {
        let text = format!("{index} ").repeat(index % 7 * 20);
        format!("{}\n", serde_json::json!({"id": index, "text": text}))
    };
    (0..40).map(line).collect()
}

#[test]
fn a_stream_cut_anywhere_gives_every_row_before_the_cut() {
    let lines = lines();
    let parts: Vec<_> = lines.iter().map(String::as_bytes).collect();
    let options = ReadOptions::default();
    for (name, compression) in [
        ("a.jsonl.gz", Compression::Gzip),
        ("a.jsonl.zst", Compression::Zstd),
        ("a.jsonl.bz2", Compression::Bzip2),
        ("a.jsonl.xz", Compression::Xz),
    ] {
        let (bytes, ends) = compress_flushed(&parts, compression);
        let whole = read_bytes(name, &bytes, &options);
        assert!(whole.error.is_none());
        assert_eq!(whole.records.len(), lines.len());
        // These decoders allocate megabytes for each cut.
        let step = match compression {
            Compression::Bzip2 | Compression::Xz => 11,
            _ => 1,
        };
        for cut in (0..bytes.len()).step_by(step) {
            let outcome = read_bytes(name, &bytes[..cut], &options);
            let rows = outcome.records.len();
            assert!(
                whole.records.starts_with(&outcome.records),
                "{name} cut at {cut}"
            );
            // A bzip2 block is decoded whole or not at all.
            let readable = match compression {
                Compression::Bzip2 => 0,
                _ => ends.iter().filter(|end| **end <= cut).count(),
            };
            assert!(
                rows >= readable,
                "{name} cut at {cut}: {rows} rows of {readable}"
            );
            match outcome.error {
                Some(error @ ShardError::Broken { row, .. }) => {
                    assert_eq!(row, rows as i64, "{name} cut at {cut}");
                    let expected =
                        format!("{name} row {row}: expected a whole {compression} stream");
                    assert!(error.to_string().contains(&expected), "{error}");
                }
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_text_file_cut_anywhere_gives_nothing() {
    for (name, compression) in [
        ("a.txt.gz", Compression::Gzip),
        ("a.txt.zst", Compression::Zstd),
        ("a.txt.bz2", Compression::Bzip2),
        ("a.txt.xz", Compression::Xz),
    ] {
        let bytes = compress("some text, and some more text".as_bytes(), compression);
        for cut in 0..bytes.len() {
            let outcome = read_bytes(name, &bytes[..cut], &ReadOptions::default());
            assert!(outcome.records.is_empty(), "{name} cut at {cut}");
            let error = outcome.error.unwrap();
            assert!(
                matches!(error, ShardError::Broken { row: 0, .. }),
                "{name} {cut}: {error:?}"
            );
        }
    }
}

#[test]
fn damage_and_rubbish_after_the_end_are_errors_after_the_rows() {
    let lines = lines();
    for (name, compression) in [
        ("a.jsonl.gz", Compression::Gzip),
        ("a.jsonl.zst", Compression::Zstd),
        ("a.jsonl.bz2", Compression::Bzip2),
        ("a.jsonl.xz", Compression::Xz),
    ] {
        let mut bytes = compress(lines.concat().as_bytes(), compression);
        bytes.extend_from_slice(b"rubbish");
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        assert_eq!(outcome.records.len(), lines.len(), "{name}");
        assert!(
            matches!(outcome.error, Some(ShardError::Broken { row: 40, .. })),
            "{name}"
        );
    }
    // A wrong checksum.
    let mut bytes = compress(lines.concat().as_bytes(), Compression::Gzip);
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let outcome = read_bytes("a.jsonl.gz", &bytes, &ReadOptions::default());
    assert_eq!(outcome.records.len(), lines.len());
    let error = outcome.error.unwrap();
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_file_named_as_compressed_that_is_neither_is_an_error() {
    for name in [
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.jsonl.bz2",
        "a.jsonl.xz",
        "a.txt.gz",
    ] {
        let outcome = read_bytes(name, b"\x00\x01\x02\x03 no stream", &ReadOptions::default());
        assert!(
            matches!(outcome.error, Some(ShardError::Broken { row: 0, .. })),
            "{name}"
        );
    }
}

#[test]
fn bad_rows_are_rejected_and_the_next_row_follows() {
    let bytes = b"{\"text\":\"a\"}\n{\"text\":\n\n{\"content\":\"x\"}\n{\"text\":\"\xff\"}\n[]\n{\"text\":7}\n{\"text\":\"b\"}";
    let outcome = read_bytes("a.jsonl", bytes, &ReadOptions::default());
    assert!(outcome.error.is_none());
    assert_eq!(
        outcome.told(),
        [
            (0, Ok("a")),
            (
                1,
                Err(
                    "not JSON: EOF while parsing a value at column 8 (expected one object per line)"
                )
            ),
            (
                3,
                Err(r#"no field "text"; the line has "content" (name it with text_field)"#)
            ),
            (4, Err("invalid UTF-8 at byte 9 of the line")),
            (5, Err("expected one object per line, got a list")),
            (6, Err(r#"field "text" is a number, expected a string"#)),
            (7, Ok("b")),
        ]
    );
    let outcome = read_bytes("a.txt", b"good \xff", &ReadOptions::default());
    assert_eq!(
        outcome.told(),
        [(0, Err("invalid UTF-8 at byte 5 of the text"))]
    );
    let tokens = ReadOptions {
        content: ContentFields::tokens("input_ids"),
        ..ReadOptions::default()
    };
    let outcome = read_bytes("a.txt", b"good", &tokens);
    let reason = outcome.told()[0].1.unwrap_err();
    assert!(
        reason.contains("got a text file, which has no fields"),
        "{reason}"
    );
}

#[test]
fn what_is_too_large_is_passed_over() {
    let options = ReadOptions {
        max_document_bytes: 1 << 20,
        ..ReadOptions::default()
    };
    let bomb = [
        b"{\"text\":\"before\"}\n".to_vec(),
        vec![b'a'; 256 << 20],
        b"\n{\"text\":\"after\"}".to_vec(),
    ];
    let bomb = bomb.concat();
    let reason = "expected a line of at most 1048576 bytes, got a larger one";
    let rows = [(0, Ok("before")), (1, Err(reason)), (2, Ok("after"))];
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        let bytes = compress(&bomb, compression);
        let outcome = read_bytes("a.jsonl", &bytes, &options);
        assert!(outcome.error.is_none());
        assert_eq!(outcome.told(), rows, "{compression}");
        // Cut inside the large line: it is incomplete, so it is not a row.
        let outcome = read_bytes("a.jsonl", &bytes[..bytes.len() / 2], &options);
        assert_eq!(outcome.told(), rows[..1], "{compression}");
        assert!(matches!(
            outcome.error,
            Some(ShardError::Broken { row: 1, .. })
        ));
        let outcome = read_bytes("a.txt", &bytes, &options);
        let reason = "expected a text file of at most 1048576 bytes, got a larger one";
        assert_eq!(outcome.told(), [(0, Err(reason))], "{compression}");
    }
}

#[test]
fn a_file_that_has_gone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{}").unwrap();
    let shard = rho_formats::find_shards(std::slice::from_ref(&path))
        .unwrap()
        .shards
        .remove(0);
    std::fs::remove_file(&path).unwrap();
    let options = ReadOptions::default();
    let opened = rho_formats::ShardReader::open(&shard, &options);
    let error = crate::support::block_on(opened).err().unwrap();
    assert!(matches!(error, ShardError::Open { .. }), "{error:?}");
}
