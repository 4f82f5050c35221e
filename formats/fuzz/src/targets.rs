//! Reads the bytes of an input, and checks the outcome.
//!
//! A reader may report that a row or the file is bad, in any words. It may not panic, not even if a thread of its own
//! catches that; not return to an earlier row; not yield a document above the size limit; not leave its folder; and not
//! hold more memory than [`Target::most`].

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rho_formats::{
    Compression, Content, ContentFields, Kind, Location, Numbers, ReadOptions, Record, Shard,
    ShardReader, find_shards, read_masks,
};

use tokio::runtime::{Builder, Runtime};

use crate::memory::most_held;

/// The value of `--max-document-bytes` here.
const DOCUMENT: usize = 64 << 10;

/// Rows to read at most: a file may claim millions of rows that are all rejected.
const ROWS: usize = 5_000;

/// One way to read bytes.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Bytes that it may hold at once, beside sixteen times its input.
    most: usize,
    /// Reads the bytes; the folder is empty.
    read: fn(&Path, &[u8]),
}

/// All targets.
pub(crate) const ALL: [Target; 10] = [
    Target {
        name: "json_lines",
        most: 4 << 20,
        read: |folder, bytes| read(folder, "a.jsonl", bytes, &every_content()),
    },
    Target {
        name: "text",
        most: 4 << 20,
        read: |folder, bytes| {
            let lines = ReadOptions {
                lines: true,
                ..text()
            };
            read(folder, "a.txt", bytes, &[text(), lines, tokens()]);
        },
    },
    Target {
        name: "tar",
        most: 8 << 20,
        read: |folder, bytes| {
            read(folder, "a.tar", bytes, &[text(), tokens(), messages()]);
            read(
                folder,
                "a.tar",
                &with_checksums(bytes),
                &[text(), tokens(), messages()],
            );
        },
    },
    Target {
        name: "parquet",
        most: 32 << 20,
        read: |folder, bytes| read(folder, "a.parquet", bytes, &every_content()),
    },
    Target {
        name: "arrow_file",
        most: 32 << 20,
        read: |folder, bytes| read(folder, "a.arrow", bytes, &every_content()),
    },
    Target {
        name: "arrow_stream",
        most: 32 << 20,
        read: |folder, bytes| read(folder, "a.arrows", bytes, &every_content()),
    },
    Target {
        name: "compressed",
        most: 64 << 20,
        read: compressed,
    },
    Target {
        name: "dataset",
        most: 4 << 20,
        read: dataset,
    },
    Target {
        name: "arguments",
        most: 256 << 20,
        read: arguments,
    },
    Target {
        name: "masks",
        most: 32 << 20,
        read: |folder, bytes| {
            let path = folder.join("a.arrow");
            put(&path, bytes);
            masks(&path);
        },
    },
];

impl Target {
    /// Reads `bytes`.
    ///
    /// # Panics
    /// If the reader broke one of the rules above.
    pub(crate) fn try_bytes(&self, bytes: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let held = most_held(|| (self.read)(folder.path(), bytes));
        let most = self.most + 16 * bytes.len();
        assert!(
            held <= most,
            "{}: {held} bytes were held at once, expected at most {most}",
            self.name
        );
    }
}

fn text() -> ReadOptions {
    ReadOptions {
        max_document_bytes: DOCUMENT,
        ..ReadOptions::default()
    }
}

fn tokens() -> ReadOptions {
    ReadOptions {
        content: ContentFields::tokens("input_ids"),
        ..text()
    }
}

fn numbers() -> ReadOptions {
    ReadOptions {
        content: ContentFields::Numbers {
            numbers: "input_ids".to_owned(),
        },
        source_field: Some("id".to_owned()),
        ..text()
    }
}

fn nested() -> ReadOptions {
    ReadOptions {
        content: ContentFields::text("meta.inner.text"),
        id_field: "number".to_owned(),
        ..text()
    }
}

fn messages() -> ReadOptions {
    let content = ContentFields::Messages {
        messages: "messages".to_owned(),
        tools: Some("tools".to_owned()),
    };
    ReadOptions { content, ..text() }
}

