//! Files and folders of a run: written whole or not at all, removed where they are there; errors say which.

use std::{fs, io, path::Path};

use anyhow::Context as _;

/// Writes a file of a folder that only this run writes to, in the place of what stood there.
pub(crate) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    written(path, rho_files::write_whole(path, text.as_bytes()))
}

/// As [`write_whole`], of a file that others may write at the same time: somebody named it.
pub(crate) fn write_whole_beside_others(path: &Path, text: &str) -> anyhow::Result<()> {
    written(
        path,
        rho_files::write_whole_beside_others(path, text.as_bytes()),
    )
}

fn written(path: &Path, written: io::Result<()>) -> anyhow::Result<()> {
    written.with_context(|| format!("{}: cannot be written", path.display()))
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
