//! What files of others have and standards do not: padding, large windows, JSON that is not JSON lines, words that are
//! no JSON, pointers in the place of files.

use rho_formats::{
    Compression, Content, ContentFields, ReadOptions, Shard, ShardError, ShardReader,
    UnsupportedForm, find_shards,
};

use crate::support::{block_on, compress, read_bytes};

const STREAMS: [(&str, Compression); 4] = [
    ("a.jsonl.gz", Compression::Gzip),
    ("a.jsonl.zst", Compression::Zstd),
    ("a.jsonl.bz2", Compression::Bzip2),
    ("a.jsonl.xz", Compression::Xz),
];

#[test]
fn zeros_behind_a_stream_are_passed_over() {
    // As `gzip -t` and Python's gzip module: no complaint, and a stream behind the zeros is read.
    let (one, two) = ("{\"text\":\"1\"}\n", "{\"text\":\"2\"}\n");
    for (name, compression) in STREAMS {
        let stream = |text: &str| compress(text.as_bytes(), compression);
        for zeros in [1, 3, 4, 512, 300_000] {
            let zeros = vec![0; zeros];
            let bytes = [stream(one), zeros.clone(), stream(two), zeros.clone()].concat();
            let outcome = read_bytes(name, &bytes, &ReadOptions::default());
            assert!(outcome.error.is_none(), "{name}: {:?}", outcome.error);
            assert_eq!(outcome.told(), [(0, Ok("1")), (1, Ok("2"))], "{name}");
            assert_eq!(outcome.bytes_read, bytes.len() as u64);
            let bytes = [stream(one), zeros, b"rubbish".to_vec()].concat();
            let outcome = read_bytes(name, &bytes, &ReadOptions::default());
            assert_eq!(outcome.told(), [(0, Ok("1"))], "{name}");
            assert!(
                matches!(outcome.error, Some(ShardError::Broken { row: 1, .. })),
                "{name}: {:?}",
                outcome.error
            );
        }
    }
}

/// A zstd frame of one raw block, with a window of `(8 + eighths) << exponent - 3` bytes.
fn frame(exponent: u8, eighths: u8, content: &[u8]) -> Vec<u8> {
    let window = (exponent - 10) << 3 | eighths;
    let block = ((content.len() as u32) << 3 | 1).to_le_bytes();
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, window];
    [&head[..], &block[..3], content].concat()
}

fn shard(folder: &std::path::Path, name: &str, bytes: &[u8]) -> Shard {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    find_shards(&[path]).unwrap().shards.remove(0)
}

#[test]
fn zstd_windows_of_up_to_two_gibibytes_are_read_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let line = b"{\"text\":\"1\"}\n";
    for (exponent, eighths, reported) in [
        (20, 0, None),
        (27, 0, None),
        (27, 1, Some((128 << 20) + (16 << 20))),
        (31, 0, Some(2 << 30)),
    ] {
        let bytes = frame(exponent, eighths, line);
        let outcome = read_bytes("a.jsonl.zst", &bytes, &ReadOptions::default());
        assert!(outcome.error.is_none(), "{exponent}: {:?}", outcome.error);
        assert_eq!(outcome.told(), [(0, Ok("1"))], "{exponent}");
        let shard = shard(folder.path(), "a.jsonl.zst", &bytes);
        let reader = block_on(ShardReader::open(&shard, &ReadOptions::default())).unwrap();
        assert_eq!(reader.large_window(), reported, "{exponent}");
    }
    for window in [frame(31, 1, line), frame(40, 7, line)] {
        // Also in a later frame.
        for (before, rows) in [(Vec::new(), 0), (frame(20, 0, line), 1)] {
            let bytes = [before, window.clone()].concat();
            let outcome = read_bytes("a.jsonl.zst", &bytes, &ReadOptions::default());
            assert_eq!(outcome.records.len(), rows);
            let Some(ShardError::Unsupported { row, source, .. }) = outcome.error else {
                panic!("{:?}", outcome.error);
            };
            assert_eq!((row, source), (rows as i64, UnsupportedForm::ZstdWindow));
        }
    }
}

