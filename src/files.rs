//! Writes files atomically, and removes files and folders. Errors name the path.

use std::{fs, io, path::Path};

use anyhow::Context as _;

/// Writes or replaces a file in a folder that only this run writes to.
#[cfg(feature = "train")]
pub(crate) fn write_atomic(path: &Path, text: &str) -> anyhow::Result<()> {
    written(path, rho_files::write_atomic(path, text.as_bytes()))
}

/// Like [`write_atomic`], for a file that the user named, which other processes may write at the same time.
pub(crate) fn write_atomic_shared(path: &Path, text: &str) -> anyhow::Result<()> {
    written(path, rho_files::write_atomic_shared(path, text.as_bytes()))
}

fn written(path: &Path, written: io::Result<()>) -> anyhow::Result<()> {
    written.with_context(|| format!("{}: cannot be written", path.display()))
}

/// Removes a folder and its content, if it exists.
pub(crate) fn remove_folder(path: &Path) -> anyhow::Result<()> {
    gone(path, fs::remove_dir_all(path))
}

fn gone(path: &Path, removed: io::Result<()>) -> anyhow::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}
