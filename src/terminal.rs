//! The only place that prints. Standard output is data, standard error is for people.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

use crate::screen;

/// Lines for people. What a terminal would obey is shown instead: names and values come from files that others made.
/// Where nobody takes it, it is lost; that is no reason to stop.
pub fn line(text: &str) {
    let lines: Vec<_> = text.split('\n').map(harmless).collect();
    drawn(&lines.join("\n"));
}

/// As [`line`], for what was made safe and coloured already.
pub fn drawn(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line with its tabs, and without power over the terminal.
fn harmless(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(screen::safe).collect();
    parts.join("\t")
}

/// A line for people that is said once, however often there is reason to: commands that open many models find the same
/// things each time.
pub fn once(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(text.to_owned()) {
        line(text);
    }
}

/// A line of data.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Whether a person watches standard error.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours may be used on standard error: a terminal that knows them, and no `NO_COLOR` (no-color.org).
pub fn colours() -> bool {
    watched() && wanted()
}

/// As [`colours`], on standard output.
pub fn data_colours() -> bool {
    std::io::stdout().is_terminal() && wanted()
}

fn wanted() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The columns of standard error, where it is a terminal.
pub fn width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stderr()))
}

/// As [`width`], of standard output.
pub fn data_width() -> Option<usize> {
    columns(terminal_size::terminal_size_of(std::io::stdout()))
}

/// A terminal that does not say how wide it is says 0.
fn columns(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0))
        .filter(|&width| width > 0)
}

/// Says that some shards are not complete, where there are any.
pub fn note_missing(missing: &[String], done: &str) {
    if let Some(first) = missing.first() {
        let (count, are) = match missing.len() {
            1 => ("1 shard".to_owned(), "is"),
            count => (format!("{count} shards"), "are"),
        };
        line(&format!(
            "note: {count} {are} not done, such as {first}: what is there so far is {done}"
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
