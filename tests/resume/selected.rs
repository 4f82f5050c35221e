//! `select`, killed and resumed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rho_formats::{MaskRow, MaskSchema, MasksFolder, ScoreType, WriteOptions};
use serde_json::json;

use crate::support::{assert_same, ended, said, start};

/// The number of kills.
const KILLS: usize = 12;

/// A masks folder of many shards, some of several files.
pub(crate) fn masks(out: &Path) {
    let schema = MaskSchema {
        scores: vec!["loss".to_owned()],
        score_type: ScoreType::Float32,
        masks: vec!["mask_old".to_owned()],
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: json!({"format_version": 1}),
    };
    let folder = MasksFolder::create(out).unwrap();
    let mut files = Vec::new();
    for shard in 0..24u32 {
        let name = format!("part/{shard:02}.jsonl");
        let options = WriteOptions {
            file_bytes: 700_000,
            ..WriteOptions::default()
        };
        let mut writer = folder.writer(&name, &schema, options).unwrap();
        for row in 0..1500 + 300 * (shard % 5) {
            let numbers = (0..60u32).map(|i| (i * 7919 + row * 104_729 + shard * 31) % 5003);
            let numbers: Vec<u32> = numbers.collect();
            let row = MaskRow {
                id: row.to_string(),
                row: row.into(),
                scores: vec![numbers.iter().map(|&n| n as f32 / 500.0).collect()],
                masks: vec![numbers.iter().map(|n| n % 3 > 0).collect()],
                input_ids: numbers,
                weights: Vec::new(),
                text: None,
                source: None,
                target: None,
                top: None,
            };
            writer.write(&row).unwrap();
        }
        let written = writer.finish().unwrap();
        folder.publish(&name, &written, &[]).unwrap();
        files.extend(written);
    }
    folder.list(&schema.metadata, &files).unwrap();
    folder.summary(&json!({})).unwrap();
}

fn select(masks: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
    command.arg("select").arg(masks).arg("--out").arg(out);
    command.args(["--by", "loss", "--keep", "0.55", "--scope", "corpus"]);
    command.args(["--threads", "2"]).stdin(Stdio::null());
    command
}

#[test]
fn killed_at_random_moments_and_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let (input, expected) = (place.path().join("masks"), place.path().join("whole"));
    masks(&input);
    let begun = Instant::now();
    let output = ended(&mut select(&input, &expected));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mut takes = begun.elapsed();
    let (mut kills, mut folders) = (0, 0);
    let mut state = 2404_07965u64;
    while kills < KILLS {
        folders += 1;
        let out = place.path().join(format!("killed-{folders}"));
        loop {
            let begun = Instant::now();
            let mut child = start(&mut select(&input, &out));
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let moment = takes.mul_f64((state >> 33) as f64 / f64::from(1u32 << 31) / 1.5);
            while kills < KILLS && begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            if kills < KILLS {
                child.kill().unwrap();
            }
            let Some(code) = child.wait().unwrap().code() else {
                kills += 1;
                // No reader can mistake a part for the whole: either there is no list of files, or all of them are
                // there.
                let whole = out.join("state.json").exists();
                let names = fs::read_dir(out.join("part")).map_or(0, Iterator::count);
                assert!(!whole || names >= 24, "{names}");
                continue;
            };
            assert_eq!(code, 0);
            takes = takes.min(begun.elapsed().max(Duration::from_millis(50)));
            break;
        }
        assert_same(&out, &expected);
    }
}

#[cfg(unix)]
#[test]
fn interrupted_locked_and_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"));
    let output = ended(&mut select(&at("masks"), &at("whole")));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mut command = select(&at("masks"), &at("out"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    let signal = |name: &str| {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    };
    let begun = Instant::now();
    while !at("out/.rho-mask/shards").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "nothing was started"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    // Paused, so that it does not end before the second one has started.
    signal("-STOP");
    let second = ended(&mut select(&at("masks"), &at("out")));
    assert_eq!(second.status.code(), Some(2));
    let refused = said(&second);
    assert!(
        refused.contains("another run is writing to it"),
        "{refused}"
    );
    // `select` refuses an unfinished folder.
    let from = ended(&mut select(&at("out"), &at("other")));
    assert_eq!(from.status.code(), Some(2));
    assert!(
        said(&from).contains("expected a finished masks folder"),
        "{}",
        said(&from)
    );
    signal("-INT");
    signal("-CONT");
    let output = child.wait_with_output().unwrap();
    let last = said(&output);
    assert_eq!(output.status.code(), Some(130), "{last}");
    assert!(
        last.contains("of 24 shards are done") && last.contains("resume with: "),
        "{last}"
    );
    let output = ended(&mut select(&at("masks"), &at("out")));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_same(&at("out"), &at("whole"));
}
