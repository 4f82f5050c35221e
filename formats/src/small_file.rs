//! Reads a whole file that describes others (a list, a `state.json`), up to a size limit.

use std::io::{self, Read};
use std::path::Path;

/// The limit: a million names of 256 bytes.
const MOST: u64 = 256 << 20;

/// The bytes of the file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    rho_files::open_named(path)?
        .take(MOST + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("expected a description of at most {MOST} bytes, got a larger one"),
        )),
        false => Ok(bytes),
    }
}
