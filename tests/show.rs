//! `show`: human-readable documents, and the tokenizer that masks carry.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Run, bundled::bundled, demo, read_json, rows, skipped, write};

const BYTE_LEVEL: &str =
    r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
const LLAMA: &str = r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
    {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#;

/// A tokenizer.json of these entries.
fn tokenizer(entries: &[String], decoder: &str) -> String {
    let entries: serde_json::Map<String, Value> = (0..)
        .zip(entries)
        .map(|(id, entry)| (entry.clone(), json!(id)))
        .collect();
    let decoder: Value = serde_json::from_str(decoder).unwrap();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": decoder, "model": {"type": "WordLevel", "vocab": entries, "unk_token": "?"},
    })
    .to_string()
}

/// Bytes in GPT-2's alphabet.
fn alphabet(bytes: &[u8]) -> String {
    let plain = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let shifted = |byte: u8| (0..byte).filter(|&other| !plain(other)).count() as u32;
    let letter = |&byte: &u8| match plain(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + shifted(byte)).unwrap(),
    };
    bytes.iter().map(letter).collect()
}

/// Masks of documents with these token texts, alternately dropped and kept, with rising losses.
fn masks(out: &Path, decoder: &str, documents: &[(&str, &[String])]) {
    let mut entries: Vec<String> = Vec::new();
    for (_, pieces) in documents {
        for piece in *pieces {
            if !entries.contains(piece) {
                entries.push(piece.clone());
            }
        }
    }
    let tokenizer = tokenizer(&entries, decoder);
    let schema = MaskSchema {
        scores: ["loss", "entropy"].map(String::from).to_vec(),
        score_type: ScoreType::Float32,
        masks: ["mask_a", "mask_b"].map(String::from).to_vec(),
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"tokenizer": {"fingerprint": sha256(tokenizer.as_bytes())}}),
    };
    let folder = MasksFolder::create(out).unwrap();
    let options = WriteOptions::default();
    let mut writer = folder.writer("s.jsonl", &schema, options).unwrap();
    for (row, (id, pieces)) in (0..).zip(documents) {
        let length = pieces.len();
        let input_ids = pieces.iter().map(|piece| {
            let place = entries.iter().position(|entry| entry == piece);
            place.unwrap() as u32
        });
        let mut loss: Vec<f32> = (0..length).map(|i| i as f32).collect();
        if let Some(first) = loss.first_mut() {
            *first = f32::NAN;
        }
        let document = MaskRow {
            id: (*id).to_owned(),
            row,
            input_ids: input_ids.collect(),
            scores: vec![loss, vec![0.5; length]],
            masks: vec![
                (0..length).map(|i| i % 2 == 1).collect(),
                (0..length).map(|i| i > 0).collect(),
            ],
            weights: Vec::new(),
            text: None,
            source: None,
            target: None,
            top: None,
        };
        writer.write(&document).unwrap();
    }
    let files = writer.finish().unwrap();
    folder.publish("s.jsonl", &files, &[]).unwrap();
    folder.list(&schema.metadata, &files).unwrap();
    folder.summary(&json!({})).unwrap();
    write(&out.join("tokenizer.json"), tokenizer);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn show(masks: &Path, arguments: &[&str]) -> String {
    let ended = Run::new(&["show"]).arg(masks).args(arguments).ends_with(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

fn bytes(pieces: &[&[u8]]) -> Vec<String> {
    pieces.iter().map(|piece| alphabet(piece)).collect()
}

#[test]
fn characters_of_several_tokens_are_drawn_once() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let emoji = bytes(&[
        b"Hi",
        b" \xf0\x9f",
        b"\x98",
        b"\x80!",
        b"\xe4\xb8",
        b"\xad\xe6",
        b"\x96\x87",
        b"\xff",
        b"z",
    ]);
    masks(&out, BYTE_LEVEL, &[("emoji", &emoji)]);
    // Dropped: 0 2 4 6 8; kept: 1 3 5 7.
    assert_eq!(
        show(&out, &[]),
        "emoji (s.jsonl row 0): 4 of 9 tokens kept by mask_a (in brackets)\n\
         Hi[ 😀!中]文[\u{fffd}]z\n\
         (3 characters whose bytes lie in several tokens are drawn with the last of them)\n"
    );
    let coloured = show(&out, &["--color", "always"]);
    assert_eq!(
        coloured.lines().nth(1).unwrap(),
        "\x1b[2mHi\x1b[0m 😀!中\x1b[2m文\x1b[0m\u{fffd}\x1b[2mz\x1b[0m"
    );
    let numbers = show(&out, &["--numbers"]);
    let table = numbers.split("\n\n").nth(1).unwrap();
    assert_eq!(
        table,
        r#"token  piece        id    loss  entropy  mask_a  mask_b
0      "Hi"          0       -   0.5000       0       0
1      " \xf0\x9f"   1  1.0000   0.5000       1       1
2      "\x98"        2  2.0000   0.5000       0       1
3      "\x80!"       3  3.0000   0.5000       1       1
4      "\xe4\xb8"    4  4.0000   0.5000       0       1
5      "\xad\xe6"    5  5.0000   0.5000       1       1
6      "\x96\x87"    6  6.0000   0.5000       0       1
7      "\xff"        7  7.0000   0.5000       1       1
8      "z"           8  8.0000   0.5000       0       1
"#
    );
}

#[test]
fn bytes_and_spaces_of_sentencepiece() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let pieces = [
        "▁Hello", "▁", "<0xE2>", "<0x82>", "<0xAC>", "5", "<0x0A>", "▁x",
    ];
    let pieces = pieces.map(String::from);
    masks(&out, LLAMA, &[("euro", &pieces)]);
    assert_eq!(
        show(&out, &["--mask", "mask_b"]),
        "euro (s.jsonl row 0): 7 of 8 tokens kept by mask_b (in brackets)\n\
         Hello[ €5\n x]\n\
         (1 character whose bytes lie in several tokens is drawn with the last of them)\n"
    );
}

