//! Parses the command line, with the options of a `--config` file. What the parser prints itself (help, the version,
//! refusals) is returned, because arguments and environment variables in it may act on a terminal.

use std::ffi::{OsStr, OsString};

use clap::{CommandFactory as _, FromArgMatches as _, builder::Styles, error::ErrorKind};

use super::{Cli, config};
use crate::terminal_text;

/// What to print instead of running a command.
#[derive(Debug)]
pub struct Answer {
    /// The text, without colours.
    pub plain: String,
    /// The same text with colours; none if `plain` has other characters that a terminal obeys.
    pub styled: Option<String>,
    /// Whether the command line was refused.
    pub is_refusal: bool,
    /// The version was asked for, with all details.
    pub is_verbose_version: bool,
}

/// Parses the words of a command line, the program's name first. The inner result is what to print instead.
///
/// # Errors
///
/// If the file of `--config` cannot be used.
pub fn parse(words: Vec<OsString>) -> anyhow::Result<Result<Cli, Answer>> {
    let words = config::with_file(words)?;
    Ok(parse_words(&words))
}

/// The definition of the command line.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses words as they are.
fn parse_words(words: &[OsString]) -> Result<Cli, Answer> {
    let with = |styles: Styles| {
        let parsed = command().styles(styles).try_get_matches_from(words);
        parsed.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let error = match with(Styles::plain()) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    // Without styles, everything in it that a terminal obeys comes from arguments and the environment.
    let plain = error.render().ansi().to_string();
    let styled = match terminal_text::lines(&plain) == plain {
        true => with(Styles::styled()).err(),
        false => None,
    };
    let verbose = words.iter().any(|word| word == "--verbose");
    Err(Answer {
        plain,
        styled: styled.map(|error| error.render().ansi().to_string()),
        is_refusal: error.use_stderr(),
        is_verbose_version: error.kind() == ErrorKind::DisplayVersion && verbose,
    })
}

/// Whether a command line asks for JSON on standard error. Refusals come before it is parsed.
pub fn wants_json(words: &[OsString]) -> bool {
    let options = words.iter().take_while(|word| *word != "--");
    let options: Vec<&OsStr> = options.map(OsString::as_os_str).collect();
    options.contains(&OsStr::new("--progress=json"))
        || options
            .windows(2)
            .any(|two| two[0] == "--progress" && two[1] == "json")
}
