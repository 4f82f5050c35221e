//! The masks of the bundled corpus in the programs that read them (`datasets`, `pyarrow`, `polars`), and the Python
//! package: its own tests, its wheel, its example.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{
    bundled::{SHARDS, bundled},
    python::{in_environment, install_into, python, python_with},
    root, skipped,
    torch::python_with_torch,
    transformers_4::transformers_4,
};

const CHECK: &str = include_str!("python.py");

#[test]
fn masks_of_the_bundled_corpus_open_in_python() {
    let Some(python) = python() else { return };
    let bundled = bundled();
    assert_eq!(bundled.ended.code, Some(0), "{}", bundled.ended.stderr);
    let home = tempfile::tempdir().unwrap();
    let mut check = Command::new(python);
    check
        .args(["-c", CHECK])
        .arg(&bundled.out)
        .args(SHARDS)
        .env("HF_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1");
    passes(&mut check);
}

/// The tests without large dependencies; the others are ignored here, and reported as such.
#[test]
fn the_package() {
    let Some(python) = python() else { return };
    let large =
        ["with_torch", "consumers", "engines"].map(|name| format!("--ignore=python/tests/{name}"));
    pytest(&python, &large.each_ref().map(String::as_str));
    let ruff = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "ruff"]).args(arguments);
        command.args([
            "python",
            "examples/pipe_train.py",
            "examples/datatrove_step.py",
        ]);
        passes(command.current_dir(root()));
    };
    ruff(&["check"]);
    ruff(&["format", "--check"]);
    let request = "cargo test --test program -- --ignored python";
    skipped(&format!("the wheel, and what needs PyTorch: {request}"));
}

#[test]
#[ignore = "installs PyTorch, 2.5 GB with what is tested beside it; run it with --ignored"]
fn the_package_with_torch() {
    let python = python_with_torch();
    pytest(&python, &["python/tests/with_torch"]);
    // What `attention_mask`, `position_ids` and `use_cache` do differs between versions of Transformers.
    let older = transformers_4();
    pytest_before(
        &older,
        &python,
        &["python/tests/with_torch/test_dataset.py"],
    );
    let mut types = Command::new(&python);
    passes(types.args(["-m", "mypy"]).current_dir(root()));
}

/// Ray Data and Spark, each on a cluster of this machine, and datatrove with its local executor.
#[test]
#[ignore = "installs Ray, Spark and datatrove, 1.4 GB, and needs Java 17; run it with --ignored"]
fn engines() {
    let python = python_with("tests/requirements-engines.txt", None);
    let python = python.unwrap_or_else(|missing| panic!("{missing}"));
    pytest(&python, &["python/tests/engines"]);
}

/// Converted masks in the readers of the trainers they are for.
#[test]
#[ignore = "installs PyTorch, 2.5 GB with the trainers it reads with; run it with --ignored"]
fn other_trainers() {
    let python = python_with_torch();
    pytest(&python, &["python/tests/consumers"]);
    let older = transformers_4();
    pytest_before(&older, &python, &["python/tests/consumers/test_packed.py"]);
}

fn pytest(python: &Path, arguments: &[&str]) {
    pytest_before(Path::new(""), python, arguments);
}

/// Runs tests with the packages of a folder before those of Python.
fn pytest_before(packages: &Path, python: &Path, arguments: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .args(arguments)
        .current_dir(root())
        .env("RHO_MASK_BINARY", env!("CARGO_BIN_EXE_rho-mask"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Tests run in parallel: threads that wait for each other are slower than one.
        .env("OMP_NUM_THREADS", "1")
        // No test needs a GPU, and PyTorch is installed without its GPU libraries.
        .env("CUDA_VISIBLE_DEVICES", "")
        .env("HF_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1")
        .env("PYTHONPATH", packages);
    let said = passes(&mut command);
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        skipped(line);
    }
}

/// The wheel needs nothing else: no active environment, no download, no other folder, no setting.
#[cfg(unix)]
#[test]
#[ignore = "builds the program by itself, which unites other features of its crates; run it with --ignored"]
fn the_wheel_in_a_fresh_environment() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let wheel = wheel(&python, &at("dist"));
    let environment = at("environment");
    install_into(&environment, &[wheel.as_os_str()]).unwrap();
    let program = environment.join("bin/rho-mask");

    fs::create_dir(at("home")).unwrap();
    fs::write(at("text.txt"), "Three and four are seven.").unwrap();
    let alone = |program: &Path| {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", at("home"))
            .env("PATH", "/usr/bin:/bin")
            .env("RHO_MASK_OFFLINE", "1")
            .current_dir(place.path());
        command
    };
    let found = passes(alone(&program).arg("doctor"));
    let packages = environment.canonicalize().unwrap().join("lib");
    let used = found.lines().find(|line| line.starts_with("use"));
    let used = used.unwrap_or_else(|| panic!("{found}"));
    assert!(used.contains(packages.to_str().unwrap()), "{found}");
    // Another environment is active, and the program runs under another name.
    fs::create_dir_all(at("other/lib/python3.12/site-packages")).unwrap();
    std::os::unix::fs::symlink(&program, at("called")).unwrap();
    let mut elsewhere = alone(&at("called"));
    let found = passes(elsewhere.arg("doctor").env("VIRTUAL_ENV", at("other")));
    assert!(found.contains(used), "{found}");

    passes(alone(&program).args(["score", "text.txt", "--out", "masks"]));
    let script = "
import rho_mask
out = rho_mask.score('text.txt', 'again')
assert 'text.txt' in rho_mask.open_masks(out)[0]['shard'], rho_mask.open_masks(out)[0]
assert rho_mask.open_masks(out).table.equals(rho_mask.open_masks('masks').table)
assert str(rho_mask.find_binary()).startswith(__import__('sys').prefix)
with rho_mask.score_stream('text.txt', quiet=True) as stream:
    assert sum(batch.num_rows for batch in stream) == 1
";
    passes(alone(&in_environment(&environment)).args(["-c", script]));
    let installed = passes(alone(&in_environment(&environment)).args([
        "-c",
        "import importlib.metadata as m; print(*m.files('rho-mask'), sep='\\n')",
    ]));
    assert!(installed.contains("rho_mask/py.typed"), "{installed}");
    assert!(!installed.contains("test"), "{installed}");
}

/// The wheel that `RHO_MASK_WHEEL` names, else one with the program as built for these tests.
fn wheel(python: &Path, into: &Path) -> PathBuf {
    if let Some(wheel) = std::env::var_os("RHO_MASK_WHEEL") {
        return PathBuf::from(wheel);
    }
    let mut maturin = Command::new(python);
    maturin
        .args(["-m", "maturin", "build", "--locked", "--profile", "dev"])
        .args(["--strip", "false", "--out"])
        .arg(into)
        .current_dir(root());
    passes(&mut maturin);
    let files = fs::read_dir(into).unwrap().map(|f| f.unwrap().path());
    let mut wheels = files.filter(|f| f.extension() == Some(OsStr::new("whl")));
    wheels.next().unwrap()
}

/// Runs a command, expects success, and returns its output.
#[track_caller]
fn passes(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{printed}\n{said}",
        output.status
    );
    printed
}
