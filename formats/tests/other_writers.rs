//! The same documents, written by other programs: `pyarrow` in many ways.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rho_formats::{Compression, Content, ContentFields, Document, ReadOptions, Record};

use crate::support::python::python;
use crate::support::{compress, read};

const WRITE: &str = include_str!("other_writers.py");

/// The folder that the script wrote, once for all tests; `None` without Python.
pub(crate) fn written() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let python = python()?;
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-writers");
            if folder.exists() {
                std::fs::remove_dir_all(&folder).unwrap();
            }
            std::fs::create_dir_all(&folder).unwrap();
            let output = Command::new(&python)
                .args(["-c", WRITE])
                .arg(&folder)
                .env("HF_HOME", folder.join("home"))
                .env("HF_HUB_OFFLINE", "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            Some(folder)
        })
        .clone()
}

const COUNT: usize = 1000;

/// The texts of `other_writers.py`: change both.
fn text(index: usize) -> String {
    let long = if index.is_multiple_of(100) { 5000 } else { 0 };
    format!("text {} é", index % 7).repeat(index % 11) + &"x".repeat(long)
}

fn tokens(index: usize) -> Vec<u32> {
    let tokens = (0..index % 13).map(|token| (index * token) % 50_000);
    tokens.map(|token| token as u32).collect()
}

pub(crate) fn documents(
    ids: bool,
    content: impl Fn(usize) -> Content,
    name: &str,
) -> Vec<Document> {
    let document = |index: usize| Document {
        id: match ids {
            true => format!("document {index}"),
            false => format!("{name}#{index}"),
        },
        row: index as i64,
        content: content(index),
        context: None,
        source: None,
    };
    (0..COUNT).map(document).collect()
}

pub(crate) fn with_tokens(field: &str) -> ReadOptions {
    ReadOptions {
        content: ContentFields::tokens(field),
        ..ReadOptions::default()
    }
}

pub(crate) fn with_text(field: &str) -> ReadOptions {
    ReadOptions {
        content: ContentFields::text(field),
        ..ReadOptions::default()
    }
}

/// Texts, nested texts and token ids of a file with all columns.
pub(crate) fn check(path: &Path) {
    let texts = documents(true, |index| Content::Text(text(index)), "");
    let shown = path.display();
    let read = |options: &ReadOptions| {
        let outcome = read(path, options);
        assert!(outcome.error.is_none(), "{shown}: {:?}", outcome.error);
        outcome.documents()
    };
    assert!(read(&ReadOptions::default()) == texts, "{shown}");
    assert!(read(&with_text("meta.inner.text")) == texts, "{shown}");
    let lists = documents(true, |index| Content::Tokens(tokens(index)), "");
    assert!(read(&with_tokens("input_ids")) == lists, "{shown}");
    let numbered = ReadOptions {
        id_field: "number".to_owned(),
        ..ReadOptions::default()
    };
    assert_eq!(read(&numbered)[999].id, "999", "{shown}");
}

#[test]
fn parquet_with_every_codec_encoding_and_type_of_text() {
    let Some(folder) = written() else { return };
    let mut names = Vec::new();
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"] {
        names.extend(["1.0", "2.0"].map(|version| format!("{codec}-{version}")));
    }
    let others = ["large", "view", "binary", "dictionary"];
    names.extend(others.map(str::to_owned));
    let encodings = ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"];
    names.extend(encodings.map(str::to_owned));
    for name in names {
        check(&folder.join(format!("parquet/{name}.parquet")));
    }
}

#[test]
fn parquet_with_every_type_of_token() {
    let Some(folder) = written() else { return };
    for kind in [
        "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    ] {
        let name = format!("tokens-{kind}.parquet");
        let read = read(
            &folder.join("parquet").join(&name),
            &with_tokens("input_ids"),
        );
        let most = match kind {
            "int8" | "uint8" => 100,
            "int16" => 30_000,
            _ => u32::MAX,
        };
        let limited = |index| {
            tokens(index)
                .into_iter()
                .map(|token| token % most)
                .collect()
        };
        let expected = documents(false, |index| Content::Tokens(limited(index)), &name);
        assert!(read.documents() == expected, "{name}");
    }
}

#[test]
fn nulls_in_parquet_are_rejected_rows() {
    let Some(folder) = written() else { return };
    nulls(&folder.join("parquet/nulls.parquet"), "the file");
}

