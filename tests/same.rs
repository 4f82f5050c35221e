//! Things that scores and masks must not depend on: batches, threads, containers, and chance.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use rho_formats::MaskRow;
use webdataset::core::Value;
use webdataset::shard::{TarFiles, group_by_keys};

use crate::support::{
    Run, assert_same_scores, beside, compress, compress_bytes, demo, files, random_tokens, rows,
    tiny::tiny, token_lines, write,
};

/// The tolerance of a loss or an entropy for other padding and other kernels. Masks of two such close tokens may
/// differ, so masks are compared only between equal batches.
const SAME: f32 = 1e-5;

/// Documents of token ids, of very different lengths.
fn corpus(folder: &Path) -> PathBuf {
    let documents: Vec<Vec<u32>> = [3, 90, 17, 1, 260, 5, 64, 64, 130, 2, 0, 41]
        .into_iter()
        .zip(1..)
        .map(|(length, seed)| random_tokens(length, 2048, seed))
        .collect();
    let path = folder.join("ids.jsonl");
    write(&path, token_lines(&documents));
    path
}

fn score(folder: &Path, name: &str, arguments: &[&str]) -> Vec<MaskRow> {
    let out = folder.join(name);
    Run::score_tokens(&corpus(folder), &demo(), &out)
        .args(arguments)
        .ends_with(0);
    rows(&out, "ids.jsonl")
}

#[test]
fn batches_and_threads_do_not_show_in_the_scores() {
    let place = tempfile::tempdir().unwrap();
    let alone = score(place.path(), "64", &["--batch-tokens", "64"]);
    for (name, arguments) in [
        ("8192", ["--batch-tokens", "8192"]),
        ("one thread", ["--threads", "1"]),
        ("four threads", ["--threads", "4"]),
    ] {
        let other = score(place.path(), name, &arguments);
        assert_same_scores(&other, &alone, SAME, name);
    }
}

#[test]
fn two_runs_write_the_same_files() {
    let place = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        score(place.path(), name, &[]);
        let out = place.path().join(name);
        let all = files(&out).into_iter();
        // The summary has times.
        all.filter(|file| file != "summary.json")
            .map(|file| (fs::read(out.join(&file)).unwrap(), file))
            .collect::<Vec<_>>()
    };
    let first = bytes("first");
    let names: Vec<_> = first.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "dataset_info.json",
            "ids.jsonl.arrow",
            "state.json",
            "tokenizer.json"
        ]
    );
    for (first, second) in first.iter().zip(bytes("second")) {
        assert!(first == &second, "{} differs", second.1);
    }
}

#[test]
fn what_documents_are_packed_in_does_not_show() {
    let place = tempfile::tempdir().unwrap();
    let texts = [
        "Mia has 5 apples and buys 7 more, so she has 5 + 7 = 12 apples.",
        "Home > Login | All rights reserved.",
        "Straße \u{2192} 3 * 4 = 12\n\nna\u{ef}ve",
    ];
    let lines: Vec<String> = texts
        .iter()
        .map(|text| serde_json::json!({"text": text}).to_string() + "\n")
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let corpus = place.path().join("corpus");
    let at = |name: &str| corpus.join(name);
    for name in ["a.jsonl", "a.json", "a.ndjson"] {
        write(&at(name), lines.concat());
    }
    write(&at("a.jsonl.gz"), compress(&lines, "gz"));
    write(&at("a.jsonl.zst"), compress(&lines, "zst"));
    let windows = lines.concat().replace('\n', "\r\n");
    write(&at("b.jsonl"), format!("\u{feff}{windows}"));
    // Several arguments: a folder, and a file of another one.
    let other = place.path().join("more/deep/c.jsonl");
    write(&other, lines.concat());
    for (i, text) in texts.iter().enumerate() {
        write(&place.path().join(format!("text/{i}.txt")), text);
    }
    let out = place.path().join("masks");
    Run::score(&corpus, &out)
        .arg(place.path().join("text"))
        .arg(&other)
        .args(&["--scope", "document"])
        .ends_with(0);

    let expected = rows(&out, "corpus/a.jsonl");
    assert_eq!(expected.len(), 3);
    let same = |got: &[MaskRow], what: &str| {
        assert_same_scores(got, &expected, SAME, what);
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.masks, expected.masks, "{what}");
        }
    };
    for name in ["a.json", "a.ndjson", "a.jsonl.gz", "a.jsonl.zst", "b.jsonl"] {
        same(&rows(&out, &format!("corpus/{name}")), name);
    }
    same(&rows(&out, "more/deep/c.jsonl"), "another argument");
    // Text files are shards of their own, so their batches differ, and a mask may.
    let texts: Vec<MaskRow> = (0..3)
        .flat_map(|i| rows(&out, &format!("text/{i}.txt")))
        .collect();
    assert_same_scores(&texts, &expected, SAME, "text files");
    assert_eq!(texts[0].id, "text/0.txt#0");
}

