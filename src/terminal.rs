//! The only place that prints. Standard output is data, standard error is for people.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

use std::io::IsTerminal;

/// A line for people.
pub fn line(text: &str) {
    eprintln!("{text}");
}

/// A line of data.
pub fn data(text: &str) {
    println!("{text}");
}

/// Whether a person watches standard error.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours may be used on standard error: a terminal, and no `NO_COLOR` (no-color.org).
pub fn colours() -> bool {
    watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
