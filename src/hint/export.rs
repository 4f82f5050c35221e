//! Hints for exports that are refused.

use rho_graph::ExportError;

/// A checkpoint that cannot be exported.
pub(super) fn export(error: &ExportError) -> Option<String> {
    let hint = match error {
        ExportError::Checkpoint(error) => {
            return super::checkpoint::checkpoint(error).map(str::to_owned);
        }
        ExportError::NotPortable { .. } => "omit --portable: ONNX Runtime has operators for it",
        ExportError::OutOfRange { dtype: "f16", .. } => "export it with --dtype bf16 or f32",
        ExportError::OutOfRange { .. } => {
            "use another checkpoint: training had diverged before this one was saved"
        }
        ExportError::OutExists { .. } => "name another folder with --out, or remove this one first",
        ExportError::Read { .. }
        | ExportError::Write { .. }
        | ExportError::Stopped { .. }
        | ExportError::Graph(_) => {
            return None;
        }
    };
    Some(hint.to_owned())
}
