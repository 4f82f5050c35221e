//! A Python with PyTorch, Transformers and the trainers that read converted masks.

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