#[test]
fn nothing_in_a_text_reaches_the_terminal_raw() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let pieces = bytes(&[
        b"a\t",
        b"\x1b[31",
        b"m\x07\r\n",
        "\u{202e}שלום".as_bytes(),
        b"\xc2",
        b"\x9b0m\x7f",
        b"[x]",
    ]);
    masks(&out, BYTE_LEVEL, &[("\u{1b}]0;id\u{7}", &pieces)]);
    for arguments in [
        &["--color", "always"][..],
        &[],
        &["--numbers"],
        &["--by", "loss", "--width", "30"],
    ] {
        let shown = show(&out, arguments);
        let mut rest = shown.as_str();
        // The only escape sequences are our own colours.
        while let Some(at) = rest.find('\u{1b}') {
            let end = rest[at..].find('m').unwrap();
            let inside = &rest[at + 1..at + end];
            assert!(
                inside.starts_with('[')
                    && inside[1..].bytes().all(|b| b.is_ascii_digit() || b == b';'),
                "{shown:?}"
            );
            rest = &rest[at + end..];
        }
        let plain = shown.replace(['\u{1b}', '\n'], "");
        assert!(
            !plain.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{shown:?}"
        );
    }
    assert_eq!(
        show(&out, &[]),
        "␛]0;id␇ (s.jsonl row 0): 3 of 7 tokens kept by mask_a (in ⟦brackets⟧)\n\
         a       ⟦␛[31⟧m␇␍\n⟦⟨202e⟩שלום⟨9b⟩0m␡⟧[x]\n\
         (1 character whose bytes lie in several tokens is drawn with the last of them)\n"
    );
    let table = show(&out, &["--numbers"]);
    assert!(
        table.contains(r#""\u{1b}[31""#) && table.contains(r#""m\u{7}\r\n""#),
        "{table}"
    );
    assert!(table.contains(r#""\u{202e}שלום""#), "{table}");
}

#[test]
fn five_levels_with_their_bounds() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let pieces: Vec<String> = (0..11)
        .map(|i| format!("{}", char::from(b'a' + i)))
        .collect();
    masks(&out, BYTE_LEVEL, &[("x", &pieces)]);
    assert_eq!(
        show(&out, &["--by", "loss"]),
        "x (s.jsonl row 0): fifths of 10 scored tokens by loss, low ones preferred\n\
         most preferred  5 <= 2.00  4 <= 4.00  3 <= 6.00  2 <= 8.00  1 > 8.00  least preferred (nats)\n\
         -[a]5[bc]4[de]3[fg]2[hi]1[jk]\n"
    );
    let coloured = Run::new(&["show", "--by", "loss", "--color", "always"])
        .arg(&out)
        .env("COLORTERM", "truecolor")
        .ends_with(0)
        .stdout;
    assert_eq!(
        coloured.lines().nth(2).unwrap(),
        "\x1b[2ma\x1b[0m\x1b[38;2;255;255;255;48;2;217;95;2mbc\x1b[0m\x1b[38;2;0;0;0;48;2;253;208;162mde\x1b[0mfg\
         \x1b[38;2;0;0;0;48;2;158;202;225mhi\x1b[0m\x1b[38;2;255;255;255;48;2;31;80;154mjk\x1b[0m"
    );
    let coloured = Run::new(&["show", "--by", "loss", "--color", "always", "--limit", "3"])
        .arg(&out)
        .env("COLORTERM", "")
        .ends_with(0)
        .stdout;
    assert_eq!(
        coloured.lines().nth(2).unwrap(),
        "\x1b[2ma\x1b[0m\x1b[38;5;231;48;5;166mbc\x1b[0m ... (8 more tokens)"
    );
}

#[test]
fn lines_are_wrapped_at_the_width() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let pieces = [
        "the quick ",
        "brown",
        " 中文中文中文中文中",
        " fox\n",
        "\tend abcdefghijklmnopqrstuvwxyz",
    ]
    .map(|piece| alphabet(piece.as_bytes()));
    masks(&out, BYTE_LEVEL, &[("x", &pieces)]);
    let shown = show(&out, &["--width", "16", "--mask", "mask_b"]);
    let body: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!(
        body,
        [
            "the quick [brown",
            "中文中文中文中文",
            "中 fox",
            "        end ",
            "abcdefghijklmnop",
            "qrstuvwxyz]"
        ]
    );
    // Without a terminal, lines end where the document's do.
    assert_eq!(show(&out, &[]).lines().count(), 3);
}

