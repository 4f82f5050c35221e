//! The program as a new user runs it: the bundled reference on the bundled corpus. Checks its messages, its output and
//! its files, and that the method works: tokens of mathematics are kept more often than junk.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use crate::support::{
    Run,
    bundled::{JSON_SHARDS, SHARDS, bundled},
    demo, files, metadata, read_json, root, rows,
    terminal::on_a_terminal,
    write,
};

/// Percentage points by which tokens of mathematics must be kept more often than the rest, in each file: loss, entropy,
/// intersection. Over the whole corpus the demonstration reference reaches 27, 22 and 36.
const MORE_MATHEMATICS: [(&str, usize, f64); 3] = [
    ("mask_loss", 0, 20.0),
    ("mask_entropy", 1, 12.0),
    ("mask_intersection", 2, 25.0),
];

#[test]
fn a_run_says_what_it_did() {
    let ended = &bundled().ended;
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(0), "{said}");
    assert_eq!(ended.stdout, "", "the masks went to files");
    let notice = "note: no --model given: using the bundled demonstration reference";
    assert_eq!(ended.lines_with(notice).len(), 1, "{said}");
    let wrote = format!("wrote {}\n", bundled().out.display());
    assert!(said.contains(&wrote), "{said}");
    for line in [
        "  shards      9",
        "  documents   341",
        "  tokens      ",
        "  mean        loss ",
        "  kept        by loss         ",
        "              by entropy      ",
        "              by intersection ",
        "  padding     ",
        "  speed       ",
        "  busy        read ",
        "  program     rho-mask ",
    ] {
        assert!(
            ended.lines_with(line).iter().any(|l| l.starts_with(line)),
            "{line:?}: {said}"
        );
    }
    // No two of the three files and six texts have the same threshold.
    for by in ["by loss ", "by entropy "] {
        assert!(
            ended.lines_with(by)[0].ends_with(" nats, by scope"),
            "{said}"
        );
    }
    assert!(!said.contains('\x1b'), "no terminal, no colours");
}

#[test]
fn the_first_document_is_shown_with_its_kept_tokens() {
    assert!(
        !bundled().ended.stderr.contains("in brackets"),
        "only on a terminal"
    );
    let Some(first) = rows(&bundled().out, SHARDS[0]).into_iter().next() else {
        panic!("no rows")
    };
    let kept = first.masks[2].iter().filter(|kept| **kept).count();
    let head = format!(
        "\n{}: {kept} of {} tokens kept by mask_intersection (in brackets)\n",
        first.id,
        first.input_ids.len()
    );
    let place = tempfile::tempdir().unwrap();
    let run = Run::new(&["score", "examples/corpus/", "--out"]).arg(place.path().join("masks"));
    let said = &on_a_terminal(&run.env("NO_COLOR", "1")).stdout;
    let at = said
        .find(&head)
        .unwrap_or_else(|| panic!("expected {head:?} in {said}"));
    let shown = &said[at + head.len()..];
    // The rest explains how characters of several tokens are drawn.
    let (shown, _) = shown.rsplit_once("\n(").unwrap();
    // Brackets surround runs of kept tokens; nothing else is added or lost.
    let text = &texts(SHARDS[0])[&0];
    let letters = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    assert_eq!(letters(shown), letters(&format!("<s>{text}</s>")));
    let mut runs: Vec<bool> = first.masks[2].clone();
    runs.dedup();
    let runs = runs.into_iter().filter(|kept| *kept).count();
    let brackets = |of: &str, which: char| of.chars().filter(|c| *c == which).count();
    // A character that crosses the edge of a run is shown whole, so a run of one token may vanish.
    let (opened, closed) = (
        brackets(shown, '[') - brackets(text, '['),
        brackets(shown, ']') - brackets(text, ']'),
    );
    assert_eq!(opened, closed);
    assert!((runs / 2..=runs).contains(&opened), "{opened} of {runs}");
    assert!(!shown.contains('\u{FFFD}'), "{shown}");
}

