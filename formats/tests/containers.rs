//! A corpus yields the same documents in every container.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rho_formats::{Compression, Content, ReadOptions};

use crate::support::{compress, read_bytes};

const LINES: &str = "{\"id\":\"a\",\"text\":\"one\\n\"}\n\n{\"id\":5,\"text\":\"zw\u{f6}lf\"}\n  \n{\"text\":\"last\"}";

fn expected(name: &str) -> Vec<(String, i64, String)> {
    vec![
        ("a".to_owned(), 0, "one\n".to_owned()),
        ("5".to_owned(), 2, "zw\u{f6}lf".to_owned()),
        (format!("{name}#4"), 4, "last".to_owned()),
    ]
}

fn read(name: &str, bytes: &[u8]) -> Vec<(String, i64, String)> {
    let outcome = read_bytes(name, bytes, &ReadOptions::default());
    assert_eq!(outcome.bytes_read, bytes.len() as u64, "{name}");
    let documents = outcome.documents().into_iter();
    documents
        .map(|document| match document.content {
            Content::Text(text) => (document.id, document.row, text),
            _ => panic!("expected text"),
        })
        .collect()
}

#[test]
fn json_lines_in_every_container() {
    let gzip = |text: &str| compress(text.as_bytes(), Compression::Gzip);
    let zstd = |text: &str| compress(text.as_bytes(), Compression::Zstd);
    let bzip2 = |text: &str| compress(text.as_bytes(), Compression::Bzip2);
    let xz = |text: &str| compress(text.as_bytes(), Compression::Xz);
    // Split inside a line, so that a document spans two members.
    let (head, tail) = LINES.split_at(40);
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0xyz".to_vec(), zstd(LINES)].concat();
    for (name, bytes) in [
        ("a.jsonl", LINES.into()),
        ("a.json", LINES.into()),
        ("a.NDJSON", LINES.into()),
        ("crlf.jsonl", LINES.replace('\n', "\r\n").into()),
        ("mark.jsonl", format!("\u{feff}{LINES}").into()),
        ("newline.jsonl", format!("{LINES}\n").into()),
        ("a.jsonl.gz", gzip(LINES)),
        ("a.jsonl.zst", zstd(LINES)),
        ("a.jsonl.bz2", bzip2(LINES)),
        ("a.jsonl.xz", xz(LINES)),
        (
            "streams.jsonl.bz2",
            [bzip2(head), bzip2(""), bzip2(tail)].concat(),
        ),
        ("streams.jsonl.xz", [xz(head), xz(""), xz(tail)].concat()),
        ("named_plain_bzip2.json", bzip2(LINES)),
        ("named_gzip_xz.json.gz", xz(LINES)),
        ("mark.jsonl.gz", gzip(&format!("\u{feff}{LINES}"))),
        (
            "members.jsonl.gz",
            [gzip(head), gzip(""), gzip(tail)].concat(),
        ),
        (
            "frames.jsonl.zst",
            [zstd(head), zstd(""), zstd(tail)].concat(),
        ),
        ("skippable.jsonl.zst", skippable),
        // The content takes precedence over the name.
        ("named_plain.jsonl", gzip(LINES)),
        ("named_plain.json", zstd(LINES)),
        ("named_gzip.jsonl.gz", zstd(LINES)),
        ("named_zstd.jsonl.zst", gzip(LINES)),
        ("decompressed_on_the_way.jsonl.gz", LINES.into()),
    ] {
        assert_eq!(read(name, &bytes), expected(name), "{name}");
    }
}

#[test]
fn a_text_file_is_one_document() {
    let text = "one\r\n\u{feff}two\n\n";
    let bytes = format!("\u{feff}{text}").into_bytes();
    for (name, bytes) in [
        ("a.txt", bytes.clone()),
        ("a.txt.gz", compress(&bytes, Compression::Gzip)),
        ("a.txt.zst", compress(&bytes, Compression::Zstd)),
    ] {
        assert_eq!(
            read(name, &bytes),
            [(format!("{name}#0"), 0, text.to_owned())]
        );
    }
    assert_eq!(
        read("empty.txt", b""),
        [("empty.txt#0".to_owned(), 0, String::new())]
    );
}

#[test]
fn a_text_file_may_hold_a_document_per_line() {
    let options = ReadOptions {
        lines: true,
        max_document_bytes: 20,
        ..ReadOptions::default()
    };
    let bytes = b"\xef\xbb\xbfone\r\n \n{\"text\":1}\n\xff\na line of more than twenty bytes\nlast";
    for (name, bytes) in [
        ("a.txt", bytes.to_vec()),
        ("a.txt.xz", compress(bytes, Compression::Xz)),
    ] {
        let outcome = read_bytes(name, &bytes, &options);
        assert!(outcome.error.is_none());
        assert_eq!(
            outcome.told(),
            [
                (0, Ok("one")),
                (2, Ok("{\"text\":1}")),
                (3, Err("invalid UTF-8 at byte 0 of the line")),
                (
                    4,
                    Err("expected a line of at most 20 bytes, got a larger one")
                ),
                (5, Ok("last")),
            ]
        );
    }
}

#[test]
fn files_without_rows_hold_no_documents() {
    for (name, bytes) in [
        ("a.jsonl", Vec::new()),
        ("blank.jsonl", b"\xef\xbb\xbf\n \r\n\t\n".to_vec()),
        ("a.jsonl.gz", compress(b"", Compression::Gzip)),
        ("a.jsonl.zst", compress(b"", Compression::Zstd)),
    ] {
        assert_eq!(read(name, &bytes), [], "{name}");
    }
}

#[test]
fn a_line_of_fifty_megabytes() {
    let text = "lorem ipsum ".repeat(50 * (1 << 20) / 12);
    let lines = format!("{{\"text\":\"{text}\"}}\n{{\"text\":\"after\"}}\n");
    for (name, bytes) in [
        ("a.jsonl", lines.as_bytes().to_vec()),
        ("a.jsonl.zst", compress(lines.as_bytes(), Compression::Zstd)),
    ] {
        let read = read(name, &bytes);
        assert_eq!(read.len(), 2);
        assert!(read[0].2 == text, "{name}: the text differs");
        assert_eq!(read[1].2, "after");
    }
}

#[test]
fn any_texts_come_back() {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let texts = prop::collection::vec(any::<String>(), 0..20);
    TestRunner::new_with_rng(config, rng)
        .run(&texts, |texts| {
            let line =
                |text: &String| format!("{}\n", serde_json::json!({"text": text, "id": text}));
            let lines: String = texts.iter().map(line).collect();
            for (name, compression) in [
                ("a.jsonl", Compression::None),
                ("a.jsonl.gz", Compression::Gzip),
                ("a.jsonl.zst", Compression::Zstd),
            ] {
                let read = read(name, &compress(lines.as_bytes(), compression));
                let numbered = texts.iter().zip(0..);
                let expected: Vec<_> = numbered
                    .map(|(text, row)| (text.clone(), row, text.clone()))
                    .collect();
                prop_assert_eq!(&read, &expected);
            }
            Ok(())
        })
        .unwrap();
}
