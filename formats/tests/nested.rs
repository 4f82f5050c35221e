//! Conversations, targets and spans in columns that other programs wrote. What the columns hold is what `pyarrow` reads.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rho_formats::{Content, ContentFields, ReadOptions, Record};

use crate::support::python::python;
use crate::support::{read, read_bytes};

const WRITE: &str = include_str!("nested.py");

/// The folder that the script wrote, once for all tests; `None` without Python.
fn written() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let python = python()?;
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nested");
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

fn messages(field: &str) -> ReadOptions {
    ReadOptions {
        content: ContentFields::Messages {
            messages: field.to_owned(),
            tools: Some("tools".to_owned()),
        },
        ..ReadOptions::default()
    }
}

/// Each row's messages and tools, or the reason why it has none.
type Row = Result<(String, Option<String>), String>;

fn rows(path: &Path, options: &ReadOptions) -> Vec<Row> {
    let outcome = read(path, options);
    assert!(
        outcome.error.is_none(),
        "{}: {:?}",
        path.display(),
        outcome.error
    );
    let row = |record| match record {
        Record::Rejected(rejection, _) => Err(rejection.reason),
        Record::Document(document) => match document.content {
            Content::Messages { messages, tools } => Ok((messages, tools)),
            other => panic!("{other:?}"),
        },
    };
    outcome.records.into_iter().map(row).collect()
}

/// What `pyarrow` read: rows of `{"messages":...,"tools":...}`, either of which may be missing.
fn expected(folder: &Path) -> Vec<Row> {
    let lines = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    let row = |line: &str| {
        let line = line.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        let (messages, tools) = match line.strip_prefix("\"messages\":") {
            Some(rest) => match rest.split_once(",\"tools\":") {
                Some((messages, tools)) => (Some(messages), Some(tools)),
                None => (Some(rest), None),
            },
            None => (None, line.strip_prefix("\"tools\":")),
        };
        match messages {
            Some(messages) => Ok((messages.to_owned(), tools.map(str::to_owned))),
            None => Err("field \"messages\" is null, expected a list of messages".to_owned()),
        }
    };
    lines.lines().map(row).collect()
}

#[test]
fn messages_of_every_writer_are_those_that_pyarrow_reads() {
    let Some(folder) = written() else { return };
    let expected = expected(&folder);
    let found = |rows: &[Row]| rows.iter().filter(|row| row.is_ok()).count();
    assert!((200..400).contains(&found(&expected)));
    let mut names = Vec::new();
    for codec in ["none", "snappy", "zstd", "lz4"] {
        names.extend(["1.0", "2.0"].map(|version| format!("{codec}-{version}.parquet")));
    }
    for name in [
        "plain",
        "large-pages",
        "no-schema",
        "older-lists",
        "kind-usual",
        "kind-large",
    ] {
        names.push(format!("{name}.parquet"));
    }
    for name in [
        "kind-dictionary",
        "DELTA_BYTE_ARRAY",
        "DELTA_LENGTH_BYTE_ARRAY",
    ] {
        names.push(format!("{name}.parquet"));
    }
    for name in ["usual", "large", "view", "dictionary"] {
        for codec in ["None", "lz4", "zstd"] {
            names.extend(["arrow", "arrows"].map(|ending| format!("{name}-{codec}.{ending}")));
        }
    }
    for name in ["datasets", "polars"] {
        names.extend(["arrow", "parquet"].map(|ending| format!("{name}.{ending}")));
    }
    names.push("sliced.arrow".to_owned());
    for name in names {
        let got = rows(&folder.join(&name), &messages("messages"));
        assert_eq!(got.len(), expected.len(), "{name}");
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got, expected, "{name} row {row}");
        }
    }
}

#[test]
fn a_path_reaches_messages_in_objects() {
    let Some(folder) = written() else { return };
    let expected = expected(&folder);
    for name in [
        "none-1.0.parquet",
        "none-2.0.parquet",
        "usual-None.arrow",
        "usual-zstd.arrows",
    ] {
        let got = rows(&folder.join(name), &messages("in.side.messages"));
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            match expected {
                // The script writes no object around an empty list.
                Ok((messages, _)) if messages == "[]" => {}
                Ok(_) => assert_eq!(got, expected, "{name} row {row}"),
                Err(_) => assert!(got.is_err(), "{name} row {row}"),
            }
        }
        let got = rows(&folder.join(name), &messages("in.side"));
        let reason = "field \"in.side\" is an object, expected a list of messages";
        assert!(
            got.iter().all(|row| row == &Err(reason.to_owned())),
            "{name}"
        );
        let got = rows(&folder.join(name), &messages("in.side.chat"));
        let reason = "no field \"in.side.chat\"; the file has \"before\", \"messages\"";
        assert!(
            got.iter()
                .all(|row| row.as_ref().unwrap_err().starts_with(reason)),
            "{name}"
        );
    }
}

