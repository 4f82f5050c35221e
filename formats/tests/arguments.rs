//! Ways to name a corpus: patterns, lists, braces, datasets, standard input.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rho_formats::{Compression, Content, CorpusError, Kind, ReadOptions, find_shards};

use crate::other_writers::{check, written};
use crate::support::{compress, read, read_all};

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn names(arguments: &[PathBuf]) -> Vec<String> {
    let found = find_shards(arguments).unwrap();
    found.shards.into_iter().map(|shard| shard.name).collect()
}

#[test]
fn patterns_name_what_is_there() {
    let corpus = folder(&[
        "b/2.jsonl",
        "b/1.jsonl",
        "b/1.csv",
        "a/1.jsonl",
        "a/deep/1.jsonl",
        "a/.hidden.jsonl",
        "[x].jsonl",
        "{x,y}.txt",
    ]);
    let at = |pattern: &str| corpus.path().join(pattern);
    assert_eq!(
        names(&[at("*/*.jsonl")]),
        ["a/1.jsonl", "b/1.jsonl", "b/2.jsonl"]
    );
    assert_eq!(
        names(&[at("**/?.jsonl")]),
        ["a/1.jsonl", "a/deep/1.jsonl", "b/1.jsonl", "b/2.jsonl"]
    );
    assert_eq!(
        names(&[at("[ab]")]),
        ["a/1.jsonl", "a/deep/1.jsonl", "b/1.jsonl", "b/2.jsonl"]
    );
}