/// The output of `show` on a terminal of 20 columns; `None` if the system cannot provide one.
fn on_a_terminal(masks: &Path, name: &str, value: &str) -> Option<String> {
    // Only util-linux's `script` has these options.
    let command = "stty rows 9 cols 20; \"$RHO_MASK\" show \"$MASKS\" --limit 3";
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .env("RHO_MASK", env!("CARGO_BIN_EXE_rho-mask"))
        .env("MASKS", masks)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env(name, value)
        .stdin(Stdio::null());
    match script.output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8(output.stdout).unwrap().replace('\r', ""))
        }
        _ => {
            skipped("no util-linux script to open a terminal");
            None
        }
    }
}

#[test]
fn a_terminal_has_colours_and_a_width_unless_told_not_to() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let pieces = bytes(&[b"a dozen words", b" of which", b" some are kept", b"."]);
    masks(&out, BYTE_LEVEL, &[("x", &pieces)]);
    let Some(coloured) = on_a_terminal(&out, "NO_COLOR", "") else {
        return;
    };
    assert!(
        coloured.ends_with(
            "(others dim)\n\x1b[2ma dozen words\x1b[0m of \nwhich\x1b[2m some are kept\x1b[0m\n... (1 more tokens)\n"
        ),
        "{coloured:?}"
    );
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&out, name, value).unwrap();
        let body = "(in brackets)\na dozen words[ of \nwhich] some are kept\n... (1 more tokens)\n";
        assert!(plain.ends_with(body), "{name}: {plain:?}");
    }
}