fn every_content() -> Vec<ReadOptions> {
    let targets = ContentFields::Tokens {
        tokens: "input_ids".to_owned(),
        targets: Some("targets".to_owned()),
    };
    let spans = ContentFields::Spans {
        text: "text".to_owned(),
        spans: "spans".to_owned(),
    };
    let completion = ContentFields::Completion {
        prompt: "text".to_owned(),
        completion: "id".to_owned(),
    };
    let others = [targets, spans, completion].map(|content| ReadOptions {
        content,
        context_field: Some("text".to_owned()),
        ..text()
    });
    let mut all = vec![text(), tokens(), nested(), messages(), numbers()];
    all.extend(others);
    all
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// Reads a file of this name with each of these options.
fn read(folder: &Path, name: &str, bytes: &[u8], ways: &[ReadOptions]) {
    let path = folder.join(name);
    put(&path, bytes);
    let (kind, compression) = Kind::of_name(name).unwrap();
    let shard = Shard {
        documents: None,
        path,
        place: Location::File,
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        kind,
        compression,
    };
    for options in ways {
        read_shard(&shard, options);
    }
}

fn read_shard(shard: &Shard, options: &ReadOptions) {
    // One for all inputs: its threads take longer to start than an input takes to read.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || Builder::new_current_thread().build().unwrap();
    let runtime = RUNTIME.get_or_init(start);
    runtime.block_on(async {
        let mut next = 0;
        let error = match ShardReader::open(shard, options).await {
            Err(error) => Some(error),
            Ok(mut reader) => loop {
                match reader.next().await {
                    Ok(Some(record)) if next as usize > ROWS => {
                        drop(record);
                        break None;
                    }
                    Ok(Some(record)) => next = row_after(&record, next, options),
                    Ok(None) => break None,
                    Err(error) => {
                        assert!(error.row() >= next, "{error} after row {next}");
                        assert!(
                            matches!(reader.next().await, Ok(None)),
                            "rows after {error}"
                        );
                        break Some(error);
                    }
                }
            },
        };
        if let Some(error) = error {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            assert!(!cause.is_empty(), "{error} without a cause");
            assert!(
                !cause.contains("its decoder panicked"),
                "a panic inside {error}"
            );
        }
    });
}

/// The row after that of `record`, which must not be before `next`.
fn row_after(record: &Record, next: i64, options: &ReadOptions) -> i64 {
    let row = match record {
        Record::Rejected(rejection, _) => {
            assert!(!rejection.reason.is_empty());
            rejection.row
        }
        Record::Document(document) => {
            let bytes = match &document.content {
                Content::Text(text) => text.len(),
                Content::Tokens(tokens) => {
                    assert!(tokens.iter().all(|token| i32::try_from(*token).is_ok()));
                    assert!(matches!(options.content, ContentFields::Tokens { .. }));
                    0
                }
                Content::TargetedTokens { tokens, target } => {
                    assert_eq!(tokens.len(), target.len());
                    0
                }
                Content::Messages { messages, tools } => {
                    for list in [Some(messages), tools.as_ref()].into_iter().flatten() {
                        assert!(list.starts_with('[') && list.ends_with(']'), "{list}");
                    }
                    let tools = tools.as_ref().map_or(0, String::len);
                    messages.len().max(tools)
                }
                Content::Completion { prompt, completion } => prompt.len().max(completion.len()),
                Content::Spans { text, context } => {
                    let mut from = 0;
                    for span in context {
                        assert!(from <= span.start && span.start < span.end, "{context:?}");
                        from = span.end;
                    }
                    assert!(from <= text.chars().count(), "{context:?}");
                    text.len()
                }
                Content::Numbers(numbers) => {
                    let each = match numbers {
                        Numbers::Null => &[][..],
                        Numbers::One(number) => &[*number][..],
                        Numbers::Each(numbers) => numbers,
                    };
                    assert!(each.iter().all(|number| !number.is_infinite()));
                    assert!(matches!(options.content, ContentFields::Numbers { .. }));
                    0
                }
            };
            assert!(bytes <= DOCUMENT, "a document of {bytes} bytes");
            document.row
        }
    };
    assert!(row >= next, "row {row} where {next} was expected");
    row + 1
}

/// A tar file with corrected header checksums: otherwise little of a changed file would be read.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            block[CHECKSUM].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

/// The first byte selects the name of the rest.
fn compressed(folder: &Path, bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let kind = ["jsonl", "txt", "tar", "arrow", "parquet"][usize::from(*first) / 4 % 5];
    let codec = ["gz", "zst", "bz2", "xz"][usize::from(*first) % 4];
    let name = format!("a.{kind}.{codec}");
    assert!(matches!(Kind::of_name(&name), Some((_, codec)) if codec != Compression::None));
    read(folder, &name, bytes, &[text(), tokens()]);
}

/// The first byte selects the description that the rest is: of a dataset, of its splits, or of masks.
fn dataset(folder: &Path, bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let inner = folder.join("train");
    fs::create_dir(&inner).unwrap();
    // Outside the described folder.
    put(&folder.join("outside.arrow"), b"");
    put(&inner.join("a.arrow"), b"");
    put(&inner.join("b.bin"), b"");
    let described = inner.join("state.json");
    match first % 3 {
        0 => {
            put(&described, bytes);
            inside(std::slice::from_ref(&inner), &inner);
        }
        1 => {
            put(&described, br#"{"_data_files":[{"filename":"a.arrow"}]}"#);
            let all = folder.join("all");
            fs::create_dir(&all).unwrap();
            fs::rename(&inner, all.join("train")).unwrap();
            put(&all.join("dataset_dict.json"), bytes);
            inside(std::slice::from_ref(&all), &all);
        }
        _ => {
            put(&described, bytes);
            masks(&inner);
        }
    }
}

/// The bytes are the lines of a list, each a name in the folder. Characters that could lead elsewhere are replaced
/// first.
fn arguments(folder: &Path, bytes: &[u8]) {
    let corpus = folder.join("corpus");
    fs::create_dir(&corpus).unwrap();
    for name in [
        "a0.jsonl",
        "a1.jsonl",
        "a10.txt",
        "ab.tar.gz",
        "a[b].arrow",
        "a.bin",
    ] {
        put(&corpus.join(name), b"{}");
    }
    let lines = String::from_utf8_lossy(bytes);
    let lines = lines.lines().map(|line| {
        let line = line.replace(['/', '\\', '\0'], "_");
        format!("{}/a{line}\n", corpus.display())
    });
    let list = folder.join("list.txt");
    put(&list, lines.collect::<String>().as_bytes());
    let mut argument = std::ffi::OsString::from("@");
    argument.push(&list);
    inside(&[argument.into()], &corpus);
}

/// Checks that the arguments are refused or name only files in the folder.
fn inside(arguments: &[PathBuf], folder: &Path) {
    let folder = fs::canonicalize(folder).unwrap();
    match find_shards(arguments) {
        Ok(found) => {
            for shard in found.shards {
                let path = fs::canonicalize(&shard.path).unwrap();
                assert!(path.starts_with(&folder), "{}", path.display());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn masks(path: &Path) {
    match read_masks(path) {
        Ok(rows) => {
            for row in rows.take(ROWS) {
                let row = row.map_err(|error| error.to_string());
                assert!(!matches!(row, Err(error) if error.is_empty()));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