/// What a run says on a terminal.
fn said_on_a_terminal(no_colours: bool) -> String {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("a.txt"), place.path().join("masks"));
    write(
        &corpus,
        "Mia has 5 apples and buys 7 more. How many has she? 5 + 7 = 12.",
    );
    let run = Run::score(&corpus, &out).env("NO_COLOR", if no_colours { "1" } else { "" });
    let ended = on_a_terminal(&run);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(out.join("state.json").exists());
    ended.stdout
}

#[test]
fn a_terminal_shows_colours_unless_told_not_to() {
    let said = said_on_a_terminal(false);
    assert!(said.contains("(others dim)"), "{said:?}");
    assert!(said.contains("\x1b[2m"), "{said:?}");
    let said = said_on_a_terminal(true);
    assert!(said.contains("(in brackets)"), "{said:?}");
    assert!(!said.contains("\x1b[2m"), "{said:?}");
}

#[test]
fn the_folder_holds_one_file_per_shard_and_its_papers() {
    let out = &bundled().out;
    let mut expected: Vec<String> = SHARDS
        .iter()
        .map(|shard| format!("{shard}.arrow"))
        .collect();
    let papers = [
        "dataset_info.json",
        "state.json",
        "summary.json",
        "tokenizer.json",
    ];
    expected.extend(papers.map(String::from));
    expected.sort();
    assert_eq!(files(out), expected);
    assert_eq!(
        read_json(&out.join("dataset_info.json")),
        serde_json::json!({})
    );
    let state = read_json(&out.join("state.json"));
    let listed: Vec<_> = state["_data_files"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), SHARDS.len());
    for (file, shard) in listed.iter().zip(SHARDS) {
        assert_eq!(file["filename"], format!("{shard}.arrow"));
    }
}

#[test]
fn masks_say_how_they_were_made() {
    let sha256 = |name: &str| {
        let digest = Sha256::digest(fs::read(demo().join(name)).unwrap());
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let first = metadata(&bundled().out, SHARDS[0]);
    for shard in SHARDS {
        assert_eq!(metadata(&bundled().out, shard), first);
    }
    assert_eq!(first["format_version"], 1);
    assert_eq!(first["reference"]["fingerprint"], sha256("model.onnx"));
    assert_eq!(first["tokenizer"]["fingerprint"], sha256("tokenizer.json"));
    assert!(["cpu", "cuda"].contains(&first["provider"].as_str().unwrap()));
    assert_eq!(first["precision"], "f32");
    assert_eq!(
        (&first["context"], &first["overlap"]),
        (&512.into(), &256.into())
    );
    assert_eq!(
        first["bos"],
        serde_json::json!({"rule": "auto", "tokens": [0]})
    );
    assert_eq!(
        first["eos"],
        serde_json::json!({"rule": "auto", "tokens": [1]})
    );
    assert_eq!(first["selections"].as_array().unwrap().len(), 3);
}

#[test]
fn counts_are_those_of_the_masks() {
    let summary = read_json(&bundled().out.join("summary.json"));
    let (mut documents, mut tokens, mut scored, mut kept) = (0, 0, 0, [0; 3]);
    for shard in SHARDS {
        // No shard is as long as a batch of the scope, so each is one scope.
        let (mut in_shard, mut kept_in_shard) = (0, [0; 3]);
        for row in rows(&bundled().out, shard) {
            documents += 1;
            tokens += row.input_ids.len();
            assert_eq!(
                (row.input_ids.first(), row.input_ids.last()),
                (Some(&0), Some(&1))
            );
            for scores in &row.scores {
                assert!(scores[0].is_nan() && scores[1..].iter().all(|s| s.is_finite()));
            }
            in_shard += row.input_ids.len() - 1;
            for (mask, kept) in row.masks.iter().zip(&mut kept_in_shard) {
                assert!(!mask[0], "an unscored token is never kept");
                *kept += mask.iter().filter(|kept| **kept).count();
            }
            let both = row.masks[0]
                .iter()
                .zip(&row.masks[1])
                .map(|(a, b)| *a && *b);
            assert_eq!(row.masks[2], both.collect::<Vec<_>>());
        }
        let expected = (0.7 * in_shard as f64).round() as usize;
        assert_eq!(kept_in_shard[..2], [expected; 2], "{shard}");
        scored += in_shard;
        kept.iter_mut()
            .zip(kept_in_shard)
            .for_each(|(all, more)| *all += more);
    }
    assert_eq!(summary["documents"], documents);
    assert_eq!(summary["tokens"], tokens);
    assert_eq!(summary["scored"], scored);
    for (kept, by) in kept.iter().zip(["loss", "entropy", "intersection"]) {
        assert_eq!(summary["kept"][by]["tokens"], *kept, "{by}");
    }
    assert!(summary["padding"].as_f64().unwrap() < 0.05, "{summary}");
}

/// The texts of a shard by row.
fn texts(shard: &str) -> HashMap<i64, String> {
    lines(shard)
        .into_iter()
        .map(|(row, line)| (row, line["text"].as_str().unwrap().to_owned()))
        .collect()
}

/// The JSON objects of a shard by row.
fn lines(shard: &str) -> HashMap<i64, Value> {
    let path = root().join("examples/corpus").join(shard);
    let text = decompressed(&path);
    let lines = text.lines().zip(0..);
    lines
        .map(|(line, row)| (row, serde_json::from_str(line).unwrap()))
        .collect()
}

fn decompressed(path: &Path) -> String {
    use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
    use tokio::io::AsyncReadExt;
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => GzipDecoder::new(&*bytes)
                .read_to_string(&mut text)
                .await
                .unwrap(),
            Some("zst") => ZstdDecoder::new(&*bytes)
                .read_to_string(&mut text)
                .await
                .unwrap(),
            _ => (&*bytes).read_to_string(&mut text).await.unwrap(),
        }
    });
    text
}

