//! A test for each target. They run one at a time, because each counts the memory of the whole process.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mutations::{Random, mutation};
use crate::targets::{ALL, Target};

/// The random seed of the damage. Any number will do.
const START: u64 = 2026;

/// The time limit of an input, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

static TURN: Mutex<()> = Mutex::new(());

fn run(name: &str, mutations: usize) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let target = ALL.iter().find(|target| target.name == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    let whole = files.iter().map(|file| file.display().to_string());
    let mut failed: Vec<_> = whole
        .zip(&seeds)
        .filter(|(_, seed)| !passes(target, seed))
        .map(|(file, _)| file)
        .collect();
    let mut random = Random(START);
    for index in 0..mutations {
        let bytes = mutation(&seeds, &mut random);
        if !passes(target, &bytes) {
            let kept = format!("failed-{name}-{index}");
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(kept);
            fs::write(&kept, &bytes).unwrap();
            failed.push(kept.display().to_string());
        }
    }
    assert!(failed.is_empty(), "from {START} on: {failed:#?}");
}

/// Whether an input passes.
fn passes(target: &Target, bytes: &[u8]) -> bool {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.try_bytes(bytes)));
    let took = begun.elapsed();
    outcome.is_ok() && took < LONGEST
}

macro_rules! runs {
    ($($name:ident $mutations:literal)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $mutations);
        })*

        /// Checks that no target is missing.
        #[test]
        fn all_targets_run() {
            let names = ALL.map(|target| target.name);
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

runs! {
    json_lines 300
    text 300
    tar 300
    parquet 600
    arrow_file 400
    arrow_stream 400
    compressed 300
    dataset 300
    arguments 60
    masks 1500
}
