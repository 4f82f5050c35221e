//! Killed, interrupted, out of disk space: the final folder is identical to that of an uninterrupted run.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    another_model, assert_same, corpus, ended, said, score, start, whole, whole_of,
};

/// Kills in the short test, and in the long one.
const FEW: usize = 12;
const MANY: usize = 200;
/// The random seed of the moments of the kills.
const SEED: u64 = 2404_07965;

/// Waits until a part of a shard is done, but not all.
fn wait_until_begun(out: &Path) {
    let record = out.join(".rho-mask/shards/a.jsonl.json");
    let begun = Instant::now();
    while !fs::read_to_string(&record).is_ok_and(|text| text.contains("\"hash\"")) {
        assert!(
            begun.elapsed() < Duration::from_secs(600),
            "nothing was started"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the seed is what makes a failure come again"
)]
fn killed_and_gone_on_with(kills: usize, scope: Option<&str>, options: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let base = place.path().join("base");
    if scope.is_some() {
        another_model(&base);
    }
    let score = |out: &Path| {
        let mut command = score(&corpus, out);
        command.args(options);
        if let Some(scope) = scope {
            command.arg("--base").arg(&base);
            command.args(["--by", "excess", "--scope", scope]);
        }
        command
    };
    let expected = place.path().join("whole");
    let mut takes = whole_of(&mut score(&expected));
    println!("seed {SEED}, {kills} kills");
    let mut state = SEED;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let (mut done, mut folder) = (0, 0);
    while done < kills {
        folder += 1;
        let out = place.path().join(format!("masks-{folder}"));
        loop {
            let begun = Instant::now();
            let mut child = start(&mut score(&out));
            // Up to a third of the remaining time of the run; the rest is for later starts.
            let moment = takes.mul_f64(random() / 3.0);
            while done < kills && begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            if done < kills {
                child.kill().unwrap();
            }
            let Some(code) = child.wait().unwrap().code() else {
                done += 1;
                continue;
            };
            assert_eq!(code, 1);
            // It ended before its moment: the machine is less busy than during the measured run.
            takes = takes.min(begun.elapsed().max(Duration::from_millis(200)));
            break;
        }
        assert_same(&out, &expected);
    }
    println!("{done} kills in {folder} folders");
}

#[test]
fn killed_at_random_moments() {
    killed_and_gone_on_with(FEW, None, &[]);
}

#[test]
fn killed_at_random_moments_with_a_base() {
    killed_and_gone_on_with(FEW / 2, Some("batch"), &[]);
}

#[test]
fn killed_at_random_moments_with_the_most_likely_tokens() {
    let options = ["--top", "4", "--score-dtype", "float16"];
    killed_and_gone_on_with(FEW / 2, None, &options);
}

#[test]
fn killed_at_random_moments_before_the_corpus_is_ranked() {
    killed_and_gone_on_with(FEW / 2, Some("corpus"), &[]);
}

#[test]
#[ignore = "takes a quarter of an hour; run it with --ignored"]
fn killed_at_many_random_moments() {
    killed_and_gone_on_with(MANY, None, &[]);
}

#[test]
fn interrupted_refused_and_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let (expected, out) = (place.path().join("whole"), place.path().join("masks"));
    whole(&corpus, &expected);

    let mut running = score(&corpus, &out);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = running.spawn().unwrap();
    let pid = running.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    };
    wait_until_begun(&out);
    // Paused, so that it does not end before the second one has started.
    signal("-STOP");
    let second = ended(&mut score(&corpus, &out));
    assert_eq!(second.status.code(), Some(2));
    let refused = said(&second);
    assert!(
        refused.contains("another run is writing to it"),
        "{refused}"
    );
    signal("-INT");
    signal("-CONT");
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let go_on = format!("--out {}", out.display());
    let last = said(&output);
    assert!(
        last.contains("resume with: ") && last.contains(&go_on),
        "{last}"
    );

    let changed = ended(score(&corpus, &out).args(["--keep", "0.5"]));
    assert_eq!(changed.status.code(), Some(2));
    assert!(
        said(&changed).contains("0.7 before, 0.5 now"),
        "{}",
        said(&changed)
    );
    let unfinished = Command::new(env!("CARGO_BIN_EXE_rho-mask"))
        .arg("finish")
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(unfinished.status.code(), Some(2));
    assert!(
        said(&unfinished).contains("b.jsonl (not started)"),
        "{}",
        said(&unfinished)
    );

    whole(&corpus, &out);
    assert_same(&out, &expected);
    let again = ended(&mut score(&corpus, &out));
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("masked already"), "{}", said(&again));
    assert_same(&out, &expected);
    let over = ended(score(&corpus, &out).arg("--restart"));
    assert_eq!(over.status.code(), Some(1));
    assert_same(&out, &expected);
}

/// A limit on the file size acts as a full disk. Each start gets a little further.
#[test]
fn no_room_and_then_room() {
    let place = tempfile::tempdir().unwrap();
    let corpus = corpus(place.path());
    let (expected, out) = (place.path().join("whole"), place.path().join("masks"));
    whole(&corpus, &expected);
    for kilobytes in ["20", "40"] {
        let command = score(&corpus, &out);
        let mut limited = Command::new("bash");
        let script = "ulimit -f $0 && trap '' XFSZ && exec \"$@\"";
        limited.args(["-c", script, kilobytes]);
        limited.arg(command.get_program()).args(command.get_args());
        let output = ended(&mut limited);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let told = said(&output);
        assert!(
            told.contains("cannot be written") && told.contains("make room"),
            "{told}"
        );
    }
    whole(&corpus, &out);
    assert_same(&out, &expected);
}
