//! The hint for a folder in which something else lies in place of a file or folder.

use std::{error::Error, io};

/// What to do about a link, a pipe or a folder in place of a file.
pub(super) const UNEXPECTED: &str = "remove it if you did not put it there, or put the file itself there: nothing inside \
    such a folder is reached over a link; the path of the folder itself may lead over one";

/// Whether a cause is a file that is not what it should be.
pub(super) fn is_unexpected(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| rho_files::unexpected(error).is_some())
}
