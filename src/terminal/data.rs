//! Standard output: takes text, escapes it, writes and flushes it, and reports what could not be written.

use std::io::{self, Write};

use serde::Serialize;

use super::{data_colours, messages};
use crate::terminal_text::{coloured, json, lines};

/// Standard output took no more.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The reader closed the pipe: it has all it wanted.
    #[error("standard output: its reader has gone")]
    ReaderGone,
    /// Anything else.
    #[error("standard output: cannot be written")]
    Write {
        /// The reason.
        source: io::Error,
    },
}

/// Prints lines of data. What acts on a terminal is replaced.
///
/// # Errors
///
/// If standard output does not take them.
pub fn data(text: &str) -> Result<(), DataError> {
    write(&(lines(text) + "\n"))
}

/// Prints a value as JSON, in one line or indented. Characters that act on a terminal are escaped as in JSON, so the
/// value is the same.
///
/// # Errors
///
/// If standard output does not take it, or the value is no JSON.
pub(crate) fn data_json(value: &impl Serialize, indented: bool) -> anyhow::Result<()> {
    let text = match indented {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    Ok(write(&(json(&text?) + "\n"))?)
}

/// Prints coloured text, in which names and documents are safe already.
///
/// # Errors
///
/// If standard output does not take it.
pub(crate) fn data_drawn(text: &str) -> Result<(), DataError> {
    write(&(coloured(text) + "\n"))
}

/// Writes the bytes of a file to standard output, unchanged.
///
/// # Errors
///
/// If standard output does not take them.
pub(crate) fn data_exact(text: &str) -> Result<(), DataError> {
    write(text)
}

/// Prints help on standard output, or a refusal of the command line on standard error. `styled` is the same text with
/// colours; none if it holds what others wrote and could be mistaken for colours.
///
/// # Errors
///
/// If standard output does not take the help.
pub fn help(plain: &str, styled: Option<&str>, is_refusal: bool) -> Result<(), DataError> {
    if is_refusal {
        messages::refusal(plain, styled);
        return Ok(());
    }
    match styled.filter(|_| data_colours()) {
        Some(styled) => write(styled),
        None => write(&lines(plain)),
    }
}

fn write(text: &str) -> Result<(), DataError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| match source.kind() {
        io::ErrorKind::BrokenPipe => DataError::ReaderGone,
        _ => DataError::Write { source },
    })
}
