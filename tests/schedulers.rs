//! Ranks that come from schedulers: their environment variables, and the examples for SLURM and Kubernetes, with
//! stand-ins for what the schedulers do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::corpus_folders::assert_same;
use crate::support::{Ended, Run, python::python, read_json, root, tiny::tiny, write};

/// What schedulers set; the tests themselves may run in one.
const VARIABLES: [&str; 12] = [
    "SLURM_STEP_ID",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_ARRAY_TASK_COUNT",
    "JOB_COMPLETION_INDEX",
    "JOB_COMPLETIONS",
    "RANK",
    "WORLD_SIZE",
];

/// A corpus of some shards, a model, and their masks by one run.
struct Place {
    folder: tempfile::TempDir,
    corpus: PathBuf,
    model: PathBuf,
    expected: PathBuf,
}

impl Place {
    /// With so many shards; with a row that is no document, if asked.
    fn new(shards: usize, is_broken: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for shard in 0..shards {
            let lines =
                (0..=shard).map(|row| json!({"text": format!("{row} and {shard} are more")}));
            let mut lines: Vec<String> = lines.map(|line| line.to_string()).collect();
            if is_broken && shard == 1 {
                lines.push(json!({"text": null}).to_string());
            }
            write(&at(&format!("corpus/{shard}.jsonl")), lines.join("\n"));
        }
        let model = tiny(&at("reference"));
        let (corpus, expected) = (at("corpus"), at("expected"));
        let single = Run::score(&corpus, &expected).arg("--model").arg(&model);
        without_scheduler(single, &[]).ends_with(i32::from(is_broken));
        Self {
            folder,
            corpus,
            model,
            expected,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One rank of a run, in the environment of a scheduler.
    fn rank(&self, out: &Path, options: &[&str], environment: &[(&str, &str)]) -> Run {
        let run = Run::score(&self.corpus, out)
            .arg("--model")
            .arg(&self.model);
        without_scheduler(run.args(options), environment)
    }

    /// A folder for `PATH` with the program and scripts.
    fn programs(&self, scripts: &[(&str, &str)]) -> PathBuf {
        let folder = self.at("bin");
        let program = Path::new(env!("CARGO_BIN_EXE_rho-mask"));
        fs::create_dir_all(&folder).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            symlink(program, folder.join("rho-mask")).unwrap();
            for (name, text) in scripts {
                write(&folder.join(name), text);
                let executable = fs::Permissions::from_mode(0o755);
                fs::set_permissions(folder.join(name), executable).unwrap();
            }
        }
        folder
    }
}

fn without_scheduler(mut run: Run, environment: &[(&str, &str)]) -> Run {
    for name in VARIABLES {
        run.0.env_remove(name);
    }
    run.0.envs(environment.iter().copied());
    run
}

#[test]
fn ranks_of_schedulers_are_one_run() {
    let place = Place::new(5, false);
    let array = |task: &'static str| {
        vec![
            ("SLURM_ARRAY_TASK_ID", task),
            ("SLURM_ARRAY_TASK_MIN", "4"),
            ("SLURM_ARRAY_TASK_MAX", "7"),
            ("SLURM_ARRAY_TASK_STEP", "3"),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            // The script of each task of the array.
            ("SLURM_PROCID", "0"),
        ]
    };
    let of = |rank: &'static str, names: [&'static str; 2]| vec![(names[0], rank), (names[1], "2")];
    let slurm = ["SLURM_PROCID", "SLURM_NTASKS"];
    let kubernetes = ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"];
    let launcher = ["RANK", "WORLD_SIZE"];
    let schedulers = [
        ("srun", vec![], [of("0", slurm), of("1", slurm)]),
        ("array", vec![], [array("4"), array("7")]),
        ("job", vec![], [of("0", kubernetes), of("1", kubernetes)]),
        (
            "job-and-size",
            vec!["--world-size", "2"],
            ["0", "1"].map(|rank| vec![("JOB_COMPLETION_INDEX", rank)]),
        ),
        ("torchrun", vec![], [of("0", launcher), of("1", launcher)]),
    ];
    for (name, options, ranks) in schedulers {
        let out = place.at(name);
        let options = [&options[..], &["--rank", "auto"]].concat();
        // The last rank first.
        for (rank, environment) in ranks.iter().enumerate().rev() {
            let ended = place.rank(&out, &options, environment).ends_with(0);
            let said = format!("note: rank {rank} of 2, from {}", environment[0].0);
            assert_eq!(ended.lines_with(&said).len(), 1, "{name}: {}", ended.stderr);
            if rank == 1 {
                let ended = Run::new(&["finish"]).arg(&out).ends_with(2);
                assert_eq!(ended.lines_with("all shards to be done").len(), 1);
            }
        }
        Run::new(&["finish"]).arg(&out).ends_with(0);
        assert_same(&out, &place.expected);
        // Each rank resumes as itself, and finds nothing to do.
        let again = place.rank(&out, &options, &ranks[1]).ends_with(0);
        assert_eq!(again.lines_with("masked already").len(), 1, "{name}");
        assert_same(&out, &place.expected);
    }
}

