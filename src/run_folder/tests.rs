//! Tests that a run folder is created, resumed, refused and started over, and that its shards survive interruptions.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command as Process, Stdio},
    sync::Mutex,
};

use rho_files::InsidePath;
use rho_formats::{MaskFile, MasksFolder, OutputError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Command, Opening, RecordedPlan, RecordedShard, RunFolder, ShardRecord, Shards, on_threads,
    shards,
};
use crate::{hint, stop::Stop, terminal};

/// The variable that names the folder that a second process of this test locks.
const HOLD: &str = "RHO_MASK_TEST_HOLD";

fn recorded(command: Command, keep: f64, shards: &[&str]) -> RecordedPlan {
    let shards = shards.iter().map(|name| RecordedShard {
        name: InsidePath::new(*name).unwrap(),
        bytes: 1,
    });
    let settings = match command {
        Command::Score => json!({"keep": keep}),
        command => json!({"command": command.name(), "keep": keep}),
    };
    RecordedPlan::of_files(settings, shards.collect())
}

fn opening(path: &Path, command: Command, keep: f64) -> Opening<'_> {
    Opening {
        path,
        command,
        plan: recorded(command, keep, &["a", "b"]),
        restart: false,
        rank: None,
    }
}

/// Opens a folder; fails if that would remove anything.
fn open(opening: &Opening<'_>) -> anyhow::Result<RunFolder> {
    RunFolder::open(opening, |_, _| panic!("cleared"))
}

fn refused(opening: &Opening<'_>) -> String {
    let error = RunFolder::open(opening, |_, _| panic!("cleared")).map(|_| ());
    error.unwrap_err().to_string()
}

fn note(path: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(path.join(".rho-mask").join(name)).unwrap()).unwrap()
}

#[test]
fn a_new_folder_records_its_plan_and_is_resumed() {
    let place = tempfile::tempdir().unwrap();
    for command in [
        Command::Score,
        Command::Select,
        Command::Convert,
        Command::Dynamics,
    ] {
        let path = place.path().join(command.name());
        let first = opening(&path, command, 0.5);
        let folder = open(&first).unwrap();
        assert_eq!(folder.plan, first.plan);
        drop(folder);
        let plan = note(&path, "plan.json");
        assert_eq!(plan["plan"], first.plan.settings);
        assert_eq!(plan["shards"][1], json!({"name": "b", "bytes": 1}));
        let dataset = path.join("dataset_info.json").exists();
        assert_eq!(dataset, command != Command::Convert);
        // Sizes may change: finished shards are identified in another way.
        let mut again = opening(&path, command, 0.5);
        again.plan.shards[0].bytes = 2;
        assert_eq!(open(&again).unwrap().plan, first.plan);
    }
}

#[test]
fn another_command_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let cases = [
        (
            Command::Select,
            Command::Score,
            "`select`, got one that `score` writes",
        ),
        (
            Command::Convert,
            Command::Score,
            "`convert`, got one of masks",
        ),
        (
            Command::Dynamics,
            Command::Score,
            "`dynamics`, got one with masks",
        ),
        (
            Command::Convert,
            Command::Select,
            "`convert`, got one of masks",
        ),
        (
            Command::Dynamics,
            Command::Select,
            "`dynamics`, got one with masks",
        ),
        (
            Command::Score,
            Command::Convert,
            "masks, got one of `convert`",
        ),
        (
            Command::Select,
            Command::Convert,
            "masks, got one of `convert`",
        ),
        (
            Command::Dynamics,
            Command::Convert,
            "`dynamics`, got one of `convert`",
        ),
        (
            Command::Select,
            Command::Dynamics,
            "`select`, got one of `dynamics`",
        ),
        (
            Command::Convert,
            Command::Dynamics,
            "`convert`, got one of `dynamics`",
        ),
    ];
    for (i, (own, other, said)) in cases.into_iter().enumerate() {
        let path = place.path().join(i.to_string());
        drop(open(&opening(&path, other, 0.5)).unwrap());
        let before = files(&path);
        for restart in [false, true] {
            let wanted = Opening {
                restart,
                ..opening(&path, own, 0.5)
            };
            let error = refused(&wanted);
            assert!(error.contains(said), "{own:?} in {other:?}: {error}");
        }
        assert_eq!(files(&path), before, "{own:?} in {other:?}");
    }
    // `score` may start over in a folder with other masks.
    let path = place.path().join("masks");
    drop(open(&opening(&path, Command::Select, 0.5)).unwrap());
    let error = refused(&opening(&path, Command::Score, 0.5));
    let said = "got another plan: the command: select before, score now";
    assert!(error.contains(said), "{error}");
}

