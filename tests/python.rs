//! The masks of the bundled corpus in the programs that read them: `datasets`, `pyarrow`, `polars`.

use std::process::Command;

use crate::support::{
    bundled::{SHARDS, bundled},
    python::python,
};

const CHECK: &str = include_str!("python.py");

#[test]
fn masks_of_the_bundled_corpus_open_in_python() {
    let Some(python) = python() else { return };
    let bundled = bundled();
    assert_eq!(bundled.ended.code, Some(0), "{}", bundled.ended.stderr);
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .args(["-c", CHECK])
        .arg(&bundled.out)
        .args(SHARDS)
        .env("HF_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