#[test]
fn an_array_is_read_as_its_objects() {
    let array = "\u{feff} [ {\"id\":\"a\",\"text\":\"1\"},\n\n{\n  \"text\" : \"2, ]}\"\n} , 5, {\"content\":0},{\"text\":NaN},\n{\"text\":\"3\"} ]\n \n";
    let rows = [
        (0, Ok("1")),
        (1, Ok("2, ]}")),
        (2, Err("expected an array of objects, got a number")),
        (
            3,
            Err("no field \"text\"; the item has \"content\" (name it with text_field)"),
        ),
        (4, Err("field \"text\" is a number, expected a string")),
        (5, Ok("3")),
    ];
    for (name, bytes) in [
        ("a.json", array.as_bytes().to_vec()),
        ("a.jsonl", array.as_bytes().to_vec()),
        ("a.json.zst", compress(array.as_bytes(), Compression::Zstd)),
        // The content tells.
        ("without-ending", array.as_bytes().to_vec()),
        ("a.parquet", array.as_bytes().to_vec()),
    ] {
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        assert!(outcome.error.is_none(), "{name}: {:?}", outcome.error);
        assert_eq!(outcome.told(), rows, "{name}");
    }
    // Text stays text.
    let outcome = read_bytes("a.txt", b"[{\"text\":\"1\"}]", &ReadOptions::default());
    assert_eq!(outcome.told(), [(0, Ok("[{\"text\":\"1\"}]"))]);
    let outcome = read_bytes("a.json", b"[ ]", &ReadOptions::default());
    assert!(outcome.error.is_none() && outcome.records.is_empty());
    // One that is cut gives the objects before the cut.
    let outcome = read_bytes(
        "a.json",
        b"[{\"text\":\"1\"},{\"text\":\"2",
        &ReadOptions::default(),
    );
    assert_eq!(outcome.told(), [(0, Ok("1"))]);
    assert!(matches!(
        outcome.error,
        Some(ShardError::Damaged { row: 1, .. })
    ));
}

#[test]
fn lines_may_follow_an_array() {
    // A list of objects per line is no array of the whole file, and nothing of it is lost.
    let bytes = b"[{\"text\":\"1\"}]\n[{\"text\":\"2\"}]\n{\"text\":\"3\"}\n";
    let outcome = read_bytes("a.jsonl", bytes, &ReadOptions::default());
    assert!(outcome.error.is_none());
    let list = Err("expected one object per line, got a list");
    let told: Vec<_> = outcome.told().into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, [Ok("1"), list, Ok("3")]);
}

#[test]
fn an_array_is_read_in_bounded_memory() {
    let options = ReadOptions {
        max_document_bytes: 1 << 16,
        ..ReadOptions::default()
    };
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(8 << 20));
    let array = format!(
        "[{{\"text\":\"1\"}},{large},{}{{\"text\":\"3\"}}]",
        " ".repeat(1 << 20)
    );
    let bytes = compress(array.as_bytes(), Compression::Zstd);
    let outcome = read_bytes("a.json.zst", &bytes, &options);
    assert!(outcome.error.is_none());
    let reason = "expected an item of at most 65536 bytes, got a larger one";
    assert_eq!(
        outcome.told(),
        [(0, Ok("1")), (1, Err(reason)), (2, Ok("3"))]
    );
}

#[test]
fn pretty_printed_objects_are_said_once() {
    let object = |text: &str| {
        let value = serde_json::json!({"id": 1, "text": text, "meta": {"a": [1, {}], "b": "}"}});
        serde_json::to_string_pretty(&value).unwrap()
    };
    let many = [object("1"), object("2"), object("3")].join("\n");
    let strings = serde_json::to_string_pretty(&["a", "b"]).unwrap();
    for (bytes, lines) in [
        (object("1"), 11),
        (many.clone(), 11),
        (many.replace('\n', "\r\n"), 11),
        (object("1").replacen("1,", "\n\n NaN,", 1), 13),
        (strings, 4),
    ] {
        let outcome = read_bytes("a.json", bytes.as_bytes(), &ReadOptions::default());
        assert!(outcome.error.is_none());
        let reason = format!(
            "pretty-printed JSON: the first value takes {lines} lines, expected one object per line (jq -c . writes it so)"
        );
        assert_eq!(outcome.told(), [(0, Err(&*reason))], "{bytes}");
    }
    // What only looks like it is read line by line.
    for (bytes, rows) in [
        ("{\"text\":\n\n{\"text\":\"2\"}\n{\"text\":\"3\"}\n", 3),
        ("{\n\"text\"\n}\n{\"text\":\"3\"}\n", 4),
        ("{\"text\":\"cut\n{\"text\":\"2\"}\n", 2),
        ("{\"text\":\"1\"}\n{\n\"text\":\"2\"\n}\n", 4),
    ] {
        let outcome = read_bytes("a.json", bytes.as_bytes(), &ReadOptions::default());
        assert!(outcome.error.is_none());
        assert_eq!(outcome.records.len(), rows, "{:?}", outcome.told());
        let last = outcome
            .told()
            .iter()
            .filter(|(_, told)| told.is_ok())
            .count();
        assert!(last > 0, "{:?}", outcome.told());
    }
}

