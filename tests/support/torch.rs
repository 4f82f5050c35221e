//! A Python with PyTorch, Transformers and the trainers that read converted masks; and an older Transformers for it.

use std::path::PathBuf;

use super::python::python_with;

/// `RHO_MASK_TORCH_PYTHON` names a Python that has what requirements-torch.txt lists; otherwise one is created. If that
/// fails, the test fails: tests that use it run only on request.
pub(crate) fn python_with_torch() -> PathBuf {
    let named = std::env::var_os("RHO_MASK_TORCH_PYTHON").map(PathBuf::from);
    let script = "tests/support/torch_without_cuda.py";
    let made = || python_with("tests/requirements-torch.txt", Some(script));
    named.unwrap_or_else(|| made().unwrap_or_else(|missing| panic!("{missing}")))
}

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
