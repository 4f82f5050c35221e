//! The file of `--config`: takes the words of a command line, adds the options of a TOML file. Any option of a command
//! can stand in it; the parser then treats it like one that was typed. So there is one meaning of each option.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};
use toml::Value;

use super::command_line::command;
use crate::hinted_error::HintedError;

/// The largest file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Options that a file cannot set: they say how the command line itself is read, or would start over at each resume.
const NOT_IN_A_FILE: [&str; 4] = ["config", "help", "version", "restart"];

/// The words with the options of the file that they name; unchanged if they name none.
pub(super) fn with_file(words: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    if !words.iter().any(|word| {
        let word = word.as_encoded_bytes();
        word == b"--config" || word.starts_with(b"--config=")
    }) {
        return Ok(words);
    }
    let command = command().ignore_errors(true);
    // Required arguments may stand in the file; whatever is wrong with the words is reported when they are parsed.
    let Ok(matches) = command.clone().try_get_matches_from(&words) else {
        return Ok(words);
    };
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(words);
    };
    let Ok(Some(path)) = matches.try_get_one::<PathBuf>("config") else {
        return Ok(words);
    };
    let mut command = command;
    command.build();
    let Some(command) = command.find_subcommand(name) else {
        return Ok(words);
    };
    let added = Added::of(path, command, matches)?;
    // Options end at `--`, and arguments without a name follow it.
    let end = words.iter().position(|word| word == "--");
    let (options, rest) = words.split_at(end.unwrap_or(words.len()));
    let mut all = options.to_vec();
    all.extend(added.options);
    all.extend_from_slice(rest);
    if !added.positional.is_empty() {
        if rest.is_empty() {
            all.push("--".into());
        }
        all.extend(added.positional);
    }
    Ok(all)
}

/// The words that a file adds.
#[derive(Default)]
struct Added {
    options: Vec<OsString>,
    positional: Vec<OsString>,
}

impl Added {
    fn of(path: &Path, command: &clap::Command, typed: &ArgMatches) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = read(path)?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                before.iter().filter(|&&byte| byte == b'\n').count() + 1
            });
            HintedError::error(
                format!("{shown}:{line}: expected TOML, {}", error.message()),
                "write an option per line, such as: keep = 0.6",
            )
        })?;
        let mut added = Self::default();
        for (key, value) in &table {
            let argument = argument(command, key).ok_or_else(|| unknown(path, command, key))?;
            let is_typed =
                typed.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
            // Wrong values are refused even if they are not used.
            let words = words(path, key, argument, value)?;
            if !is_typed {
                match argument.is_positional() {
                    true => added.positional.extend(words),
                    false => added.options.extend(words),
                }
            }
        }
        Ok(added)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let found = fs::metadata(path).with_context(|| format!("--config {shown}: cannot be read"))?;
    if !found.is_file() || found.len() > LARGEST {
        let got = match found.is_file() {
            true => format!("{} bytes", found.len()),
            false => "something else".to_owned(),
        };
        return Err(HintedError::error(
            format!("--config {shown}: expected a TOML file of at most {LARGEST} bytes, got {got}"),
            "name a file such as score.toml",
        ));
    }
    fs::read_to_string(path).with_context(|| format!("--config {shown}: cannot be read"))
}

/// The argument that a key names.
fn argument<'a>(command: &'a clap::Command, key: &str) -> Option<&'a Arg> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|argument| name(argument).as_deref() == Some(key))?;
    (!NOT_IN_A_FILE.contains(&key)).then_some(found)
}

/// The key of an argument.
fn name(argument: &Arg) -> Option<String> {
    match argument.get_long() {
        Some(long) => Some(long.to_owned()),
        None => {
            let names = argument.get_value_names()?;
            Some(names.first()?.to_lowercase())
        }
    }
}

fn unknown(path: &Path, command: &clap::Command, key: &str) -> anyhow::Error {
    let names: Vec<String> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter_map(name)
        .filter(|name| !NOT_IN_A_FILE.contains(&name.as_str()))
        .collect();
    let likeness = |name: &str| strsim::jaro_winkler(name, key);
    let nearest = names
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|name| likeness(name) > 0.75);
    let hint = match nearest {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("`rho-mask {} --help` lists the options", command.get_name()),
    };
    HintedError::error(
        format!(
            "{}: expected the long name of an option of `{}`, got {key:?}",
            path.display(),
            command.get_name()
        ),
        hint,
    )
}

/// The words of a value, as they would be typed.
fn words(path: &Path, key: &str, argument: &Arg, value: &Value) -> anyhow::Result<Vec<OsString>> {
    let wrong = |expected: &str| {
        HintedError::error(
            format!(
                "{}: {key}: expected {expected}, got {}",
                path.display(),
                value.type_str()
            ),
            "write the value as on the command line",
        )
    };
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{key}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            _ => Err(wrong("true or false")),
        };
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    };
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    let values: Option<Vec<String>> = match value {
        Value::Array(values) if is_list => values.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    };
    let values = values.ok_or_else(|| match is_list {
        true => wrong("a text, a number or a list of them"),
        false => wrong("a text or a number"),
    })?;
    let word = |value: String| -> OsString {
        match argument.is_positional() {
            true => value.into(),
            false => {
                let mut word = OsString::from(format!("--{key}="));
                word.push(OsStr::new(&value));
                word
            }
        }
    };
    Ok(values.into_iter().map(word).collect())
}
