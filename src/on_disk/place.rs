//! The folder in which files without names are created.

use std::{fs::File, path::PathBuf};

use anyhow::Context as _;

/// A folder for files without names.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// The system's folder for temporary files.
    pub(crate) fn temporary() -> Self {
        Self(std::env::temp_dir())
    }

    /// A folder that exists. That of the output has room for what is written there anyway; the system's own may be in
    /// memory.
    pub(crate) fn of(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// A new file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn file(&self) -> anyhow::Result<File> {
        let file = tempfile::tempfile_in(&self.0);
        file.with_context(|| format!("{}: cannot create a temporary file", self.0.display()))
    }

    /// What an error of writing to such a file says.
    pub(crate) fn cannot_write(&self) -> String {
        format!("{}: cannot write a temporary file", self.0.display())
    }
}
