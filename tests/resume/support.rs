//! Runs the program on a small corpus, and compares the files it writes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use prost::Message as _;
use rho_graph::onnx::ModelProto;

/// Some documents of the examples, in several shards.
pub(crate) fn corpus(place: &Path) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/corpus");
    let corpus = place.join("corpus");
    fs::create_dir_all(corpus.join("texts")).unwrap();
    for name in ["bulletin", "notes", "page", "thread"] {
        let name = format!("texts/{name}.txt");
        fs::copy(examples.join(&name), corpus.join(&name)).unwrap();
    }
    let pages = fs::read_to_string(examples.join("pages.jsonl")).unwrap();
    let some: Vec<&str> = pages.lines().take(18).collect();
    let mut first = some[..12].to_vec();
    first.insert(7, "no json");
    fs::write(corpus.join("a.jsonl"), first.join("\n")).unwrap();
    fs::write(corpus.join("b.jsonl"), some[12..].join("\n")).unwrap();
    corpus
}

pub(crate) fn score(corpus: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
    command.arg("score").arg(corpus).arg("--out").arg(out);
    command.args(["--device", "cpu", "--threads", "2"]);
    command.args(["--batch-tokens", "16", "--context", "128"]);
    // The variables of a scheduler around the tests do not apply inside them.
    for name in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "RANK"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn ended(command: &mut Command) -> Output {
    command.output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn start(command: &mut Command) -> Child {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

/// Every file with its bytes, without the run's own records and without times.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(top: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_owned();
            let own = path.file_name().is_some_and(|n| {
                let name = n.to_string_lossy();
                name == ".rho-mask" || name == ".rho-mask-scored"
            });
            if own {
                continue;
            } else if path.is_dir() {
                walk(top, &path, files);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if name == Path::new("summary.json") {
                let mut summary: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                summary.as_object_mut().unwrap().remove("speed");
                bytes = summary.to_string().into_bytes();
            }
            files.push((name, bytes));
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

#[track_caller]
pub(crate) fn assert_same(got: &Path, expected: &Path) {
    let (got, expected) = (files(got), files(expected));
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&got), names(&expected));
    for ((name, got), (_, expected)) in got.iter().zip(&expected) {
        assert!(got == expected, "{} differs", name.display());
    }
}

/// An uninterrupted run, and how long it takes.
pub(crate) fn whole(corpus: &Path, out: &Path) -> Duration {
    whole_of(&mut score(corpus, out))
}

/// The same for a command.
pub(crate) fn whole_of(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = ended(command);
    // One row of the corpus is bad.
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    start.elapsed()
}

/// The demonstration model with some bits of its embedding flipped, so that its scores differ.
pub(crate) fn another_model(folder: &Path) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    fs::create_dir_all(folder).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(demo.join(name), folder.join(name)).unwrap();
    }
    let bytes = fs::read(demo.join("model.onnx")).unwrap();
    let mut model = ModelProto::decode(&bytes[..]).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let embedding = graph
        .initializer
        .iter_mut()
        .find(|tensor| tensor.name() == "model.embed_tokens.weight");
    let stored = &mut embedding.unwrap().raw_data;
    let mut numbers = stored.take().unwrap().to_vec();
    for byte in numbers.iter_mut().step_by(100) {
        *byte ^= 1;
    }
    *stored = Some(numbers.into());
    fs::write(folder.join("model.onnx"), model.encode_to_vec()).unwrap();
}
