//! Takes bytes for a file, and leaves either the old file or the whole new one, whatever happens. Knows nothing of what
//! the bytes mean.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where a file is written until it is complete: `.<name>.partial` in the same folder.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

/// Gives a partial file, complete by now, its final name.
pub(crate) fn complete(partial: &Path, file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(partial, path)?;
    // The name is safe only once the folder is. Other systems open no folders, and need not.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes a file, in the place of what stood there.
pub(super) fn replace_with(
    path: &Path,
    write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let partial = partial(path);
    let mut file = BufWriter::new(File::create(&partial)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    complete(&partial, &file, path)
}