/// Tokens and kept tokens, for mathematics and for the rest.
#[derive(Default)]
struct Counts {
    tokens: [u32; 2],
    kept: [u32; 2],
}

impl Counts {
    fn percent(&self, which: usize) -> f64 {
        100.0 * f64::from(self.kept[which]) / f64::from(self.tokens[which])
    }
}

#[test]
fn mathematics_is_kept_more_than_junk() {
    let tokenizer = Tokenizer::from_file(demo().join("tokenizer.json")).unwrap();
    let mut told = Vec::new();
    for shard in JSON_SHARDS {
        let lines = lines(shard);
        let mut counts: [Counts; 3] = Default::default();
        for row in rows(&bundled().out, shard) {
            let line = &lines[&row.row];
            let text = line["text"].as_str().unwrap();
            let spans: Vec<(usize, usize)> = serde_json::from_value(line["math"].clone()).unwrap();
            let encoding = tokenizer.encode_char_offsets(text, true).unwrap();
            assert_eq!(encoding.get_ids(), row.input_ids, "{}", row.id);
            let special = encoding.get_special_tokens_mask();
            for (i, &(start, end)) in encoding.get_offsets().iter().enumerate() {
                if special[i] == 1 {
                    continue;
                }
                let inside = spans.iter().any(|span| span.0 <= start && end <= span.1);
                let which = usize::from(!inside);
                for (counts, mask) in counts.iter_mut().zip(&row.masks) {
                    counts.tokens[which] += 1;
                    counts.kept[which] += u32::from(mask[i]);
                }
            }
        }
        for (mask, column, least) in MORE_MATHEMATICS {
            let counts = &counts[column];
            let (mathematics, rest) = (counts.percent(0), counts.percent(1));
            told.push(format!(
                "{shard} {mask}: {mathematics:.1} % of mathematics, {rest:.1} % of the rest"
            ));
            assert!(mathematics - rest >= least, "{told:#?}");
        }
    }
}
