//! A Python with PyTorch, Transformers and the trainers that read converted masks.

use std::path::PathBuf;

use super::python::python_with;

/// `RHO_MASK_TORCH_PYTHON` names a Python that has what requirements-torch.txt lists; else one is made. That it cannot be
/// made is a failure: who runs a test with it has asked for it.
pub(crate) fn python_with_torch() -> PathBuf {
    let named = std::env::var_os("RHO_MASK_TORCH_PYTHON").map(PathBuf::from);
    let script = "tests/support/torch_without_cuda.py";
    let made = || python_with("tests/requirements-torch.txt", Some(script));
    named.unwrap_or_else(|| made().unwrap_or_else(|missing| panic!("{missing}")))
}