#[test]
fn braces_name_each() {
    let corpus = folder(&[
        "s-08.tar",
        "s-09.tar",
        "s-10.tar",
        "s-11.tar",
        "{x,y}.txt",
        "[x].txt",
    ]);
    let at = |pattern: &str| corpus.path().join(pattern);
    assert_eq!(
        names(&[at("s-{08..10}.tar")]),
        ["s-08.tar", "s-09.tar", "s-10.tar"]
    );
    assert_eq!(
        names(&[at("s-{1?,09}.tar")]),
        ["s-10.tar", "s-11.tar", "s-09.tar"]
    );
    // A path that exists is taken literally.
    assert_eq!(
        names(&[at("{x,y}.txt"), at("[x].txt")]),
        ["{x,y}.txt", "[x].txt"]
    );
    for (pattern, says) in [
        (
            "s-{11..12}.tar",
            "s-12.tar: expected a file or a folder, found nothing",
        ),
        ("s-{0..9999999}.tar", "at most 1048576 names"),
        ("*.parquet", "expected files that match, found none"),
        ("a[", "expected a pattern"),
    ] {
        let error = find_shards(&[at(pattern)]).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn what_a_pattern_leaves_out_is_told() {
    let corpus = folder(&["a.jsonl", "a.csv"]);
    let found = find_shards(&[corpus.path().join("a.*")]).unwrap();
    assert_eq!(found.shards.len(), 1);
    assert_eq!(found.ignored, [corpus.path().join("a.csv")]);
    let error = find_shards(&[corpus.path().join("*.csv")]).unwrap_err();
    assert!(
        matches!(error, CorpusError::NoMatch { ignored: 1, .. }),
        "{error:?}"
    );
}

#[test]
fn lists_hold_arguments() {
    let corpus = folder(&["a.jsonl", "b/1.txt", "b/2.txt"]);
    let list = corpus.path().join("list.txt");
    let shown = corpus.path().display();
    fs::write(
        &list,
        format!("\u{feff}{shown}/b/*.txt\r\n\n  {shown}/a.jsonl  \n"),
    )
    .unwrap();
    let argument = PathBuf::from(format!("@{}", list.display()));
    assert_eq!(
        names(std::slice::from_ref(&argument)),
        ["b/1.txt", "b/2.txt", "a.jsonl"]
    );
    fs::remove_file(&list).unwrap();
    let error = find_shards(&[argument]).unwrap_err();
    assert!(matches!(error, CorpusError::Missing { .. }), "{error:?}");
}

#[test]
fn a_file_named_one_by_one_may_be_called_as_it_likes() {
    let corpus = tempfile::tempdir().unwrap();
    let line = b"{\"text\":\"a\"}";
    for (name, bytes, kind) in [
        ("data", line.to_vec(), Some(Kind::JsonLines)),
        ("blob.bin", b"PAR1 and so on".to_vec(), Some(Kind::Parquet)),
        (
            "x.data",
            b"\xff\xff\xff\xff\x10\0\0\0".to_vec(),
            Some(Kind::Arrow),
        ),
        (
            "packed",
            compress(line, Compression::Xz),
            Some(Kind::JsonLines),
        ),
        ("a.csv", b"a,b".to_vec(), None),
        ("a.csv.gz", compress(b"a,b", Compression::Gzip), None),
    ] {
        let path = corpus.path().join(name);
        fs::write(&path, bytes).unwrap();
        let found = find_shards(std::slice::from_ref(&path));
        assert_eq!(found.ok().map(|found| found.shards[0].kind), kind, "{name}");
    }
    let packed = read(&corpus.path().join("packed"), &ReadOptions::default());
    assert_eq!(packed.told(), [(0, Ok("a"))]);
    // In a folder, files without a known name are ignored.
    assert!(find_shards(&[corpus.path().to_path_buf()]).is_err());
}

#[test]
fn datasets_of_hugging_face() {
    let Some(folder) = written() else { return };
    let texts = |path: &Path| {
        let (mut documents, mut shards) = (Vec::new(), Vec::new());
        for shard in find_shards(&[path.to_path_buf()]).unwrap().shards {
            documents.extend(read_all(&shard, &ReadOptions::default()).documents());
            shards.push(shard.name);
        }
        let content = documents
            .into_iter()
            .map(|document| (document.id, document.content));
        (content.collect::<Vec<_>>(), shards)
    };
    let (whole, shards) = texts(&folder.join("dataset"));
    let name = |index| format!("data-0000{index}-of-00003.arrow");
    assert_eq!(shards, [name(0), name(1), name(2)]);
    assert_eq!(whole.len(), 1000);
    let (splits, shards) = texts(&folder.join("dataset-dict"));
    assert_eq!(
        shards,
        [
            "train/data-00000-of-00001.arrow",
            "dev/data-00000-of-00001.arrow"
        ]
    );
    assert!(splits == whole);
    let (file, _) = texts(&folder.join("arrow/file-None.arrow"));
    assert!(file == whole);
    // Inside a corpus, a dataset's folder contributes only its listed files.
    let corpus = tempfile::tempdir().unwrap();
    let inner = corpus.path().join("m");
    fs::create_dir(&inner).unwrap();
    fs::write(corpus.path().join("z.jsonl"), "").unwrap();
    for name in ["b.bin", "a.bin", "other.jsonl", "readme.md"] {
        fs::write(inner.join(name), "").unwrap();
    }
    let state = |files: &str| fs::write(inner.join("state.json"), files).unwrap();
    // A list that leads out of its folder is refused by name.
    state(r#"{"_data_files":[{"filename":"b.bin"},{"filename":"../z.jsonl"}]}"#);
    let refused = find_shards(&[corpus.path().to_path_buf()]).unwrap_err();
    assert!(matches!(refused, CorpusError::Outside { .. }), "{refused}");
    state(r#"{"_data_files":[{"filename":"b.bin"},{"filename":"a.bin"}]}"#);
    let found = find_shards(&[corpus.path().to_path_buf()]).unwrap();
    let shards: Vec<_> = found
        .shards
        .iter()
        .map(|shard| (shard.name.as_str(), shard.kind))
        .collect();
    let expected = [
        ("m/b.bin", Kind::Arrow),
        ("m/a.bin", Kind::Arrow),
        ("z.jsonl", Kind::JsonLines),
    ];
    assert_eq!(shards, expected);
    assert!(found.ignored.is_empty());
    // A state.json of another program.
    state("[]");
    assert_eq!(
        names(&[corpus.path().to_path_buf()]),
        ["m/other.jsonl", "m/state.json", "z.jsonl"]
    );
    // The tar files of one set.
    let shards = names(&[folder.join("tar/shard-{000000..000003}.tar")]);
    assert_eq!(shards.len(), 4);
    check(&folder.join("tar/json.tar"));
}

const CHILD: &str = "RHO_FORMATS_TEST_READS_STANDARD_INPUT";

/// Not a test of its own: the next one runs it as a child process.
#[test]
fn standard_input_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let shard = find_shards(&["-".into()]).unwrap().shards.remove(0);
    let outcome = read_all(&shard, &ReadOptions::default());
    let told = outcome
        .told()
        .into_iter()
        .map(|(_, told)| told.unwrap().len());
    let summary = format!("SUM {} {:?}\n", told.sum::<usize>(), outcome.error);
    std::io::stderr().write_all(summary.as_bytes()).unwrap();
}

#[test]
fn standard_input_is_told_by_its_first_bytes() {
    let child = |bytes: Vec<u8>| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "arguments::standard_input_child", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // Write a few bytes first, as pipes do. The reader may have ended.
            let (first, rest) = bytes.split_at(bytes.len().min(3));
            let _ = input.write_all(first).and_then(|()| input.write_all(rest));
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let lines = b"{\"text\":\"abc\"}\n{\"text\":\"de\"}".to_vec();
    assert!(child(lines.clone()).contains("SUM 5 None"));
    assert!(child(compress(&lines, Compression::Zstd)).contains("SUM 5 None"));
    assert!(child(b"PAR1PAR1".to_vec()).contains("through a pipe"));
    let Some(folder) = written() else { return };
    let documents = read(
        &folder.join("arrow/file-None.arrow"),
        &ReadOptions::default(),
    )
    .documents();
    let length = documents
        .into_iter()
        .map(|document| match document.content {
            Content::Text(text) => text.len(),
            _ => 0,
        });
    let expected = format!("SUM {} None", length.sum::<usize>());
    for name in ["stream-None.arrow", "stream-zstd.arrow", "file-None.arrow"] {
        let bytes = fs::read(folder.join("arrow").join(name)).unwrap();
        assert!(child(bytes.clone()).contains(&expected), "{name}");
        assert!(
            child(compress(&bytes, Compression::Gzip)).contains(&expected),
            "{name}"
        );
    }
}
