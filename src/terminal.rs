//! The only module that prints. Standard output is for data, standard error for human-readable messages.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

use rho_formats::remote::without_secrets;

use crate::terminal_text;

/// Prints lines to standard error. Control characters are replaced, because names and values come from other people's
/// files. A failed write is ignored.
pub fn line(text: &str) {
    // Most URLs have lost their secrets before; this is for those that stand in an argument of another kind.
    let text = without_secrets(text);
    let lines: Vec<_> = text.split('\n').map(harmless).collect();
    drawn(&lines.join("\n"));
}

/// Like [`line`], for text that is already safe and coloured.
pub fn drawn(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line with control characters replaced, except tabs.
fn harmless(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(terminal_text::safe).collect();
    parts.join("\t")
}

/// Prints a line to standard error only once per process: commands that open many models would repeat it.
pub fn once(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(text.to_owned()) {
        line(text);
    }
}

/// Prints a line of data.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Whether standard error is a terminal.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours may be used on standard error: a terminal that supports them, and no `NO_COLOR` (no-color.org).
pub fn colours() -> bool {
    watched() && wanted()
}

/// Like [`colours`], for standard output.
pub fn data_colours() -> bool {
    std::io::stdout().is_terminal() && wanted()
}

fn wanted() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The width of standard error in columns, if it is a terminal.
pub fn width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stderr()))
}

/// Like [`width`], for standard output.
pub fn data_width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stdout()))
}

/// The width; none if it is 0, which terminals report for an unknown width.
fn columns(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0))
        .filter(|&width| width > 0)
}

/// Prints a note if some shards are not complete.
pub fn note_missing(missing: &[String], done: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_power_over_the_terminal() {
        assert_eq!(harmless("a\tb\x1b[2J\r\u{9b}0m"), "a\tb␛[2J␍⟨9b⟩0m");
    }
}