#[test]
fn documents_are_found_by_id_by_row_and_by_chance() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("masks");
    let one = bytes(&[b"a", b"b"]);
    let names: Vec<String> = (0..9).map(|i| format!("doc-{i}")).collect();
    let mut documents: Vec<(&str, &[String])> =
        names.iter().map(|n| (n.as_str(), &one[..])).collect();
    documents.push(("doc-3", &one));
    documents.push(("empty", &[]));
    masks(&out, BYTE_LEVEL, &documents);
    let first = |arguments: &[&str]| {
        let shown = show(&out, arguments);
        shown.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(first(&[]), "doc-0");
    assert_eq!(first(&["--document", "doc-7"]), "doc-7");
    assert_eq!(first(&["--row", "4"]), "doc-4");
    assert_eq!(first(&["--shard", "s.jsonl", "--row", "5"]), "doc-5");
    assert_eq!(first(&["--shard", "s.jsonl"]), "doc-0");
    assert_eq!(
        show(&out, &["--document", "empty"]),
        "empty (s.jsonl row 10): 0 of 0 tokens kept by mask_a (in brackets)\n"
    );
    let sample = show(&out, &["--sample", "3", "--seed", "5"]);
    assert_eq!(sample, show(&out, &["--sample", "3", "--seed", "5"]));
    assert_ne!(sample, show(&out, &["--sample", "3", "--seed", "6"]));
    assert_eq!(sample.matches("tokens kept").count(), 3);
    assert_eq!(
        show(&out, &["--sample", "99"])
            .matches("tokens kept")
            .count(),
        11
    );
    // A single file: the tokenizer is that of the folder around it.
    assert_eq!(
        show(&out.join("s.jsonl.arrow"), &["--row", "2"]),
        show(&out, &["--row", "2"])
    );

    let refused = |arguments: &[&str], error: &str, hint: &str| {
        let ended = Run::new(&["show"]).arg(&out).args(arguments).ends_with(2);
        assert_eq!(ended.stdout, "");
        assert_eq!(
            ended.lines_with(error).len(),
            1,
            "{error:?}: {}",
            ended.stderr
        );
        assert_eq!(
            ended.lines_with(hint).len(),
            1,
            "{hint:?}: {}",
            ended.stderr
        );
    };
    refused(
        &["--document", "doc-77"],
        "expected a document with the id \"doc-77\", got none",
        "hint: the closest id is \"doc-7\"",
    );
    refused(
        &["--row", "99"],
        "expected a document at row 99, got none",
        "hint: the last row is 10",
    );
    refused(
        &["--shard", "s.json"],
        "expected a shard \"s.json\", got none",
        "hint: the closest shard is \"s.jsonl\"",
    );
    refused(
        &["--by", "excess"],
        "expected a column of scores \"excess\", got loss, entropy",
        "hint: excess loss needs",
    );
    refused(
        &["--mask", "mask_c"],
        "one of mask_a, mask_b, got \"mask_c\"",
        "hint: name one of these",
    );
    let twice = Run::new(&["show", "--document", "doc-3"])
        .arg(&out)
        .ends_with(0);
    assert_eq!(
        twice
            .lines_with("note: 2 documents have the id \"doc-3\"")
            .len(),
        1
    );
}

