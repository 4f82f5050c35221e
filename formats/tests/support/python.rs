//! Takes the pinned requirements of the workspace's tests, yields a Python with them installed.
//!
//! The virtual environment is in the target folder, named after a hash of the requirements. The first test that needs
//! it creates it. Uses only the standard library, so that the tests of other packages can include this file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of the virtual environment; `None`, with a message on standard error, if it cannot be created. On a
/// continuous-integration machine that is a failure: there, a skipped test would go unnoticed.
pub(crate) fn python() -> Option<PathBuf> {
    python_or_skip("tests/requirements.txt")
}

/// As [`python`], with other requirements.
pub(crate) fn python_or_skip(requirements: &str) -> Option<PathBuf> {
    match python_with(requirements, None) {
        Ok(python) => Some(python),
        Err(missing) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
            panic!("cannot test with Python: {missing}")
        }
        Err(missing) => {
            // Not with `eprintln!`, whose output the test harness hides for passing tests.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no test with Python: {missing}");
            None
        }
    }
}

/// The Python of a virtual environment with other requirements, a file by its path in the project. With a script, only
/// the requirements are installed, without their dependencies, and the script completes them.
pub(crate) fn python_with(requirements: &str, script: Option<&str>) -> Result<PathBuf, String> {
    let in_project = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
            .ok_or_else(|| format!("{name} is missing"))
    };
    let requirements = in_project(requirements)?;
    let script = script.map(in_project).transpose()?;
    let mut hasher = DefaultHasher::new();
    for file in [Some(&requirements), script.as_ref()].into_iter().flatten() {
        let content = fs::read(file).map_err(|error| error.to_string())?;
        content.hash(&mut hasher);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .ok_or("no target folder")?;
    let folder = target.join(format!("python-{:016x}", hasher.finish()));
    let python = in_environment(&folder);

    // Several test binaries may need it at once. The lock is released with the file handle, even if the process is
    // killed.
    let lock = File::create(folder.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    }
    let mut what = vec!["--requirement".as_ref(), requirements.as_os_str()];
    if let Some(script) = &script {
        what.push("--no-deps".as_ref());
        install_into(&folder, &what)?;
        run(Command::new(&python).arg(script))?;
    } else {
        install_into(&folder, &what)?;
    }
    File::create(&complete).map_err(|error| error.to_string())?;
    Ok(python)
}

/// The Python of a virtual environment.
pub(crate) fn in_environment(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    })
}

/// Creates a virtual environment and installs into it with pip.
pub(crate) fn install_into(folder: &Path, what: &[&OsStr]) -> Result<(), String> {
    let python = in_environment(folder);
    let system = if cfg!(windows) { "python" } else { "python3" };
    // Some systems package venv without the pip that goes into it; the system's own pip can install into it as well.
    if run(Command::new(system).args(["-m", "venv"]).arg(folder)).is_ok() {
        let install = ["-m", "pip", "install", "--quiet"];
        return run(Command::new(&python).args(install).args(what));
    }
    let make = ["-m", "venv", "--clear", "--without-pip"];
    run(Command::new(system).args(make).arg(folder))?;
    let mut pip = Command::new(system);
    pip.args(["-m", "pip", "--python"]).arg(&python);
    run(pip.args(["install", "--quiet"]).args(what))
}

/// Runs a command; if it fails, returns the last lines it printed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = said.lines().rev().take(5).collect();
    let last: Vec<_> = last.into_iter().rev().collect();
    Err(format!(
        "{command:?}: {}: {}",
        output.status,
        last.join("\n")
    ))
}
