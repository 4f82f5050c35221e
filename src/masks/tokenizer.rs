//! Finds the tokenizer of some masks, so that their token ids can be decoded. The masks' metadata holds its
//! fingerprint; a file with another fingerprint is refused.

use std::{borrow::Cow, path::Path};

use anyhow::Context as _;
use rho_reference::fingerprint::fingerprint;

use super::files::Masks;
use crate::{
    hinted_error::HintedError,
    hub::{self, Need},
    tokenization::{TokenizerFiles, masks_copy::NAME, token_bytes::TokenBytes},
};

/// The decoder of the token ids of some masks.
pub(crate) struct Found {
    /// None if the masks have no tokenizer.
    pub(crate) pieces: Option<TokenBytes<'static>>,
    /// A note for the user about it.
    pub(crate) note: Option<String>,
}

/// Finds the tokenizer of some masks: the named one, else the one in their folder.
///
/// # Errors
/// If it is not the tokenizer of the masks, or cannot be read.
pub(crate) fn find(masks: &Masks, named: Option<&Path>) -> anyhow::Result<Found> {
    let metadata = masks.known_metadata();
    let wanted = metadata.tokenizer.fingerprint.as_deref();
    let found = named.map(|typed| hub::resolve(typed, Need::Tokenizer));
    let path = match found.transpose()? {
        Some(named) if named.is_dir() => Some(named.join(NAME)),
        Some(named) => Some(named),
        None => masks
            .folder
            .as_ref()
            .map(|folder| folder.join(NAME))
            .filter(|path| path.exists()),
    };
    let Some(path) = path else {
        let note = match wanted {
            Some(_) => {
                "the masks hold no tokenizer.json: token ids are shown; name it with --tokenizer"
            }
            None => "the masks are from token ids without a tokenizer: token ids are shown",
        };
        return Ok(Found {
            pieces: None,
            note: Some(note.to_owned()),
        });
    };
    let got = fingerprint(std::slice::from_ref(&path))
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    // Older masks record the fingerprint of tokenizer.json alone.
    if wanted == Some(got.as_str()) {
        return Ok(Found {
            pieces: Some(TokenBytes::read(&path)?),
            note: None,
        });
    }
    let files = TokenizerFiles::open(&path)?;
    let note = match wanted {
        Some(wanted) if wanted != files.fingerprint() => {
            return Err(other(&path, wanted, files.fingerprint(), named.is_some()));
        }
        Some(_) => None,
        None => Some(format!(
            "the masks do not record their tokenizer: {} cannot be checked",
            path.display()
        )),
    };
    Ok(Found {
        pieces: Some(TokenBytes::of(Cow::Owned(files.tokenizer()?))),
        note,
    })
}

fn other(path: &Path, wanted: &str, got: &str, named: bool) -> anyhow::Error {
    let hint = match named {
        true => "name the tokenizer.json of the model that scored them",
        false => "name the right one with --tokenizer, because this file was changed",
    };
    HintedError::error(
        format!(
            "{}: expected the tokenizer of the masks, with the fingerprint {wanted}, got {got}",
            path.display()
        ),
        hint,
    )
}