#[test]
fn masks_carry_their_tokenizer() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let own = fs::read(demo().join("tokenizer.json")).unwrap();
    assert_eq!(fs::read(bundled().out.join("tokenizer.json")).unwrap(), own);
    // `select` copies it.
    Run::new(&["select", "--by", "loss"])
        .arg(&bundled().out)
        .arg("--out")
        .arg(at("selected"))
        .ends_with(0);
    assert_eq!(fs::read(at("selected/tokenizer.json")).unwrap(), own);
    assert!(show(&at("selected"), &[]).contains("tokens kept by mask_loss"));

    // Another one is refused, whether it is in the folder or named.
    let other = String::from_utf8(own.clone()).unwrap() + "\n";
    write(&at("other.json"), &other);
    let (wanted, got) = (sha256(&own), sha256(other.as_bytes()));
    let refused = |run: Run| {
        let ended = run.ends_with(2);
        assert_eq!(ended.stdout, "");
        let said = ended.lines_with("expected the tokenizer of the masks");
        assert!(
            said[0].contains(&wanted) && said[0].contains(&got),
            "{}",
            ended.stderr
        );
    };
    for command in ["show", "stats"] {
        refused(
            Run::new(&[command])
                .arg(at("selected"))
                .arg("--tokenizer")
                .arg(at("other.json")),
        );
    }
    write(&at("selected/tokenizer.json"), &other);
    refused(Run::new(&["show"]).arg(at("selected")));
    // Without one, ids are shown; with a named one, texts as before.
    fs::remove_file(at("selected/tokenizer.json")).unwrap();
    let ended = Run::new(&["show", "--limit", "3"])
        .arg(at("selected"))
        .ends_with(0);
    assert_eq!(
        ended
            .lines_with("note: the masks hold no tokenizer.json")
            .len(),
        1
    );
    let tokens = &rows(&bundled().out, "forum/threads.jsonl.zst")[0].input_ids;
    let shown = ended.stdout.replace(['[', ']'], "");
    let ids = format!("\n{} {} {} ...", tokens[0], tokens[1], tokens[2]);
    assert!(shown.contains(&ids), "{shown}");
    let named = Run::new(&["show", "--tokenizer"])
        .arg(demo())
        .arg(at("selected"))
        .ends_with(0);
    assert_eq!(named.stderr, "");
    assert!(
        named.stdout.contains("help") && named.stdout.contains("walk"),
        "{}",
        named.stdout
    );
}

#[test]
fn a_folder_that_is_begun_again_keeps_its_tokenizer() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("a.jsonl"), place.path().join("masks"));
    write(
        &corpus,
        "{\"text\":\"Mia has 5 apples.\",\"from\":\"web\"}\n{\"text\":\"One.\",\"from\":3}\n{\"text\":\"Two.\"}\n",
    );
    let papers = || fs::read(out.join("tokenizer.json")).ok();
    let own = fs::read(demo().join("tokenizer.json")).ok();
    Run::score(&corpus, &out).ends_with(0);
    assert_eq!(papers(), own);
    // A folder of an earlier version has none yet.
    fs::remove_file(out.join("tokenizer.json")).unwrap();
    Run::score(&corpus, &out).ends_with(0);
    assert_eq!(papers(), own);
    // Refused runs leave it alone.
    Run::score(&corpus, &out)
        .args(&["--keep", "0.5"])
        .ends_with(2);
    assert_eq!(papers(), own);
    Run::score(&corpus, &out)
        .args(&["--restart", "--source-field", "from"])
        .ends_with(0);
    assert_eq!(papers(), own);
    let sources: Vec<_> = rows(&out, "a.jsonl")
        .into_iter()
        .map(|row| row.source)
        .collect();
    assert_eq!(
        sources,
        [Some("web".to_owned()), Some("3".to_owned()), None]
    );
    let told = Run::new(&["stats", "--json"]).arg(&out).ends_with(0).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["source"], &told["source_field"]),
        (&json!("column"), &json!("from"))
    );
    let names: Vec<&Value> = told["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["source"])
        .collect();
    assert_eq!(names, [&json!("web"), &json!("3"), &Value::Null]);
    // `select` keeps the column.
    let selected = place.path().join("selected");
    Run::new(&["select", "--by", "loss", "--out"])
        .arg(&selected)
        .arg(&out)
        .ends_with(0);
    assert_eq!(rows(&selected, "a.jsonl")[0].source.as_deref(), Some("web"));
    // Token ids without any tokenizer.
    let (ids, model) = (place.path().join("ids.jsonl"), place.path().join("model"));
    write(&ids, "{\"input_ids\": [5, 6, 7]}");
    for name in ["model.onnx", "config.json"] {
        write(&model.join(name), fs::read(demo().join(name)).unwrap());
    }
    let out = place.path().join("ids");
    Run::score_tokens(&ids, &model, &out).ends_with(0);
    assert!(!out.join("tokenizer.json").exists());
    assert!(read_json(&out.join("state.json")).is_object());
    let ended = Run::new(&["show"]).arg(&out).ends_with(0);
    assert_eq!(
        ended
            .lines_with("without a tokenizer: token ids are shown")
            .len(),
        1
    );
    assert!(ended.stdout.contains("\n5"), "{}", ended.stdout);
}
