//! `merge`, killed and resumed.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    selected::masks,
    support::{assert_same, ended, said, start},
};

const KILLS: usize = 6;

fn merge(inputs: [&Path; 2], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
    command.arg("merge").args(inputs).arg("--out").arg(out);
    command.args(["--on-duplicate", "first", "--threads", "2"]);
    command.stdin(Stdio::null());
    command
}

#[test]
fn killed_at_random_moments_and_resumed() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("a"));
    // Other shards, some documents of which are in the first folder too.
    let selected = Command::new(env!("CARGO_BIN_EXE_rho-mask"))
        .arg("select")
        .arg(at("a"))
        .args(["--by", "loss", "--scope", "document", "--out"])
        .arg(at("b"))
        .output()
        .unwrap();
    assert!(selected.status.success(), "{}", said(&selected));
    let merged = |out: &str| merge([&at("b"), &at("b")], &at(out));
    let begun = Instant::now();
    let output = ended(&mut merged("whole"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let takes = begun.elapsed();
    for kill in 0..KILLS {
        let out = format!("killed-{kill}");
        let mut child = start(&mut merged(&out));
        let moment = takes.mul_f64((kill + 1) as f64 / (KILLS + 1) as f64);
        let begun = Instant::now();
        while begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let output = ended(&mut merged(&out));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_same(&at(&out), &at("whole"));
    }
}
