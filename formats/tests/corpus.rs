//! Which files belong to a corpus, in which order, and under which names.

use std::fs;
use std::path::{Path, PathBuf};

use rho_formats::{Compression, CorpusError, Kind, find_shards};

/// A folder with empty files at `paths`.
fn folder(paths: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn names(arguments: &[PathBuf]) -> Vec<String> {
    let found = find_shards(arguments).unwrap();
    found.shards.into_iter().map(|shard| shard.name).collect()
}

fn error(arguments: &[PathBuf]) -> CorpusError {
    let error = find_shards(arguments).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn a_folder_is_walked_in_the_order_of_bytes() {
    let corpus = folder(&[
        "b.jsonl",
        "a/z.txt",
        "a.jsonl.gz",
        "a/b/c.json.zst",
        "B.ndjson",
        "readme.md",
        "a/data.csv",
        ".hidden.jsonl",
        ".git/x.jsonl",
        "a-b.txt",
    ]);
    fs::write(corpus.path().join("b.jsonl"), "12345").unwrap();
    let found = find_shards(&[corpus.path().to_path_buf()]).unwrap();
    let names: Vec<_> = found
        .shards
        .iter()
        .map(|shard| shard.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "B.ndjson",
            "a-b.txt",
            "a.jsonl.gz",
            "a/b/c.json.zst",
            "a/z.txt",
            "b.jsonl"
        ]
    );
    assert_eq!(
        found.ignored,
        [
            corpus.path().join("a/data.csv"),
            corpus.path().join("readme.md")
        ]
    );
    let shard = &found.shards[3];
    assert_eq!(
        (shard.kind, shard.compression),
        (Kind::JsonLines, Compression::Zstd)
    );
    assert_eq!(shard.path, corpus.path().join("a/b/c.json.zst"));
    assert_eq!(found.shards[5].bytes, 5);
}

#[test]
fn names_are_relative_to_the_deepest_common_folder() {
    let corpus = folder(&["x/a/1.txt", "x/a/2.txt", "x/b/1.txt", "y/1.txt", ".h.txt"]);
    let at = |path: &str| corpus.path().join(path);
    assert_eq!(names(&[at("x/a/2.txt")]), ["2.txt"]);
    assert_eq!(names(&[at("x/a")]), ["1.txt", "2.txt"]);
    assert_eq!(names(&[at("x/a/")]), ["1.txt", "2.txt"]);
    assert_eq!(
        names(&[at("x/a/2.txt"), at("x/a/1.txt")]),
        ["2.txt", "1.txt"]
    );
    assert_eq!(
        names(&[at("x/b"), at("x/a")]),
        ["b/1.txt", "a/1.txt", "a/2.txt"]
    );
    assert_eq!(names(&[at("y"), at("x/a/1.txt")]), ["y/1.txt", "x/a/1.txt"]);
    assert_eq!(
        names(&[at("x/a/../b"), at("y/../x/a/./1.txt")]),
        ["b/1.txt", "a/1.txt"]
    );
    // A hidden file counts if it is named explicitly.
    assert_eq!(names(&[at(".h.txt")]), [".h.txt"]);
}

#[test]
fn what_names_no_corpus_is_an_error_with_a_hint() {
    let corpus = folder(&["a.jsonl", "data.csv", "none/readme.md", "hidden/.a.jsonl"]);
    let at = |path: &str| corpus.path().join(path);
    let (top, a) = (corpus.path().to_path_buf(), at("a.jsonl"));
    for (arguments, kind, says) in [
        (vec![], "NoArguments", "got none"),
        (vec![at("gone")], "Missing", "found nothing"),
        (vec![at("data.csv")], "UnknownKind", "*.jsonl"),
        (
            vec![a.clone(), at("none")],
            "NoShards",
            "got 1 of other names",
        ),
        (vec![at("hidden")], "NoShards", "got 0 of other names"),
        (
            vec![a.clone(), at("none/../a.jsonl")],
            "GivenTwice",
            "a.jsonl: given twice, also as",
        ),
        (vec![top.clone(), a], "GivenTwice", "given twice"),
        (vec![top.clone(), top], "GivenTwice", "given twice"),
    ] {
        let error = error(&arguments);
        assert!(
            format!("{error:?}").starts_with(kind),
            "{arguments:?}: {error:?}"
        );
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn loops_end() {
        let corpus = folder(&["a/1.txt", "b/2.txt"]);
        let at = |path: &str| corpus.path().join(path);
        symlink("..", at("a/up")).unwrap();
        symlink(".", at("self")).unwrap();
        symlink("itself", at("itself")).unwrap();
        assert_eq!(names(&[corpus.path().into()]), ["a/1.txt", "b/2.txt"]);
    }

    #[test]
    fn links_are_followed_under_their_own_names() {
        let corpus = folder(&["corpus/1.txt", "store/blob", "elsewhere/2.txt"]);
        let at = |path: &str| corpus.path().join(path);
        symlink("../store/blob", at("corpus/named.jsonl")).unwrap();
        symlink("../elsewhere", at("corpus/more")).unwrap();
        assert_eq!(
            names(&[at("corpus")]),
            ["1.txt", "more/2.txt", "named.jsonl"]
        );
        assert_eq!(names(&[at("corpus/named.jsonl")]), ["named.jsonl"]);
        symlink("corpus", at("link")).unwrap();
        assert_eq!(names(&[at("link")]), ["1.txt", "more/2.txt", "named.jsonl"]);
    }

    #[test]
    fn a_second_way_to_a_shard_is_an_error() {
        let corpus = folder(&["a/sub/1.txt"]);
        symlink("a", corpus.path().join("latest")).unwrap();
        let CorpusError::GivenTwice { first, second } = error(&[corpus.path().into()]) else {
            panic!("expected an error about a file given twice");
        };
        assert_eq!(first, corpus.path().join("a/sub/1.txt"));
        assert_eq!(second, corpus.path().join("latest/sub/1.txt"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_an_error_where_a_shard_is_meant() {
        let corpus = folder(&["1.txt"]);
        symlink("gone", corpus.path().join("notes.md")).unwrap();
        assert_eq!(names(&[corpus.path().into()]), ["1.txt"]);
        symlink("gone", corpus.path().join("2.txt")).unwrap();
        let error = error(&[corpus.path().into()]);
        assert!(
            matches!(&error, CorpusError::Unreadable { path, .. } if path == &corpus.path().join("2.txt"))
        );
    }

    /// Folders that all link to each other have more paths through them than there are atoms.
    #[test]
    fn many_links_end_soon() {
        let corpus = folder(&["1.txt"]);
        let at = |index: usize| corpus.path().join(format!("d{index}"));
        (0..20).for_each(|index| fs::create_dir(at(index)).unwrap());
        for from in 0..20 {
            for to in 0..20 {
                symlink(
                    Path::new("..").join(format!("d{to}")),
                    at(from).join(format!("l{to}")),
                )
                .unwrap();
            }
        }
        assert_eq!(names(&[corpus.path().into()]), ["1.txt"]);
    }

    #[test]
    fn a_device_is_no_file() {
        let error = error(&["/dev/null".into()]);
        assert!(matches!(error, CorpusError::NotAFile { .. }));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error() {
        use std::os::unix::ffi::OsStrExt;
        let corpus = folder(&["1.txt"]);
        fs::write(
            corpus.path().join(std::ffi::OsStr::from_bytes(b"\xff.txt")),
            "",
        )
        .unwrap();
        let error = error(&[corpus.path().into()]);
        assert!(matches!(error, CorpusError::NotUtf8 { .. }));
    }
}
