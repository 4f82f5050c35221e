//! What lies in the folders of a corpus without being part of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_formats::{CorpusError, Found, MasksFolder, find_shards};

use crate::masks::{list, row, write};
use crate::support::python::python;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn names(found: &Found) -> Vec<&str> {
    let shards = found.shards.iter();
    shards.map(|shard| shard.name.as_str()).collect()
}

/// The numbers of results, hidden names and cache files.
fn counts(found: &Found) -> (usize, usize, usize) {
    let passed = &found.passed_over;
    (
        passed.results.count,
        passed.hidden.count,
        passed.caches.count,
    )
}

fn find(argument: impl Into<PathBuf>) -> Found {
    find_shards(&[argument.into()]).unwrap()
}

/// The data files in the folder, as pyarrow finds them.
const FILES: &str = "
import os, sys, pyarrow as pa, pyarrow.dataset as ds
top = os.path.realpath(sys.argv[1])
files = ds.dataset(top, schema=pa.schema([]), format='parquet').files
print('\\n'.join(sorted(os.path.relpath(file, top) for file in files)))
";

#[test]
fn hidden_names_are_those_of_pyarrow() {
    let Some(python) = python() else { return };
    let corpus = folder(&[
        "a.parquet",
        "_a.parquet",
        ".a.parquet",
        "a_.parquet",
        "-a.parquet",
        "_temporary/0/b.parquet",
        "year=2024/_b.parquet",
        "year=2024/b.parquet",
        "year=2024/.tmp/c.parquet",
        "deep/er/_delta_log/d.parquet",
    ]);
    let output = Command::new(python)
        .args(["-c", FILES])
        .arg(corpus.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let expected = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(expected.len(), 4, "{expected:?}");
    let found = find(corpus.path());
    assert_eq!(names(&found), expected);
    // A folder counts once, whatever is in it.
    assert_eq!(counts(&found), (0, 6, 0));
    assert_eq!(
        found.passed_over.hidden.first,
        Some(corpus.path().join(".a.parquet"))
    );
    // What an argument names itself is taken.
    let at = |path: &str| corpus.path().join(path);
    assert_eq!(names(&find(at("_temporary"))), ["0/b.parquet"]);
    assert_eq!(names(&find(at("year=2024/_b.parquet"))), ["_b.parquet"]);
    let everything = find(at("**/*.parquet"));
    assert_eq!(names(&everything), expected);
    assert_eq!(names(&find(at("_*/0/*"))), ["b.parquet"]);
    let error = find_shards(&[at("year=2024/[_]b.parquet")]).unwrap_err();
    assert!(matches!(error, CorpusError::NoMatch { .. }), "{error:?}");
}

#[test]
fn results_of_a_run_are_passed_over_however_they_are_reached() {
    let corpus = folder(&["1.jsonl", "sub/2.jsonl", "sub/run/metrics.jsonl", "z.jsonl"]);
    let at = |path: &str| corpus.path().join(path);
    // A folder of another command, with its records.
    fs::create_dir(at("sub/run/.rho-mask")).unwrap();
    let masks = MasksFolder::create(at("masks")).unwrap();
    let written = write(&masks, "1.jsonl", &[row(0, 5)]);
    list(&masks, &[&written]);
    // A copy as `cp masks/*` makes it: without the records.
    fs::create_dir(at("sub/copy")).unwrap();
    for name in ["1.jsonl.arrow", "state.json", "dataset_info.json"] {
        fs::copy(at("masks").join(name), at("sub/copy").join(name)).unwrap();
    }
    let found = find(corpus.path());
    assert_eq!(names(&found), ["1.jsonl", "sub/2.jsonl", "z.jsonl"]);
    assert_eq!(counts(&found), (3, 0, 0));
    assert_eq!(found.ignored, [] as [PathBuf; 0]);
    assert_eq!(
        found.passed_over.to_string(),
        format!(
            "3 folders that rho-mask wrote (such as {})",
            at("masks").display()
        )
    );
    for (pattern, expected, passed) in [
        ("*", &["1.jsonl", "sub/2.jsonl", "z.jsonl"][..], 3),
        ("*/*", &["2.jsonl"], 3),
        ("**/*", &["1.jsonl", "sub/2.jsonl", "z.jsonl"], 3),
        ("s*/**/*.jsonl", &["2.jsonl"], 1),
        ("s*/../[1z].jsonl", &["1.jsonl", "z.jsonl"], 0),
    ] {
        let found = find(at(pattern));
        assert_eq!(names(&found), expected, "{pattern}");
        assert_eq!(counts(&found), (passed, 0, 0), "{pattern}");
    }
    for (named, expected) in [
        ("masks", "1.jsonl.arrow"),
        ("sub/copy", "1.jsonl.arrow"),
        ("masks/*.arrow", "1.jsonl.arrow"),
        ("sub/run/metrics.jsonl", "metrics.jsonl"),
    ] {
        let found = find(at(named));
        assert_eq!(names(&found), [expected], "{named}");
    }
    let error = find_shards(&[at("sub/run/..").join("[r]un")]).unwrap_err();
    assert!(matches!(error, CorpusError::NoMatch { .. }), "{error:?}");
    assert!(
        error.to_string().contains("passed over: 1 folder"),
        "{error}"
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(at("masks"), at("sub/link")).unwrap();
        fs::remove_dir_all(at("sub/copy")).unwrap();
        let found = find(at("sub"));
        assert_eq!(names(&found), ["2.jsonl"]);
        assert_eq!(counts(&found), (2, 0, 0));
    }
}

#[test]
fn a_corpus_of_nothing_but_results_says_so() {
    let corpus = folder(&["masks/a.jsonl", ".b.jsonl"]);
    fs::create_dir(corpus.path().join("masks/.rho-mask")).unwrap();
    let error = find_shards(&[corpus.path().into()])
        .unwrap_err()
        .to_string();
    let said = format!(
        "got 0 of other names; passed over: 1 folder that rho-mask wrote ({0}/masks), \
         1 name that starts with . or _ ({0}/.b.jsonl)",
        corpus.path().display()
    );
    assert!(error.ends_with(&said), "{error}");
}

/// A cache of the `datasets` library: the data of a set, and the results of two functions that were mapped over it.
const CACHE: &str = "
import sys, datasets
rows = lambda: iter([{'text': f'a text {i}'} for i in range(4)])
made = datasets.Dataset.from_generator(rows, cache_dir=sys.argv[1])
made.map(lambda row: {'text': row['text'] + '!'}).filter(lambda row: row['text'].endswith('3!'))
";

#[test]
fn cached_results_of_datasets_are_no_data() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .args(["-c", CACHE])
        .arg(place.path().join("cache"))
        .env("HF_HOME", place.path().join("home"))
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found = find(place.path().join("cache"));
    assert_eq!(found.shards.len(), 1, "{:?}", names(&found));
    assert!(names(&found)[0].ends_with("generator-train.arrow"));
    let passed = &found.passed_over.caches;
    assert!(passed.count >= 3, "{:?}", found.passed_over);
    // It is read if it is named itself, or if its folder is no dataset.
    let cached = passed.first.clone().unwrap();
    assert_eq!(find(&cached).shards.len(), 1);
    let copied = place.path().join("copied");
    fs::create_dir(&copied).unwrap();
    fs::copy(&cached, copied.join(Path::new(cached.file_name().unwrap()))).unwrap();
    assert_eq!(find(&copied).shards.len(), 1);
}
