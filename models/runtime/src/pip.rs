//! Downloads one wheel with the user's own pip, so that the user's index, proxy and certificates apply. In: a wheel
//! and a folder. Out: the file in the folder. `install` checks its hash.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::LibraryError;
use crate::python::isolated_python;
use crate::wheels::Wheel;

/// How many lines of pip's output are shown.
const LINES_SHOWN: usize = 3;

/// The Python version of the wheels' tag (`cp312`); the local version does not matter.
const PYTHON_VERSION: &str = "3.12";

/// Runs pip as `-m pip` does, and also a pip that was installed with `pip install --user`, which isolated mode leaves out.
const PIP: &str = "
import runpy, site, sys
if sys.prefix == sys.base_prefix:
    site.addsitedir(site.getusersitepackages())
runpy.run_module('pip', run_name='__main__', alter_sys=True)
";

pub(crate) fn download(python: &Path, wheel: &Wheel, into: &Path) -> Result<PathBuf, LibraryError> {
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    let missing = |source| LibraryError::PythonMissing {
        python: python.to_owned(),
        source,
    };
    let output = isolated_python(python)
        .map_err(missing)?
        .args([
            "-c",
            PIP,
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary=:all:", "--implementation", "cp"])
        .args([
            "--platform",
            wheel.platform,
            "--abi",
            wheel.abi,
            "--python-version",
            PYTHON_VERSION,
        ])
        .args(["--dest", "."])
        .arg(&requirement)
        .current_dir(into)
        .stdin(Stdio::null())
        .output()
        .map_err(missing)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        if complaint.contains("No module named pip") {
            return Err(LibraryError::PipMissing {
                python: python.to_owned(),
            });
        }
        return Err(LibraryError::PipFailed {
            requirement,
            reason: last_lines(&complaint, &output.status.to_string()),
        });
    }
    let entries = std::fs::read_dir(into).map_err(LibraryError::disk("list the folder", into))?;
    let mut wheels = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "whl"));
    wheels.next().ok_or_else(|| LibraryError::PipFailed {
        requirement,
        reason: "it left no wheel".to_owned(),
    })
}

fn last_lines(complaint: &str, status: &str) -> String {
    let lines: Vec<&str> = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.len() {
        0 => status.to_owned(),
        count => lines[count.saturating_sub(LINES_SHOWN)..].join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_complaint_is_kept() {
        assert_eq!(
            last_lines("a\nb\n\n c \nd\n", "exit status: 1"),
            "b | c | d"
        );
        assert_eq!(last_lines("\n", "exit status: 1"), "exit status: 1");
    }
}