#[test]
fn the_plan_has_the_rank_that_was_found() {
    let place = Place::new(1, false);
    let plan = |options: &[&str], environment: &[(&str, &str)]| -> Value {
        let shown = place.rank(&place.at("none"), options, environment);
        let shown = shown.arg("--show-plan").ends_with(0);
        serde_json::from_str(&shown.stdout).unwrap()
    };
    let slurm = [("SLURM_PROCID", "2"), ("SLURM_NTASKS", "3")];
    let found = plan(&["--rank", "auto"], &slurm);
    let typed = plan(&["--rank", "2", "--world-size", "3"], &[]);
    assert_eq!(
        (&found["rank"], &found["world_size"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(found, typed);
    // A batch job that does not share its corpus.
    let alone = plan(&[], &slurm);
    assert_eq!(
        (&alone["rank"], &alone["world_size"]),
        (&json!(0), &json!(1))
    );
    // From a file of options too.
    write(&place.at("score.toml"), "rank = \"auto\"\n");
    let file = place.at("score.toml").display().to_string();
    assert_eq!(plan(&["--config", &file], &slurm)["rank"], 2);
}

/// Options, an environment, and what the error says.
type Refused = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[test]
fn what_no_rank_can_be_made_of_is_refused() {
    let place = Place::new(1, false);
    const AUTO: &[&str] = &["--rank", "auto"];
    let cases: [Refused; 7] = [
        (AUTO, &[], "--rank auto: expected a rank from a scheduler"),
        (
            AUTO,
            &[("SLURM_PROCID", "1")],
            "SLURM_PROCID is 1: expected --world-size with it, got none",
        ),
        (
            AUTO,
            &[("SLURM_PROCID", "\u{1b}[2J"), ("SLURM_NTASKS", "2")],
            r#"SLURM_PROCID: expected a whole number, got "\u{1b}[2J""#,
        ),
        (
            AUTO,
            &[("JOB_COMPLETION_INDEX", "4"), ("JOB_COMPLETIONS", "4")],
            "JOB_COMPLETION_INDEX and JOB_COMPLETIONS: expected a rank below the number of ranks, 4, got 4",
        ),
        (
            &["--rank", "auto", "--world-size", "3"],
            &[("RANK", "0"), ("WORLD_SIZE", "2")],
            "--world-size 3: expected the number of ranks from RANK and WORLD_SIZE, 2",
        ),
        (
            AUTO,
            &[
                ("SLURM_PROCID", "1"),
                ("SLURM_NTASKS", "2"),
                ("RANK", "5"),
                ("WORLD_SIZE", "16"),
            ],
            "got two: 1 of 2 from SLURM_PROCID and SLURM_NTASKS, and 5 of 16 from RANK and WORLD_SIZE",
        ),
        (&["--rank", "first"], &[], "expected auto or a whole number"),
    ];
    for (options, environment, said) in cases {
        let out = place.at("refused");
        let ended: Ended = place.rank(&out, options, environment).ends_with(2);
        assert_eq!(ended.lines_with(said).len(), 1, "{said}\n{}", ended.stderr);
        let is_typed = options[1] == "first";
        assert!(
            is_typed || !ended.lines_with("hint: ").is_empty(),
            "{}",
            ended.stderr
        );
        assert!(!out.exists());
    }
}

/// Starts the tasks of a step at once and ends with their highest exit code, as srun does.
const SRUN: &str = r#"#!/bin/sh
[ "$1" = --kill-on-bad-exit=0 ] || exit 64
shift
task=0 tasks= highest=0
while [ "$task" -lt "$SLURM_NTASKS" ]; do
    SLURM_PROCID=$task "$@" &
    tasks="$tasks $!"
    task=$((task + 1))
done
for task in $tasks; do
    code=0
    wait "$task" || code=$?
    [ "$code" -le "$highest" ] || highest=$code
done
exit "$highest"
"#;

/// Runs a script of the examples with a folder of programs before the others.
fn shell(programs: &Path, shell: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(shell);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("PATH", format!("{}:{path}", programs.display()))
        .envs(environment.iter().copied())
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[cfg(unix)]
#[test]
fn the_batch_script_for_slurm_shares_and_finishes() {
    let text = fs::read_to_string(root().join("examples/slurm.sbatch")).unwrap();
    let options = text
        .lines()
        .filter_map(|line| line.strip_prefix("#SBATCH "));
    let options: Vec<(&str, &str)> = options
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap();
            (name.strip_prefix("--").unwrap(), value)
        })
        .collect();
    let first_command = text.find("\nset -eu").unwrap();
    assert!(
        text.rfind("#SBATCH").unwrap() < first_command,
        "sbatch stops at the first command"
    );
    let (_, tasks) = options.iter().find(|(name, _)| *name == "ntasks").unwrap();
    assert_eq!(*tasks, "8");
    // The environment of the script itself, which is no task of its own.
    let environment = [("SLURM_NTASKS", *tasks), ("SLURM_PROCID", "0")];

    for is_broken in [false, true] {
        let place = Place::new(11, is_broken);
        let programs = place.programs(&[("srun", SRUN)]);
        let submit = |model: &Path| {
            let out = place.at("masks");
            let paths = [&place.corpus, model, &out].map(|path| path.to_str().unwrap());
            let arguments = [&["examples/slurm.sbatch"], &paths[..], &["--device", "cpu"]].concat();
            let child = shell(&programs, "bash", &arguments, &environment);
            child.wait_with_output().unwrap()
        };
        // A step that fails is not finished.
        let said = ends_with(&submit(&place.at("no-model")), 2);
        assert!(!said.contains("finished"), "{said}");
        for _ in 0..2 {
            let said = ends_with(&submit(&place.model), i32::from(is_broken));
            assert!(said.contains("rank 7 of 8, from SLURM_PROCID"), "{said}");
            assert!(said.contains("finished "), "{said}");
            assert_same(&place.at("masks"), &place.expected);
        }
    }
}

const READ_YAML: &str =
    "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

#[cfg(unix)]
#[test]
fn the_jobs_for_kubernetes_share_and_finish() {
    let Some(python) = python() else { return };
    let mut read = Command::new(python);
    read.args(["-c", READ_YAML])
        .arg(root().join("examples/job.yaml"));
    let output = read.output().unwrap();
    ends_with(&output, 0);
    let jobs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [score, finish] = jobs.as_array().unwrap().as_slice() else {
        panic!("{jobs}");
    };
    for job in [score, finish] {
        assert_eq!(
            (&job["apiVersion"], &job["kind"]),
            (&json!("batch/v1"), &json!("Job"))
        );
    }
    assert_eq!(score["spec"]["completionMode"], "Indexed");
    let completions = score["spec"]["completions"].as_u64().unwrap();
    let container = |job: &Value| job["spec"]["template"]["spec"]["containers"][0].clone();
    let variables = container(score)["env"].as_array().unwrap().clone();
    let count = variables.iter().find(|v| v["name"] == "JOB_COMPLETIONS");
    assert_eq!(count.unwrap()["value"], completions.to_string());

    for is_broken in [false, true] {
        let place = Place::new(6, is_broken);
        // The pods have their files in /data, and GPUs.
        let data = place.folder.path();
        let programs = place.programs(&[("sleep", "#!/bin/sh\nexec /bin/sleep 0.1\n")]);
        let pod = |job: &Value, index: Option<u64>| {
            let container = container(job);
            assert_eq!(container["command"], json!(["sh", "-c"]));
            let script = container["args"][0].as_str().unwrap();
            let script = script.replace("/data/", &format!("{}/", data.display()));
            let script = script.replace("--device cuda", "--device cpu");
            let (count, index) = (completions.to_string(), index.map(|i| i.to_string()));
            let mut environment = vec![("JOB_COMPLETIONS", count.as_str())];
            environment.extend(index.iter().map(|i| ("JOB_COMPLETION_INDEX", i.as_str())));
            shell(&programs, "sh", &["-c", &script], &environment)
        };
        // All pods start at once, and the finishing one before there is a folder.
        let finishing = pod(finish, None);
        let pods: Vec<Child> = (0..completions).map(|i| pod(score, Some(i))).collect();
        for pod in pods {
            ends_with(&pod.wait_with_output().unwrap(), 0);
        }
        let said = ends_with(&finishing.wait_with_output().unwrap(), 0);
        assert!(said.contains("finished "), "{said}");
        assert_same(&place.at("masks"), &place.expected);
        // A pod that is started again, because its end was not seen.
        ends_with(&pod(score, Some(0)).wait_with_output().unwrap(), 0);
        assert_same(&place.at("masks"), &place.expected);
        let summary = read_json(&place.at("masks/summary.json"));
        assert_eq!(summary["shards"], 6);
    }
}
