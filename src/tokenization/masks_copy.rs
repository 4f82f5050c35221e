//! The tokenizer.json in a masks folder: written there by `score`, copied by `select` and `convert`.
//!
//! It needs no other file: it contains what the files beside the original added.

use std::{fs, path::Path};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use rho_reference::fingerprint::fingerprint as sha256;

use super::TokenizerFiles;
use crate::hinted_error::HintedError;

/// Its name in a masks folder.
pub(crate) const NAME: &str = "tokenizer.json";

/// Writes the tokenizer with this fingerprint into a masks folder, including what the files beside it add. The caller
/// must hold a lock against other processes that do the same.
///
/// # Errors
/// If the fingerprint of the files changed.
pub(crate) fn put(
    folder: &MasksFolder,
    path: &Path,
    fingerprint: Option<&str>,
) -> anyhow::Result<()> {
    if found(&folder.path().join(NAME))?.as_deref() == fingerprint {
        return Ok(());
    }
    let files = TokenizerFiles::open(path)?;
    match fingerprint == Some(files.fingerprint()) {
        true => Ok(folder.file(NAME, Some(&|file| file.write_all(files.text())))?),
        false => Err(HintedError::error(
            format!(
                "{}: expected an unchanged file, got one that changed while it was read",
                path.display()
            ),
            "start the same command again",
        )),
    }
}

/// Copies the tokenizer of one masks folder into another, if it has one.
pub(crate) fn copy(from: &Path, to: &MasksFolder) -> anyhow::Result<()> {
    let from = from.join(NAME);
    let there = found(&from)?;
    if there.is_none() || found(&to.path().join(NAME))? == there {
        return Ok(());
    }
    let bytes = fs::read(&from).with_context(|| format!("{}: cannot be read", from.display()))?;
    Ok(to.file(NAME, Some(&|file| file.write_all(&bytes)))?)
}

/// The fingerprint of a file; none if it does not exist.
fn found(path: &Path) -> anyhow::Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let found = sha256(&[path.to_owned()]);
    Ok(Some(found.with_context(|| {
        format!("{}: cannot be read", path.display())
    })?))
}