#[test]
fn words_of_other_fields_do_not_matter() {
    // Python: json.loads accepts all of these lines.
    let lines = [
        r#"{"id":"n","text":"1","score":NaN,"ppl":[Infinity,-Infinity],"NaN":"NaN"}"#,
        r#"{"text":"2","meta":"\ud800"}"#,
        r#"{"\ud800":1,"text":"3"}"#,
        r#"{"text":"4 \ud83d\ude00","\udc00\ud83d\ude00":NaN}"#,
        r#"{"text":NaN}"#,
        r#"{"text":"broken \ud83d emoji"}"#,
        r#"{"text":"6","score":nan}"#,
    ];
    let outcome = read_bytes(
        "a.jsonl",
        lines.join("\n").as_bytes(),
        &ReadOptions::default(),
    );
    assert!(outcome.error.is_none());
    assert_eq!(
        outcome.told(),
        [
            (0, Ok("1")),
            (1, Ok("2")),
            (2, Ok("3")),
            (3, Ok("4 \u{1f600}")),
            (4, Err("field \"text\" is a number, expected a string")),
            (
                5,
                Err("field \"text\" is not a valid string: \\ud83d is half of a surrogate pair")
            ),
            (
                6,
                Err("not JSON: expected ident at column 22 (expected one object per line)")
            ),
        ]
    );
    let options = ReadOptions {
        content: ContentFields::tokens("ids"),
        ..ReadOptions::default()
    };
    let bytes = b"{\"ids\":[1,2],\"loss\":NaN}\n{\"ids\":[1,NaN]}";
    let outcome = read_bytes("a.jsonl", bytes, &options);
    let reason =
        "field \"ids\": item 1 is not a finite number, expected an integer from 0 to 2147483647";
    assert_eq!(outcome.told(), [(0, Ok("tokens")), (1, Err(reason))]);
    let member = read_bytes("a.jsonl", b"{\"ids\":[3],\"x\":Infinity}", &options).documents();
    assert_eq!(member[0].content, Content::Tokens(vec![3]));
}

#[test]
fn many_blank_lines_are_passed_over_and_said() {
    let many = (1 << 20) + 5;
    let blank = [
        "\n".repeat(many),
        "{\"text\":\"1\"}\n".to_owned(),
        " \t\r\n".repeat(9),
    ];
    let bytes = [blank.concat(), blank.concat()].concat();
    for lines in [false, true] {
        let options = ReadOptions {
            lines,
            ..ReadOptions::default()
        };
        let (name, expected, text) = match lines {
            false => ("a.jsonl.gz", "one object per line", "1"),
            true => ("a.txt.gz", "lines of text", "{\"text\":\"1\"}"),
        };
        let bytes = compress(bytes.as_bytes(), Compression::Gzip);
        let outcome = read_bytes(name, &bytes, &options);
        assert!(outcome.error.is_none());
        let said = |count| format!("expected {expected}, got {count} blank lines in a row");
        let (first, second) = (said(many), said(many + 9));
        let row = many as i64;
        let next = 2 * row + 10;
        assert_eq!(
            outcome.told(),
            [
                (row - 1, Err(&*first)),
                (row, Ok(text)),
                (next - 1, Err(&*second)),
                (next, Ok(text)),
            ]
        );
    }
}

#[test]
fn a_pointer_is_no_file() {
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "0".repeat(64)
    );
    for name in [
        "a.txt",
        "a.jsonl",
        "a.json.gz",
        "a.parquet",
        "a.arrow",
        "a.tar",
        "a.feather",
    ] {
        let outcome = read_bytes(name, pointer.as_bytes(), &ReadOptions::default());
        assert!(outcome.records.is_empty(), "{name}");
        let Some(ShardError::Open { source, .. }) = outcome.error else {
            panic!("{name}: {:?}", outcome.error);
        };
        let said = "expected the content of the file, got a Git LFS pointer to it";
        assert_eq!(source.to_string(), said, "{name}");
    }
}

#[test]
fn the_first_version_of_feather_is_refused_by_name() {
    let bytes = b"FEA1\0\0\0\0\0\0\0\0\x02\0\0\0 and more FEA1";
    for (name, bytes) in [
        ("a.feather", bytes.to_vec()),
        ("a.arrow", bytes.to_vec()),
        ("without-ending", bytes.to_vec()),
        ("a.feather.gz", compress(bytes, Compression::Gzip)),
    ] {
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        let Some(ShardError::Unsupported { source, .. }) = outcome.error else {
            panic!("{name}: {:?}", outcome.error);
        };
        assert_eq!(source, UnsupportedForm::Feather1, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.parquet", "a.arrow", "a.tar"] {
        let shard = shard(folder.path(), name, b"");
        std::fs::remove_file(&shard.path).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(&shard.path)
            .status();
        assert!(made.unwrap().success());
        let opened = block_on(ShardReader::open(&shard, &ReadOptions::default()));
        let Some(ShardError::Open { source, .. }) = opened.err() else {
            panic!("{name} was opened");
        };
        assert_eq!(source.to_string(), "expected a file, got a FIFO", "{name}");
    }
}
