//! Masks as Arrow files and Parquet, killed and resumed: also while a file gets its last form.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    selected::masks,
    support::{assert_same, corpus, ended, said, score, start},
};

const KILLS: usize = 8;

/// Kills a command at random moments until it was killed often enough; then it ends, and the folder is the expected one.
fn killed(command: &dyn Fn(&Path) -> Command, place: &Path, code: i32) {
    let expected = place.join("whole");
    let begun = Instant::now();
    let whole = ended(&mut command(&expected));
    assert_eq!(whole.status.code(), Some(code), "{}", said(&whole));
    let mut takes = begun.elapsed();
    let (mut kills, mut folders) = (0, 0);
    let mut state = 2404_07965u64;
    while kills < KILLS {
        folders += 1;
        let out = place.join(format!("killed-{folders}"));
        loop {
            let begun = Instant::now();
            let mut child = start(&mut command(&out));
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
            let Some(ended) = child.wait().unwrap().code() else {
                kills += 1;
                continue;
            };
            assert_eq!(ended, code);
            takes = takes.min(begun.elapsed().max(Duration::from_millis(50)));
            break;
        }
        // Nothing else is left: neither a stream nor a half-written file.
        assert_same(&out, &expected);
        fs::remove_dir_all(&out).unwrap();
    }
    fs::remove_dir_all(&expected).unwrap();
}

#[test]
fn score_is_killed_and_resumed() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    for options in [
        &["--format", "arrow-file", "--shard-size", "20kB"][..],
        &["--format", "parquet", "--shard-size", "20kB"],
        &["--format", "parquet", "--scope", "corpus"],
    ] {
        let command = |out: &Path| {
            let mut command = score(&corpus, out);
            command.args(options);
            command
        };
        killed(&command, place.path(), 1);
    }
}

#[test]
fn select_and_merge_are_killed_and_resumed() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("masks");
    masks(&input);
    for format in ["arrow-file", "parquet"] {
        for words in [
            &["select", "--by", "loss", "--scope", "document"][..],
            &["merge", "--on-duplicate", "first"],
        ] {
            let command = |out: &Path| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
                command.args(words).arg(&input);
                if words[0] == "merge" {
                    command.arg(&input);
                }
                command.args(["--format", format, "--threads", "2", "--out"]);
                command.arg(out).stdin(Stdio::null());
                command
            };
            killed(&command, place.path(), 0);
        }
    }
}
