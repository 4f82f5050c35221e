//! Other programs open the masks: `datasets`, `pyarrow`, `polars`; and `xxhash` computes the same keys.

use std::process::Command;

use rho_formats::MasksFolder;

use crate::masks::{begin, finish, list, row, write};
use crate::support::python::python;

const CHECK: &str = include_str!("other_readers.py");

#[test]
fn masks_open_in_python() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("masks");
    let folder = MasksFolder::create(&path).unwrap();
    let run = |stage: &str| {
        let output = Command::new(&python)
            .args(["-c", CHECK, stage])
            .arg(&path)
            .env("HF_HOME", place.path().join("home"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stage}: {said}");
    };
    run("empty");
    // `other_readers.py` has the same rows: change both.
    let rows: Vec<_> = [0, 1, 5, 300, 0, 2]
        .into_iter()
        .zip(0..)
        .map(|(tokens, index)| row(index, tokens))
        .collect();
    let mut unfinished = begin(&folder, "b/z.jsonl");
    let a = write(&folder, "a.jsonl.gz", &rows[..4]);
    list(&folder, &[&a]);
    run("first");
    for row in &rows[4..] {
        unfinished.write(row).unwrap();
    }
    let b = finish(&folder, "b/z.jsonl", unfinished);
    let none = write(&folder, "sub/folder/none.txt", &[]);
    list(&folder, &[&b, &a, &none]);
    run("all");
}