#[test]
fn other_settings_and_other_shards_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    drop(open(&opening(&path, Command::Select, 0.5)).unwrap());
    let error = refused(&opening(&path, Command::Select, 0.25));
    assert!(error.contains("--keep: 0.5 before, 0.25 now"), "{error}");
    let fewer = Opening {
        plan: recorded(Command::Select, 0.5, &["a"]),
        ..opening(&path, Command::Select, 0.5)
    };
    let error = refused(&fewer);
    let said = "shards: 2 before, 1 now (b is missing now)";
    assert!(error.contains(said), "{error}");
    assert_eq!(note(&path, "plan.json")["plan"]["keep"], 0.5);
}

#[test]
fn starting_over_clears_what_is_ours() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    drop(open(&opening(&path, Command::Select, 0.5)).unwrap());
    for name in ["a", "c", "mine"] {
        fs::write(path.join(name), name).unwrap();
    }
    let wanted = Opening {
        plan: recorded(Command::Select, 0.25, &["b", "c"]),
        restart: true,
        ..opening(&path, Command::Select, 0.25)
    };
    let clear = |folder: &MasksFolder, shards: &[&str]| {
        // The recorded shards, then those of the new plan.
        assert_eq!(shards, ["a", "b", "b", "c"]);
        let files = shards.iter().map(|name| MaskFile {
            name: InsidePath::new(*name).unwrap(),
            bytes: 0,
            rewritten: false,
        });
        let files: Vec<MaskFile> = files.collect();
        Ok(folder.clear([], &files)?)
    };
    drop(RunFolder::open(&wanted, clear).unwrap());
    assert!(!path.join("a").exists() && !path.join("c").exists());
    assert!(path.join("mine").exists(), "what is not ours is removed");
    assert_eq!(note(&path, "plan.json")["plan"]["keep"], 0.25);
}

#[test]
fn damaged_notes_are_said_and_started_over() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    drop(open(&opening(&path, Command::Select, 0.5)).unwrap());
    let shards = path.join(".rho-mask/shards");
    fs::create_dir_all(&shards).unwrap();
    fs::write(shards.join("a.json"), "{\"files\": 3}").unwrap();
    let folder = open(&opening(&path, Command::Select, 0.5)).unwrap();
    let error = Shards::<Record>::resume(&folder.files, ["a"]).map(|_| ());
    let error = error.unwrap_err();
    let said = "a.json: expected a record of a run, got something else";
    assert!(error.to_string().contains(said), "{error}");
    assert!(hint::of(&error).unwrap().contains("--restart"));
    drop(folder);

    fs::write(path.join(".rho-mask/plan.json"), "{").unwrap();
    let error = refused(&opening(&path, Command::Select, 0.5));
    assert!(
        error.contains("plan.json: expected a record of a run"),
        "{error}"
    );
    let over = Opening {
        restart: true,
        ..opening(&path, Command::Select, 0.5)
    };
    drop(RunFolder::open(&over, |folder, _| Ok(folder.clear_records()?)).unwrap());
    drop(open(&opening(&path, Command::Select, 0.5)).unwrap());
}

#[test]
fn two_processes_do_not_write_to_one_folder() {
    if let Some(path) = env::var_os(HOLD) {
        let held = open(&opening(Path::new(&path), Command::Select, 0.5));
        let _held = held.unwrap();
        terminal::data("\nheld").unwrap();
        // Wait until the process is killed.
        std::io::stdin().lock().lines().for_each(drop);
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    let name = "run_folder::tests::two_processes_do_not_write_to_one_folder";
    let mut other = Process::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOLD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = wait_for(&mut other, "held");
    let wanted = opening(&path, Command::Select, 0.5);
    if said {
        let error = refused(&wanted);
        assert!(
            error.contains("another run is writing to it (rank 0 of 1)"),
            "{error}"
        );
    }
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(said, "the other process did not open the folder");
    open(&wanted).unwrap();
}

fn wait_for(process: &mut Child, line: &str) -> bool {
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    lines.any(|said| said == line)
}

#[test]
fn ranks_share_a_folder_and_no_rank_is_there_twice() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    let of = |rank, world_size| Opening {
        rank: Some((rank, world_size)),
        ..opening(&path, Command::Score, 0.5)
    };
    let _first = open(&of(0, 2)).unwrap();
    let _second = open(&of(1, 2)).unwrap();
    assert!(refused(&of(1, 2)).contains("another run is writing to it (rank 1 of 2)"));
    // With another world size, two ranks would write some of the same shards.
    assert!(refused(&of(2, 3)).contains("another run is writing to it (rank"));
}

/// A shard of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    files: Vec<MaskFile>,
}

impl ShardRecord for Record {
    const NOTES: &'static str = "shards";

    fn files(&self) -> &[MaskFile] {
        &self.files
    }

    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError> {
        folder.publish_copy(file)
    }

