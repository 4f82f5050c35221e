//! Hints for what lies in place of a file: in a folder that the program reads, and at a path that the user named.

use std::{error::Error, io};

use rho_files::{NotAFile, Pointer};

/// What to do about a link, a pipe or a folder in place of a file.
pub(super) const UNEXPECTED: &str = "remove it if you did not put it there, or put the file itself there: nothing inside \
    such a folder is reached over a link; the path of the folder itself may lead over one";

/// Whether a cause is a file that is not what it should be.
pub(super) fn is_unexpected(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| rho_files::unexpected(error).is_some())
}

/// Something else in the place of a file.
pub(super) fn not_a_file(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?;
    if inner.is::<NotAFile>() {
        return Some("write the output of a pipe or device to a file first");
    }
    let pointer = inner.is::<Pointer>();
    pointer.then_some("download its content: git lfs pull, or git annex get")
}
