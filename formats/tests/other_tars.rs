//! Tar files of other programs (Python's tarfile, GNU tar, bsdtar if it is there), against what tarfile reads of them.

use std::collections::BTreeMap;
use std::process::Command;

use rho_formats::{Content, ReadOptions};

use crate::support::python::python;
use crate::support::read_bytes;

const WRITE: &str = include_str!("other_tars.py");

#[test]
fn the_same_members_as_tarfile() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .args(["-c", WRITE])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&output.stdout).unwrap();
    assert!(found.len() >= 4, "{:?}", found.keys());
    for (name, members) in found {
        let bytes = std::fs::read(folder.path().join(&name)).unwrap();
        // Sparse and joined files are what the other oracle cannot read.
        let plain = ["pax.tar", "attributes.tar", "gnu.tar", "plain.tar"].contains(&&*name);
        let name = if plain {
            name
        } else {
            format!("unlike-{name}")
        };
        let documents = read_bytes(&name, &bytes, &ReadOptions::default()).documents();
        let read: Vec<(String, String)> = documents
            .into_iter()
            .map(|document| match document.content {
                Content::Text(text) => (format!("{}.txt", document.id), text),
                _ => panic!("{name}: expected text"),
            })
            .collect();
        let names = |members: &[(String, String)]| -> Vec<String> {
            members.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&read), names(&members), "{name}");
        assert!(read == members, "{name}: the texts differ");
    }
}