    fn missing(shard: &str, _: &MaskFile) -> String {
        format!("{shard} is missing")
    }
}

/// Creates the file of a shard under its temporary name.
fn made(folder: &MasksFolder, shard: &str) -> Record {
    let path = folder.path().join(shard);
    fs::write(rho_files::partial(&path), "text").unwrap();
    Record {
        files: vec![MaskFile {
            name: InsidePath::new(shard).unwrap(),
            bytes: 4,
            rewritten: false,
        }],
    }
}

#[test]
fn shards_are_resumed_wherever_a_run_was_killed() {
    let place = tempfile::tempdir().unwrap();
    let folder = open(&opening(&place.path().join("out"), Command::Select, 0.5)).unwrap();
    let folder = &folder.files;
    let names = ["done", "recorded", "written", "gone", "sub/never"];
    for name in &names[..4] {
        let record = made(folder, name);
        match *name {
            // Killed before the record: the shard is not done.
            "written" => {}
            // Killed after the record: the file still has its temporary name.
            "recorded" => {
                shards::complete(folder, name, &record).unwrap();
                let path = folder.path().join(name);
                fs::rename(&path, rho_files::partial(&path)).unwrap();
            }
            _ => shards::complete(folder, name, &record).unwrap(),
        }
    }
    fs::remove_file(folder.path().join("gone")).unwrap();
    let mut shards = Shards::<Record>::resume(folder, names).unwrap();
    assert_eq!(shards.done().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(shards.todo().collect::<Vec<_>>(), [2, 3, 4]);
    assert!(folder.path().join("recorded").exists());

    fs::create_dir(folder.path().join("sub")).unwrap();
    let after = Mutex::new(Vec::new());
    let worked = shards.work(
        1,
        &[0, 0, 2, 1, 3],
        &Stop::default(),
        |i| Ok(Some(made(folder, names[i]))),
        |i| after.lock().unwrap().push(i),
    );
    worked.unwrap();
    assert_eq!(after.into_inner().unwrap(), [4, 2, 3], "the largest first");
    assert_eq!((shards.done().count(), shards.len()), (5, 5));
    let mut found = shards::recorded::<Record>(folder).unwrap();
    found.sort();
    assert_eq!(found, ["done", "gone", "recorded", "sub/never", "written"]);
    for name in names {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn what_is_done_stays_where_a_shard_fails_or_the_run_is_to_stop() {
    let place = tempfile::tempdir().unwrap();
    let folder = open(&opening(&place.path().join("out"), Command::Select, 0.5)).unwrap();
    let folder = &folder.files;
    let names = ["a", "b", "c", "d"];
    let stop = Stop::default();
    let mut shards = Shards::<Record>::resume(folder, names).unwrap();
    let work = |i: usize| match i {
        1 => anyhow::bail!("b is broken"),
        i => Ok(Some(made(folder, names[i]))),
    };
    let error = shards.work(1, &[0; 4], &stop, work, |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "b is broken");
    assert_eq!(shards.done().collect::<Vec<_>>(), [0]);

    let mut shards = Shards::<Record>::resume(folder, names).unwrap();
    assert_eq!(shards.done().collect::<Vec<_>>(), [0]);
    let work = |i: usize| match i {
        2 => {
            stop.request();
            Ok(None)
        }
        i => Ok(Some(made(folder, names[i]))),
    };
    shards.work(1, &[0; 4], &stop, work, |_| ()).unwrap();
    let shards = Shards::<Record>::resume(folder, names).unwrap();
    assert_eq!(shards.done().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_error_of_one_thread_stops_the_others_and_is_the_one_that_is_returned() {
    let stop = Stop::default();
    let failed = on_threads(3, usize::MAX, &stop, |next| match next() {
        Some(0) => anyhow::bail!("first"),
        // Ends only because another thread failed.
        _ => {
            while next().is_some() {
                std::thread::yield_now();
            }
            anyhow::bail!("later")
        }
    });
    assert_eq!(failed.unwrap_err().to_string(), "first");

    stop.request();
    let worked = on_threads(2, 5, &stop, |next| {
        assert_eq!(next(), None);
        Ok(())
    });
    worked.unwrap();
}

#[test]
fn every_number_is_taken_once() {
    let taken = Mutex::new(vec![0; 100]);
    let worked = on_threads(4, 100, &Stop::default(), |next| {
        while let Some(i) = next() {
            taken.lock().unwrap()[i] += 1;
        }
        Ok(())
    });
    worked.unwrap();
    assert_eq!(taken.into_inner().unwrap(), [1; 100]);
    on_threads(4, 0, &Stop::default(), |_| anyhow::bail!("no work")).unwrap();
}

/// All files of a folder, except locks.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for below in [folder.to_owned(), folder.join(".rho-mask")] {
        for entry in fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
