//! Split among ranks, streamed, compressed: the masks are the same.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
};

use crate::support::{assert_same, corpus, ended, said, score, whole};

#[test]
fn ranks_side_by_side() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let (expected, out) = (place.path().join("whole"), place.path().join("masks"));
    whole(&corpus, &expected);
    let rank = |rank: usize| {
        let mut command = score(&corpus, &out);
        command.args(["--world-size", "7"]);
        // The rank from SLURM's variables, or from the command line.
        if rank < 3 {
            command.env("SLURM_ARRAY_TASK_ID", (rank + 1).to_string());
            command.env("SLURM_ARRAY_TASK_MIN", "1");
        } else {
            command.args(["--rank", &rank.to_string()]);
        }
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
        quiet.spawn().unwrap()
    };
    let running: Vec<Child> = (0..7).map(rank).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{}",
            said(&output)
        );
    }
    assert_same(&out, &expected);
}

#[test]
fn a_stream_and_its_reader() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path()).join("texts");
    let output = ended(&mut score(&corpus, Path::new("-")));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let stream = place.path().join("stream.arrow");
    fs::write(&stream, &output.stdout).unwrap();
    let ids = |path: &Path| -> Vec<String> {
        let rows = rho_formats::read_masks(path).unwrap();
        rows.map(|row| format!("{:?}", row.unwrap())).collect()
    };
    let out = place.path().join("masks");
    assert_eq!(ended(&mut score(&corpus, &out)).status.code(), Some(0));
    assert_eq!(ids(&stream), ids(&out));

    let mut piped = score(&corpus, Path::new("-"));
    let mut child = piped
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!said(&output).contains("error"), "{}", said(&output));
}

#[test]
fn every_way_to_store_masks() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let out = place.path().join("masks");
    let mut command = score(&corpus, &out);
    command.args([
        "--score-dtype",
        "float16",
        "--compression",
        "zstd",
        "--keep-text",
    ]);
    command.args([
        "--shard-size",
        "10kB",
        "--scope",
        "document",
        "--progress",
        "json",
    ]);
    let output = ended(&mut command);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(out.join("a.jsonl.00001.arrow").exists());
    let reader = rho_formats::read_masks(&out).unwrap();
    assert!(reader.schema().text && reader.schema().masks.len() == 3);
    let rows: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(rows.len(), 22);
    let texts: usize = rows
        .iter()
        .filter_map(|row| row.text.as_ref())
        .map(String::len)
        .sum();
    assert!(texts > 5_000);
    let told = said(&output);
    let events: Vec<serde_json::Value> = told
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = events.last().unwrap();
    assert_eq!(last["event"], "end");
    assert_eq!((&last["shards"], &last["rejected"]), (&6.into(), &1.into()));
    assert!(last["tokens"].as_u64() > Some(1_000));
}