#[test]
fn strings_that_hold_json_are_lists() {
    let Some(folder) = written() else { return };
    let expected = expected(&folder);
    let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    for name in ["strings.parquet", "strings.arrow"] {
        let got = rows(&folder.join(name), &messages("messages"));
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let (messages, tools) = got.as_ref().unwrap();
            match expected {
                Err(_) => assert_eq!(messages, "[]"),
                Ok((expected, of_tools)) => {
                    // Nulls that are written down stay.
                    assert_eq!(
                        stripped(value(messages)),
                        value(expected),
                        "{name} row {row}"
                    );
                    let tools = tools.as_deref().map(|tools| stripped(value(tools)));
                    assert_eq!(tools, of_tools.as_deref().map(value), "{name} row {row}");
                }
            }
        }
    }
}

fn stripped(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, stripped(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(stripped).collect(),
        other => other,
    }
}

#[test]
fn what_json_does_not_have_is_left_out_of_messages() {
    let Some(folder) = written() else { return };
    let single = 0.1_f32 as f64;
    for (name, half) in [("odd.parquet", ""), ("odd.arrow", "\"half\":1.5,")] {
        let got = rows(&folder.join(name), &messages("messages"));
        let first = format!(
            "[{{\"role\":\"user\",{half}\"single\":{single},\"map\":{{\"a\":\"1\"}},\"pair\":[1,null],\"json\":{{\"k\": [1, null]}}}}]"
        );
        assert_eq!(got[0], Ok((first, None)), "{name}");
        assert_eq!(got[1], Ok(("[{\"map\":{}}]".to_owned(), None)), "{name}");
        assert_eq!(got[2], Ok(("[]".to_owned(), None)), "{name}");
        assert!(got[3].is_err(), "{name}");
        let half = half.replace("1.5", "2.0");
        let last = format!(
            "[null,{{\"role\":\"x\",{half}\"single\":2.0,\"pair\":[3,4],\"json\":\"text\"}}]"
        );
        assert_eq!(got[4], Ok((last, None)), "{name}");
    }
}

#[test]
fn a_field_larger_than_a_document_is_one_bad_row() {
    let Some(folder) = written() else { return };
    let expected = expected(&folder);
    let most = 5000;
    let options = ReadOptions {
        max_document_bytes: most,
        ..messages("messages")
    };
    // The pages of this file are small enough.
    for name in ["none-1.0.parquet", "usual-None.arrow", "usual-None.arrows"] {
        let got = rows(&folder.join(name), &options);
        let mut large = 0;
        for (got, expected) in got.iter().zip(&expected) {
            let bytes = |row: &Row| match row {
                Ok((messages, tools)) => messages.len().max(tools.as_ref().map_or(0, String::len)),
                Err(_) => 0,
            };
            if bytes(expected) > most {
                large += 1;
                let reason = "expected a field of at most 5000 bytes, got a larger one";
                assert_eq!(got.as_ref().unwrap_err(), reason, "{name}");
            } else if expected.is_ok() {
                assert_eq!(got, expected, "{name}");
            }
        }
        assert!(large > 0, "{name}: {large}");
    }
}

/// Each row's bits or reason.
fn targets(path: &Path, field: &str) -> Vec<Result<String, String>> {
    let options = ReadOptions {
        content: ContentFields::Tokens {
            tokens: "ids".to_owned(),
            targets: Some(field.to_owned()),
        },
        ..ReadOptions::default()
    };
    let row = |record| match record {
        Record::Rejected(rejection, _) => Err(rejection.reason),
        Record::Document(document) => match document.content {
            Content::TargetedTokens { target, .. } => {
                let bits = target.iter().map(|bit| if *bit { '1' } else { '0' });
                Ok(bits.collect())
            }
            other => panic!("{other:?}"),
        },
    };
    let outcome = read(path, &options);
    assert!(outcome.error.is_none());
    outcome.records.into_iter().map(row).collect()
}

#[test]
fn targets_are_bits_or_labels_in_every_format() {
    let Some(folder) = written() else { return };
    for name in ["lists.parquet", "lists.arrow", "lists.jsonl"] {
        let path = folder.join(name);
        for field in ["booleans", "bytes", "labels"] {
            let got = targets(&path, field);
            let bits: Vec<_> = got[..4]
                .iter()
                .map(|bits| bits.as_deref().unwrap())
                .collect();
            assert_eq!(bits, ["101", "0", "", "11"], "{name} {field}");
            let reason =
                format!("field \"{field}\" has 1 items, expected 2, as many as field \"ids\"");
            assert_eq!(got[4], Err(reason), "{name} {field}");
        }
        let got = targets(&path, "nulls");
        let reason =
            "field \"nulls\": item 1 is null, expected an integer like the items before it";
        assert_eq!(got[0], Err(reason.to_owned()), "{name}");
        let reason = "field \"nulls\" is null, expected a list of bits or labels";
        assert_eq!(got[1], Err(reason.to_owned()), "{name}");
        assert_eq!(got[3], Ok("11".to_owned()), "{name}");
        let got = targets(&path, "floats");
        let reason = "field \"floats\": item 0 is 1.0, expected a boolean, 0, 1, -100 or the token";
        assert_eq!(got[0], Err(reason.to_owned()), "{name}");
    }
}

