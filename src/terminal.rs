//! The only module that prints. Standard output is for data, standard error for human-readable messages, or, with
//! `--progress json`, for one JSON object per line.
//!
//! Names and values come from other people's files, so all text is escaped here, once: what acts on a terminal is
//! replaced by a visible sign ([`crate::terminal_text`]). Text is either a line (a line break in it is replaced too), a
//! head with lines below it, or JSON (where the escape has the same value).
//!
//! * `data`: standard output: flushed and checked after every write, so that a full disk is an error.
//! * `messages`: standard error, and how it is used: text, JSON, or errors only.
//! * `log`: the file of `--log-file`. `bar`: progress bars.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use serde::Serialize;
use serde_json::json;

mod bar;
mod data;
mod log;
mod messages;

pub(crate) use bar::Bar;
pub use data::{DataError, data, help};
pub(crate) use data::{data_drawn, data_exact, data_json};
pub use messages::{Settings, end, error, line as note, set_up, use_json};
pub(crate) use messages::{at_end, event, line, logged, once, progress_line, sample, text};

/// Whether standard error is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether progress bars are drawn on standard error: a terminal, and neither JSON nor silence was asked for.
pub(crate) fn watched() -> bool {
    messages::draws_bars() && io::stderr().is_terminal()
}

/// Whether colours may be used on standard error: a terminal that supports them, and no `NO_COLOR` (no-color.org).
pub(crate) fn colours() -> bool {
    io::stderr().is_terminal() && wanted()
}

/// Like [`colours`], for standard output.
pub(crate) fn data_colours() -> bool {
    io::stdout().is_terminal() && wanted()
}

fn wanted() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The width of standard error in columns, if it is a terminal.
pub(crate) fn width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(io::stderr()))
}

/// Like [`width`], for standard output.
pub(crate) fn data_width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(io::stdout()))
}

/// The width; none if it is 0, which terminals report for an unknown width.
fn columns(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0))
        .filter(|&width| width > 0)
}

/// Prints a line, and below it the lines of a summary. As JSON, the summary is part of the last object.
pub(crate) fn summary(head: &str, summary: &(impl fmt::Display + Serialize)) {
    text(head, &summary.to_string());
    at_end(json!({"summary": summary}));
}

/// Prints a note if some shards are not complete.
pub(crate) fn note_missing(missing: &[String], done: &str) {
    if let Some(first) = missing.first() {
        let (count, are) = match missing.len() {
            1 => ("1 shard".to_owned(), "is"),
            count => (format!("{count} shards"), "are"),
        };
        line(&format!(
            "note: {count} {are} not done, such as {first}: only finished rows are {done}"
        ));
    }
}
