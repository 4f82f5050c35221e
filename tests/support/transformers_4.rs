//! An older Transformers for the Python with PyTorch.

use std::path::PathBuf;

use super::python::python_with;

/// The folder with Transformers 4, for `PYTHONPATH`: it hides the other version, and shares its PyTorch.
pub(crate) fn transformers_4() -> PathBuf {
    let script = Some("tests/support/transformers_4.py");
    let python = python_with("tests/requirements-transformers-4.txt", script);
    let python = python.unwrap_or_else(|missing| panic!("{missing}"));
    // The folder's name has the version of Python in it, except on Windows.
    let code = "import sysconfig; print(sysconfig.get_path('purelib'), end='')";
    let output = std::process::Command::new(python)
        .args(["-c", code])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap())
}
