//! Finds the tokenizer that some masks were made with, so that their token ids can be read. The masks' metadata holds its
//! fingerprint. A file with another one is refused, never used.

use std::{borrow::Cow, path::Path};

use anyhow::Context as _;
use rho_reference::source::fingerprint;

use super::files::Masks;
use crate::{
    advised::Advised,
    hub::{self, Need},
    tokenization::{TokenizerFiles, pieces::Pieces, stored::NAME},
};

/// What the token ids of some masks stand for.
pub(crate) struct Found {
    /// None where the masks have no tokenizer.
    pub(crate) pieces: Option<Pieces<'static>>,
    /// What a reader should know about it.
    pub(crate) note: Option<String>,
}

/// Finds the tokenizer of some masks: the one that was named, else the one in their folder.
///
/// # Errors
/// Where it is not the one that the masks were made with, or cannot be read.
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
            None => "the masks were made from token ids, without a tokenizer: the ids are shown",
        };
        return Ok(Found {
            pieces: None,
            note: Some(note.to_owned()),
        });
    };
    let got = fingerprint(std::slice::from_ref(&path))
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    // The file alone may be the right one: older masks know no other.
    if wanted == Some(got.as_str()) {
        return Ok(Found {
            pieces: Some(Pieces::read(&path)?),
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
            "the masks do not say which tokenizer their ids are of: nothing can be checked of {}",
            path.display()
        )),
    };
    Ok(Found {
        pieces: Some(Pieces::of(Cow::Owned(files.tokenizer()?))),
        note,
    })
}

fn other(path: &Path, wanted: &str, got: &str, named: bool) -> anyhow::Error {
    let hint = match named {
        true => "name the tokenizer.json beside the model that scored them",
        false => "the file was changed: name the right one with --tokenizer",
    };
    Advised::error(
        format!(
            "{}: expected the tokenizer that the masks were made with, of fingerprint {wanted}, got {got}",
            path.display()
        ),
        hint,
    )
}
