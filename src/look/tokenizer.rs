//! The tokenizer that a masks folder carries, so that its token ids can be read wherever it is: put there by `score`,
//! copied by `select`, and found again.
//!
//! It needs no other file: what stood beside it when the masks were made is in it. The masks' metadata holds its fingerprint. A file with another one is refused, never used.

use std::{borrow::Cow, fs, path::Path};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use rho_reference::source::fingerprint;

use super::files::Masks;
use crate::{
    hint::Advised,
    hub::{self, Need},
    plan::Plan,
    tokenization::{TokenizerFiles, pieces::Pieces},
};

/// Its name in a masks folder.
const NAME: &str = "tokenizer.json";

/// Puts the tokenizer of a plan into its masks folder, if it has one: with all that the files beside it add. The folder must be locked against others that do
/// the same.
pub(crate) fn put(folder: &MasksFolder, plan: &Plan) -> anyhow::Result<()> {
    let Some(path) = &plan.tokenizer else {
        return Ok(());
    };
    if found(&folder.path().join(NAME))? == plan.tokenizer_fingerprint {
        return Ok(());
    }
    let files = TokenizerFiles::open(path)?;
    match plan.tokenizer_fingerprint.as_deref() == Some(files.fingerprint()) {
        true => Ok(folder.file(NAME, Some(&|file| file.write_all(files.text())))?),
        false => Err(Advised::error(
            format!(
                "{}: expected a file that stays as it is, got one that changed while it was read",
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

/// The fingerprint of a file; none where it is not there.
fn found(path: &Path) -> anyhow::Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let found = fingerprint(&[path.to_owned()]);
    Ok(Some(found.with_context(|| {
        format!("{}: cannot be read", path.display())
    })?))
}

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
    let wanted = masks.metadata()["tokenizer"]["fingerprint"].as_str();
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
