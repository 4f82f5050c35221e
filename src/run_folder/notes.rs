//! Notes of a run as JSON: one way to read and write all of them.

use rho_formats::MasksFolder;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::advised::Advised;

/// Reads a note; none where there is none.
pub(crate) fn read<T: DeserializeOwned>(
    folder: &MasksFolder,
    note: &str,
) -> anyhow::Result<Option<T>> {
    let Some(bytes) = folder.noted(note)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(source) => Err(damaged(folder, note, source)),
    }
}

/// Reads a note that must be there.
pub(crate) fn required<T: DeserializeOwned>(folder: &MasksFolder, note: &str) -> anyhow::Result<T> {
    let bytes = folder.noted(note)?.unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|source| damaged(folder, note, source))
}

/// Writes a note, whole or not at all.
pub(crate) fn write(
    folder: &MasksFolder,
    note: &str,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    Ok(folder.note(note, &serde_json::to_vec(value)?)?)
}

/// Writes a note as a person reads it.
pub(crate) fn write_readable(
    folder: &MasksFolder,
    note: &str,
    value: &Value,
) -> anyhow::Result<()> {
    Ok(folder.note(note, format!("{value:#}\n").as_bytes())?)
}

/// A note that is not what was written. The cause is in the message: as a cause of its own it would hide the hint.
fn damaged(folder: &MasksFolder, note: &str, source: serde_json::Error) -> anyhow::Error {
    Advised::error(
        format!(
            "{}: expected the notes of a run, got something else: {source}",
            folder.note_path(note).display()
        ),
        "start over with --restart",
    )
}
