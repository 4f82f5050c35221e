//! `convert`, killed and resumed.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    selected::masks,
    support::{assert_same, ended, said, start},
};

/// Kills per target.
const KILLS: usize = 5;

fn convert(masks: &Path, to: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
    command.arg("convert").arg(masks).arg("--out").arg(out);
    command.arg("--to").args(to);
    command.args(["--threads", "2"]).stdin(Stdio::null());
    command
}

#[test]
fn killed_at_random_moments_and_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"));
    let mut state = 2404_07965u64;
    // One of each kind: lines, a dataset with an index, sequences packed to a length, tar, Parquet, several files.
    for to in [
        &["jsonl"][..],
        &["labels", "--length", "512"],
        &["webdataset"],
        &["levanter", "--eos-id", "0"],
        &["litdata", "--eos-id", "0", "--shard-size", "100kB"],
    ] {
        let expected = at(&format!("{}-whole", to[0]));
        let begun = Instant::now();
        let output = ended(&mut convert(&at("masks"), to, &expected));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let takes = begun.elapsed();
        let (mut kills, mut folders) = (0, 0);
        while kills < KILLS {
            folders += 1;
            let out = at(&format!("{}-{folders}", to[0]));
            loop {
                let begun = Instant::now();
                let mut child = start(&mut convert(&at("masks"), to, &out));
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let moment = takes.mul_f64((state >> 33) as f64 / f64::from(1u32 << 31) / 1.5);
                while kills < KILLS
                    && begun.elapsed() < moment
                    && child.try_wait().unwrap().is_none()
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if kills < KILLS {
                    child.kill().unwrap();
                }
                let Some(code) = child.wait().unwrap().code() else {
                    kills += 1;
                    // No reader can mistake a part for the whole.
                    assert!(!out.join("summary.json").exists() || folder_is_whole(&out, &expected));
                    continue;
                };
                assert_eq!(code, 0);
                break;
            }
            assert_same(&out, &expected);
        }
    }
}

/// Whether all files exist, not counting temporary ones.
fn folder_is_whole(folder: &Path, expected: &Path) -> bool {
    let names = |folder| -> Vec<_> {
        let files = crate::support::files(folder).into_iter();
        files.map(|(name, _)| name).collect()
    };
    names(folder) == names(expected)
}
