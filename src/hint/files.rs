//! Hints for files of any kind that are no files, or not the files that they should be.

use std::io;

use rho_files::{NotAFile, Pointer};

/// Something else in the place of a file.
pub(super) fn not_a_file(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?;
    if inner.is::<NotAFile>() {
        return Some("write the output of a pipe or device to a file first");
    }
    let pointer = inner.is::<Pointer>();
    pointer.then_some("download its content: git lfs pull, or git annex get")
}
