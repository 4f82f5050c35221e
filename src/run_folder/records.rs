//! Reads and writes the records of a run, which are JSON.

use rho_formats::MasksFolder;
use serde::{Serialize, de::DeserializeOwned};

use crate::hinted_error::HintedError;

/// Reads a record; none if it does not exist.
pub(crate) fn read<T: DeserializeOwned>(
    folder: &MasksFolder,
    note: &str,
) -> anyhow::Result<Option<T>> {
    let Some(bytes) = folder.read_record(note)? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(source) => Err(damaged(folder, note, source)),
    }
}

/// Reads a record that must exist.
pub(crate) fn required<T: DeserializeOwned>(folder: &MasksFolder, note: &str) -> anyhow::Result<T> {
    let bytes = folder.read_record(note)?.unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|source| damaged(folder, note, source))
}

/// Writes a record atomically.
pub(crate) fn write(
    folder: &MasksFolder,
    note: &str,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    Ok(folder.write_record(note, &serde_json::to_vec(value)?)?)
}

/// Writes a record as indented JSON.
pub(crate) fn write_readable(
    folder: &MasksFolder,
    note: &str,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(folder.write_record(note, &text)?)
}

/// The error for a damaged record. The cause is part of the message: as a separate cause it would hide the hint.
fn damaged(folder: &MasksFolder, note: &str, source: serde_json::Error) -> anyhow::Error {
    HintedError::error(
        format!(
            "{}: expected a record of a run, got something else: {source}",
            folder.record_path(note).display()
        ),
        "start over with --restart",
    )
}
