//! Files and folders of a run: written whole or not at all, removed where they are there.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use anyhow::Context as _;

/// Writes a file under another name, puts it onto the disk, and gives it its own.
pub(crate) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        fs::write(&partial, text)?;
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| format!("{}: cannot be written", path.display()))
}

/// Removes a folder with all that is in it; none is there afterwards.
pub(crate) fn remove_folder(path: &Path) -> anyhow::Result<()> {
    gone(path, fs::remove_dir_all(path))
}

/// Removes a file; none is there afterwards.
pub(crate) fn remove_file(path: &Path) -> anyhow::Result<()> {
    gone(path, fs::remove_file(path))
}

fn gone(path: &Path, removed: io::Result<()>) -> anyhow::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}
