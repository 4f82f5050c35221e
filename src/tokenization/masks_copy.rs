//! The tokenizer.json in a masks folder: written there by `score`, copied by `select` and `convert`.
//!
//! It needs no other file: it contains what the files beside the original added. A masks folder may come from elsewhere,
//! so a link in its place is not followed, and another file than the tokenizer of the masks is refused.

use std::{
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use rho_formats::MasksFolder;

use super::{TokenizerFiles, files::fingerprint as sha256};
use crate::hinted_error::HintedError;

/// Its name in a masks folder.
pub(crate) const NAME: &str = "tokenizer.json";

/// Its largest size: the largest tokenizers have 50 MB.
const LARGEST: u64 = 1 << 30;

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
    if there(folder).as_deref() == fingerprint {
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

/// Copies the tokenizer of one masks folder into another, if it has one. `fingerprint` is that in the masks' metadata.
/// Returns a note for the user if it is not copied.
///
/// # Errors
/// If it is not the tokenizer of the masks, or no regular file.
pub(crate) fn copy(
    from: &Path,
    to: &MasksFolder,
    fingerprint: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let from = from.join(NAME);
    let Some(text) = read(&from, fingerprint)? else {
        return Ok(None);
    };
    if fingerprint.is_none() {
        return Ok(Some(format!(
            "note: {}: the masks record no tokenizer, so it is not copied",
            from.display()
        )));
    }
    if there(to).as_deref() != fingerprint {
        to.file(NAME, Some(&|file| file.write_all(&text)))?;
    }
    Ok(None)
}

/// The tokenizer in a masks folder; none if it does not exist. `fingerprint` is that in the masks' metadata; without
/// one, any file is accepted.
///
/// # Errors
/// If it is not the tokenizer of the masks, or no regular file.
pub(crate) fn read(path: &Path, fingerprint: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    let shown = path.display();
    let mut file = match rho_files::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("{shown}: cannot be read"))?,
    };
    let mut text = Vec::new();
    let read = (&mut file).take(LARGEST + 1).read_to_end(&mut text);
    read.with_context(|| format!("{shown}: cannot be read"))?;
    match fingerprint {
        _ if text.len() as u64 > LARGEST => Err(HintedError::error(
            format!("{shown}: expected a tokenizer of at most {LARGEST} bytes, got more"),
            "remove it: no tokenizer is that large",
        )),
        Some(wanted) if sha256(&text) != wanted => Err(HintedError::error(
            format!(
                "{shown}: expected the tokenizer of the masks, with the fingerprint {wanted}, got {}",
                sha256(&text)
            ),
            "put the tokenizer.json of the model that scored them in its place, or remove it",
        )),
        _ => Ok(Some(text)),
    }
}

/// The fingerprint of the tokenizer in a masks folder that is written; none if there is none that could stay.
fn there(folder: &MasksFolder) -> Option<String> {
    let text = folder.folder().read(NAME).ok()??;
    Some(sha256(&text))
}