#[test]
fn arrow_files_and_streams() {
    let Some(folder) = written() else { return };
    for name in [
        "file-None.arrow",
        "file-lz4.arrow",
        "file-zstd.arrow",
        "stream-None.arrow",
        "stream-lz4.arrow",
        "stream-zstd.arrow",
        "large.arrow",
        "large.arrows",
        "view.arrow",
        "view.arrows",
        "binary.arrow",
        "binary.arrows",
        "dictionary.arrow",
        "dictionary.arrows",
        "large_list.arrow",
        "feather.feather",
        "polars.arrow",
    ] {
        let path = folder.join("arrow").join(name);
        check(&path);
        // Files of polars have no stream inside.
        if name.starts_with("polars") {
            continue;
        }
        // Compressed, so it is read as a stream without random access.
        let bytes = std::fs::read(&path).unwrap();
        let compressed = compress(&bytes, Compression::Gzip);
        let copy = folder.join("arrow").join(format!("copy-of-{name}.gz"));
        std::fs::write(&copy, compressed).unwrap();
        check(&copy);
    }
    nulls(&folder.join("arrow/nulls.arrow"), "the file");
    let fixed = read(&folder.join("arrow/fixed.arrow"), &with_tokens("input_ids"));
    let content = |index| Content::Tokens(vec![index as u32, 1, 2]);
    assert!(fixed.documents() == documents(false, content, "fixed.arrow"));
}

#[test]
fn tar_files_of_samples() {
    let Some(folder) = written() else { return };
    check(&folder.join("tar/json.tar"));
    for name in ["text.tar", "text.tar.gz"] {
        let read = read(&folder.join("tar").join(name), &ReadOptions::default());
        let mut expected = documents(true, |index| Content::Text(text(index)), "");
        for document in &mut expected {
            document.id = document.id.replace(' ', "/");
        }
        assert!(read.documents() == expected, "{name}");
    }
}

/// Checks the rows of a file with nulls everywhere.
pub(crate) fn nulls(path: &Path, place: &str) {
    let null = Err("field \"text\" is null, expected a string");
    let outcome = read(path, &ReadOptions::default());
    let invalid = Err("invalid UTF-8 at byte 0 of field \"text\"");
    let expected = [Ok("a"), null, Ok(""), Ok("b"), invalid, null];
    let expected: Vec<_> = (0..).zip(expected).collect();
    assert_eq!(outcome.told(), expected);
    let ids = outcome.records.iter().filter_map(|record| match record {
        Record::Document(document) => Some(document.id.as_str()),
        Record::Rejected(_, _) => None,
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["1", "-3", "4"]);

    let outcome = read(path, &with_tokens("input_ids"));
    let told: Vec<_> = outcome.told().into_iter().map(|(_, told)| told).collect();
    let range = "expected an integer from 0 to 2147483647";
    let item = |index, got| format!("field \"input_ids\": item {index} is {got}, {range}");
    let (one, two, three) = (item(1, "null"), item(0, "-1"), item(0, "2147483648"));
    let expected = [
        Ok("tokens"),
        Err("field \"input_ids\" is null, expected a list of token ids"),
        Ok("tokens"),
        Err(one.as_str()),
        Err(two.as_str()),
        Err(three.as_str()),
    ];
    assert_eq!(told, expected);

    let outcome = read(path, &with_text("meta.text"));
    let null = Err("field \"meta.text\" is null, expected a string");
    let expected = [Ok("x"), null, null, Ok("y"), null, null];
    let expected: Vec<_> = (0..).zip(expected).collect();
    assert_eq!(outcome.told(), expected);

    for (field, reason) in [
        ("id", "field \"id\" is a number, expected a string"),
        ("meta", "field \"meta\" is an object, expected a string"),
        (
            "input_ids",
            "field \"input_ids\" is a list, expected a string",
        ),
        (
            "content",
            &format!(
                "no field \"content\"; {place} has \"text\", \"input_ids\", \"id\", \"meta\" (name it with text_field)"
            ),
        ),
    ] {
        let outcome = read(path, &with_text(field));
        assert_eq!(outcome.told().len(), 6);
        assert_eq!(outcome.told()[5], (5, Err(reason)));
    }
}