/// Checks that all documents of these shards have the same tokens, scores and masks; ids differ if a container has
/// none.
#[track_caller]
fn assert_all_the_same(out: &Path, shards: usize, documents: usize) {
    let told = |shard: &str| -> Vec<String> {
        let rows = rows(out, shard).into_iter();
        rows.map(|row| format!("{:?} {:?} {:?}", row.input_ids, row.scores, row.masks))
            .collect()
    };
    let written = files(out);
    let written: Vec<&str> = written
        .iter()
        .filter_map(|name| name.strip_suffix(".arrow"))
        .collect();
    assert_eq!(written.len(), shards, "{written:?}");
    let expected = told(written[0]);
    assert_eq!(expected.len(), documents);
    for shard in written {
        assert!(told(shard) == expected, "{shard}");
    }
}

/// Files of other programs (gzip, pyarrow, tar), some of them repacked in every other container.
#[test]
fn the_same_documents_in_every_container_have_the_same_masks() {
    let Some(formats) = beside("data/formats") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let model = tiny(&at("model"));
    let score = |corpus: &Path, out: &str| {
        let run = Run::score(corpus, &at(out)).arg("--model");
        run.arg(&model).arg("--keep-text").ends_with(0);
        at(out)
    };
    assert_all_the_same(&score(&formats, "masks"), 4, 300);

    let lines = fs::read_to_string(formats.join("sample300.jsonl")).unwrap();
    let some: String = lines.split_inclusive('\n').take(30).collect();
    write(&at("some/plain.jsonl"), &some);
    for ending in ["gz", "zst", "bz2", "xz"] {
        let packed = compress(&[&some], ending);
        write(&at(&format!("some/packed.jsonl.{ending}")), &packed);
        // The content takes precedence over the name.
        write(&at(&format!("some/{ending}.json")), packed);
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (i, line) in some.lines().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(line.len() as u64);
        let name = format!("{i:06}.json");
        tar.append_data(&mut header, name, line.as_bytes()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    for ending in ["gz", "zst"] {
        let packed = compress_bytes(&[&tar], ending);
        write(&at(&format!("some/members.tar.{ending}")), packed);
    }
    write(&at("some/members.tar"), &tar);
    let out = score(&at("some"), "others");
    assert_all_the_same(&out, 12, 30);
    for ending in ["tar", "tar.gz", "tar.zst"] {
        assert_the_samples(&tar, &rows(&out, &format!("members.{ending}")));
    }
}

/// Checks ids and texts against what the crate `webdataset` reads in a tar file.
#[track_caller]
fn assert_the_samples(tar: &[u8], rows: &[MaskRow]) {
    let files = TarFiles::new(Box::new(Cursor::new(tar.to_vec()))).unwrap();
    let samples = group_by_keys(files).map(Result::unwrap).map(|sample| {
        let json = sample.get("json").and_then(Value::as_bytes).unwrap();
        let document: serde_json::Value = serde_json::from_slice(json).unwrap();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        (text("id"), Some(text("text")))
    });
    let rows = rows.iter().map(|row| (row.id.clone(), row.text.clone()));
    assert_eq!(rows.collect::<Vec<_>>(), samples.collect::<Vec<_>>());
}
