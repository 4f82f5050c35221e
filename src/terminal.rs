//! The only place that prints. Standard output is data, standard error is for people.

use std::io::{IsTerminal, Write};

/// A line for people. Where nobody takes it, it is lost; that is no reason to stop.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line of data.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Whether a person watches standard error.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours may be used on standard error: a terminal, and no `NO_COLOR` (no-color.org).
pub fn colours() -> bool {
    watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
