//! Standard error: takes messages, events and errors, writes them as text or as JSON, and logs them.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rho_formats::remote::without_secrets;
use serde_json::{Map, Value, json};

use super::{bar::above_the_bar, colours, log::Log};
use crate::terminal_text::{self, in_one_line};

/// How standard error is used.
#[derive(Debug, Default)]
pub struct Settings {
    /// One JSON object per line, and nothing else.
    pub json: bool,
    /// Only errors.
    pub quiet: bool,
    /// No progress bars.
    pub no_bars: bool,
    /// A file for every message, with times.
    pub log: Option<PathBuf>,
}

/// The state of standard error.
#[derive(Default)]
struct Messages {
    json: bool,
    quiet: bool,
    no_bars: bool,
    log: Option<Log>,
    /// The first reason why a message was lost.
    lost: Option<String>,
    /// The fields of the last JSON object.
    end: Map<String, Value>,
}

static MESSAGES: Mutex<Option<Messages>> = Mutex::new(None);

fn with<T>(work: impl FnOnce(&mut Messages) -> T) -> T {
    let mut messages: MutexGuard<'_, _> = MESSAGES.lock().unwrap_or_else(PoisonError::into_inner);
    work(messages.get_or_insert_default())
}

/// Sets how standard error is used. `what` is the first line of the log.
///
/// # Errors
///
/// If the log cannot be opened.
pub fn set_up(settings: Settings, what: &str) -> anyhow::Result<()> {
    let log = settings.log.map(Log::open).transpose()?;
    with(|messages| {
        messages.json |= settings.json;
        messages.quiet = settings.quiet;
        messages.no_bars = settings.no_bars;
        messages.log = log;
        messages.log(what);
    });
    Ok(())
}

/// From now on, messages are JSON.
pub fn use_json() {
    with(|messages| messages.json = true);
}

pub(super) fn draws_bars() -> bool {
    with(|messages| !(messages.json || messages.quiet || messages.no_bars))
}

/// Prints a message of one line.
pub fn line(message: &str) {
    text(message, "");
}

/// Prints a message: a line, and below it the lines of a text. A line break in `head` is replaced; those in `body`
/// count, so names in it must be safe already.
pub(crate) fn text(head: &str, body: &str) {
    // Most URLs have lost their secrets before; this is for those that stand in an argument of another kind.
    let (head, body) = (without_secrets(head), without_secrets(body));
    let body = terminal_text::lines(body.trim_end_matches('\n'));
    let head = in_one_line(&head);
    let whole = match body.is_empty() {
        true => head.into_owned(),
        false => format!("{head}\n{body}"),
    };
    with(|messages| {
        messages.log(&whole);
        if messages.quiet {
            return;
        }
        match messages.json {
            true => messages.object(&json!({"event": "message", "text": whole})),
            false => messages.write(&whole),
        }
    });
}

/// Prints a message only once per process: commands that open many models would repeat it.
pub(crate) fn once(message: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(message.to_owned()) {
        line(message);
    }
}

/// Prints a line of progress, as text.
pub(crate) fn progress_line(message: &str) {
    let message = without_secrets(message);
    let message = in_one_line(&message);
    with(|messages| {
        messages.log(&message);
        if !(messages.quiet || messages.json) {
            messages.write(&message);
        }
    });
}

/// Only logs a line: progress that a bar shows, or that nobody wants to see.
pub(crate) fn logged(message: &str) {
    with(|messages| messages.log(&in_one_line(&without_secrets(message))));
}

/// Prints an event of `--progress json`. It is not logged; `logged` takes its text.
pub(crate) fn event(event: &Value) {
    with(|messages| {
        if messages.json && !messages.quiet {
            messages.object(event);
        }
    });
}

/// Adds fields to the last JSON object.
pub(crate) fn at_end(fields: Value) {
    if let Value::Object(fields) = fields {
        with(|messages| messages.end.extend(fields));
    }
}

/// Prints coloured text of documents, in which names and documents are safe already, for somebody who watches: not as JSON, not to a log.
pub(crate) fn sample(drawn: &str) {
    with(|messages| {
        if !(messages.quiet || messages.json) {
            messages.write(&terminal_text::coloured(drawn));
        }
    });
}

/// Prints an error, its details and its hint, also if only errors are wanted.
pub fn error(message: &str, details: &[String], hint: Option<&str>) {
    let message = without_secrets(message);
    let details: Vec<_> = details
        .iter()
        .map(|detail| without_secrets(detail))
        .collect();
    let hint = hint.map(without_secrets);
    let mut shown = format!("error: {}", in_one_line(&message));
    for detail in &details {
        shown += &format!("\n  {}", in_one_line(detail));
    }
    if let Some(hint) = &hint {
        shown += &format!("\nhint: {}", in_one_line(hint));
    }
    with(|messages| {
        messages.log(&shown);
        match messages.json {
            true => messages.object(&json!({
                "event": "error", "error": message, "details": details, "hint": hint,
            })),
            false => messages.write(&shown),
        }
    });
}

/// Prints why the command line was refused.
pub(super) fn refusal(plain: &str, styled: Option<&str>) {
    let clean = without_secrets(plain);
    let styled = styled.filter(|_| clean == plain);
    with(|messages| match (messages.json, styled) {
        (true, _) => messages.object(&json!({"event": "error", "error": clean.trim_end()})),
        (false, Some(styled)) if colours() => messages.write(styled.trim_end()),
        (false, _) => messages.write(terminal_text::lines(&clean).trim_end()),
    });
}

/// Ends the messages: the last JSON object, the last line of the log. Returns the exit code: 2 if a message was lost,
/// because a disk was full.
pub fn end(code: u8) -> u8 {
    with(|messages| {
        let failed = messages.lost.take();
        let code = match &failed {
            Some(_) => 2,
            None => code,
        };
        if let Some(reason) = failed {
            messages.write(&format!("error: messages were lost: {reason}"));
        }
        messages.log(&format!("ended with exit code {code}"));
        if messages.json {
            let mut end = std::mem::take(&mut messages.end);
            end.insert("event".to_owned(), json!("end"));
            end.insert("exit_code".to_owned(), json!(code));
            messages.object(&Value::Object(end));
        }
        // The last messages may be lost, too.
        match messages.lost.take() {
            Some(_) => 2,
            None => code,
        }
    })
}

impl Messages {
    fn object(&mut self, object: &Value) {
        self.write(&terminal_text::json(&object.to_string()));
    }

    /// Writes safe text and a line break. Standard error is not buffered.
    fn write(&mut self, text: &str) {
        let line = format!("{text}\n");
        let written = above_the_bar(|| io::stderr().lock().write_all(line.as_bytes()));
        if let Err(error) = written
            && matters(&error)
        {
            self.lost
                .get_or_insert(format!("standard error: cannot be written: {error}"));
        }
    }

    fn log(&mut self, text: &str) {
        if let Some(log) = &mut self.log
            && let Err(reason) = log.add(text)
        {
            self.lost.get_or_insert(reason);
        }
    }
}

/// Whether somebody misses what could not be written: not if the reader of a pipe or the terminal has gone.
fn matters(error: &io::Error) -> bool {
    const GONE: i32 = 5;
    error.kind() != io::ErrorKind::BrokenPipe && error.raw_os_error() != Some(GONE)
}