#[test]
fn spans_and_the_text_before_in_every_format() {
    let Some(folder) = written() else { return };
    for name in ["lists.parquet", "lists.arrow", "lists.jsonl"] {
        for field in ["pairs", "fixed", "objects", "scored", "objects_scored"] {
            let mut options = ReadOptions {
                content: ContentFields::Spans {
                    text: "text".to_owned(),
                    spans: field.to_owned(),
                },
                ..ReadOptions::default()
            };
            let outcome = read(&folder.join(name), &options);
            let got: Vec<_> = outcome
                .records
                .into_iter()
                .map(|record| match record {
                    Record::Rejected(rejection, _) => Err(rejection.reason),
                    Record::Document(document) => Ok(document.content),
                })
                .collect();
            let first = Content::Spans {
                text: "aé日🙂 b".to_owned(),
                context: vec![0..1, 4..6],
            };
            assert_eq!(got[0], Ok(first), "{name} {field}");
            assert!(
                got[3]
                    .as_ref()
                    .unwrap_err()
                    .contains("field \"text\" is null")
            );
            let reason =
                format!("field \"{field}\": span 0 ends at character 4, expected at most 3");
            let got = got[4].as_ref().unwrap_err();
            assert!(got.starts_with(&reason), "{name} {field}: {got}");

            options.content = ContentFields::text("text");
            options.context_field = Some("hint".to_owned());
            let outcome = read(&folder.join(name), &options);
            let got = outcome.records.into_iter().map(|record| match record {
                Record::Rejected(rejection, _) => Err(rejection.reason),
                Record::Document(document) => Ok(document.context),
            });
            let got: Vec<_> = got.collect();
            assert_eq!(got[0], Ok(Some("h".to_owned())), "{name}");
            let reason = "field \"hint\" is null, expected a string";
            assert_eq!(got[1], Err(reason.to_owned()), "{name}");
            assert_eq!(got[2], Ok(Some(String::new())), "{name}");
        }
    }
}

#[test]
fn text_files_and_tar_files() {
    let completion = ReadOptions {
        content: ContentFields::Completion {
            prompt: "prompt".to_owned(),
            completion: "answer".to_owned(),
        },
        ..ReadOptions::default()
    };
    for (name, lines) in [("a.txt", false), ("b.txt", true)] {
        for (options, field) in [(messages("chat"), "chat"), (completion.clone(), "prompt")] {
            let options = ReadOptions { lines, ..options };
            let outcome = read_bytes(name, b"text\n", &options);
            let reason = format!(
                "expected a field {field:?}, got a text file, which has no fields (leave out "
            );
            let got = outcome.told()[0].1.unwrap_err().to_owned();
            assert!(got.starts_with(&reason), "{got}");
        }
    }
    let tar = tar_of(&[
        (
            "one.json",
            r#"{"prompt":"a","answer":"b","chat":[1],"id":"own"}"#,
        ),
        ("two.json", r#"{"prompt":"a"}"#),
        ("three.txt", "text"),
        ("four.txt", "aé"),
        ("four.json", r#"{"spans":[[0,1]],"text":"other"}"#),
    ]);
    let outcome = read_bytes("a.tar", &tar, &completion);
    let Record::Document(document) = &outcome.records[0] else {
        panic!("{:?}", outcome.records[0]);
    };
    let expected = Content::Completion {
        prompt: "a".to_owned(),
        completion: "b".to_owned(),
    };
    assert_eq!((&document.content, &*document.id), (&expected, "own"));
    let told = outcome.told();
    let reason = "no field \"answer\"; the line has \"prompt\" (name it with completion_field)";
    assert_eq!(told[1].1, Err(reason));
    let reason = "sample \"three\": expected a member .json, got .txt";
    assert_eq!(told[2].1, Err(reason));
    let outcome = read_bytes("a.tar", &tar, &messages("chat"));
    let Record::Document(document) = &outcome.records[0] else {
        panic!("{:?}", outcome.records[0]);
    };
    let expected = Content::Messages {
        messages: "[1]".to_owned(),
        tools: None,
    };
    assert_eq!(document.content, expected);
    let spans = ReadOptions {
        content: ContentFields::Spans {
            text: "text".to_owned(),
            spans: "spans".to_owned(),
        },
        ..ReadOptions::default()
    };
    let outcome = read_bytes("a.tar", &tar, &spans);
    let Record::Document(document) = &outcome.records[3] else {
        panic!("{:?}", outcome.records[3]);
    };
    let expected = Content::Spans {
        text: "aé".to_owned(),
        context: std::iter::once(0..1).collect(),
    };
    assert_eq!(document.content, expected);
}

fn tar_of(members: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}
