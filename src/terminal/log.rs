//! The file of `--log-file`: takes safe text, appends it with times. A run that is resumed appends to the same file.
//!
//! Both a message and the file are bounded: a run of weeks, or somebody else's document, cannot fill a disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use chrono::{SecondsFormat, Utc};

use crate::hinted_error::HintedError;

/// The longest message, in bytes.
const MESSAGE: usize = 16 << 10;
/// The largest file, in bytes.
const FILE: u64 = 64 << 20;

/// A log that is open.
pub(super) struct Log {
    file: File,
    path: PathBuf,
    full: bool,
}

impl Log {
    /// Opens or creates a log.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display();
        // Before it is opened: opening a pipe waits for its reader.
        let found = fs::metadata(&path);
        if found.is_ok_and(|found| !found.is_file()) {
            return Err(HintedError::error(
                format!("--log-file {shown}: expected a file, got something else"),
                "name a new file, or one to append to",
            ));
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("--log-file {shown}: cannot be opened"))?;
        Ok(Self {
            file,
            path,
            full: false,
        })
    }

    /// Appends a message; the error says why it is lost.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        self.append(text)
            .map_err(|error| format!("{}: cannot be written: {error}", self.path.display()))
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if self.full {
            return Ok(());
        }
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let text = shortened(text, MESSAGE);
        let mut entry: String = text.lines().map(|line| format!("{now} {line}\n")).collect();
        // Other ranks may append to the same file.
        if self.file.metadata()?.len() + entry.len() as u64 > FILE {
            self.full = true;
            entry = format!("{now} the log is full ({FILE} bytes)\n");
        }
        // In one write, so that the lines of several processes are not mixed.
        self.file.write_all(entry.as_bytes())
    }
}

/// The first bytes of a text, whole characters.
fn shortened(text: &str, bytes: usize) -> std::borrow::Cow<'_, str> {
    match text.len() <= bytes {
        true => text.into(),
        false => format!("{} ...", &text[..text.floor_char_boundary(bytes)]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_the_file_are_bounded() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        let read = || fs::read_to_string(&path).unwrap();
        let mut log = Log::open(path.clone()).unwrap();
        log.add("one\ntwo").unwrap();
        log.add(&"é".repeat(MESSAGE)).unwrap();
        drop(log);
        let lines: Vec<String> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3);
        for (line, end) in lines.iter().zip([" one", " two", "é ..."]) {
            // 2026-01-31T12:34:56.789Z
            let (time, _) = line.split_once(' ').unwrap();
            assert_eq!((time.len(), time.ends_with('Z')), (24, true), "{line}");
            assert!(line.ends_with(end) && line.len() < MESSAGE + 40, "{line}");
        }
        // A file that is nearly full: a sparse one.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(FILE - 100).unwrap();
        let mut log = Log::open(path.clone()).unwrap();
        for _ in 0..10 {
            log.add("some line of thirty characters").unwrap();
        }
        let bytes = fs::metadata(&path).unwrap().len();
        assert!((FILE - 50..FILE + 100).contains(&bytes), "{bytes}");
        assert_eq!(read().matches("the log is full").count(), 1);
    }

    #[test]
    fn only_a_file_is_a_log() {
        let place = tempfile::tempdir().unwrap();
        for path in [place.path().to_owned(), "/dev/null".into()] {
            let error = Log::open(path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("expected a file"), "{error}");
        }
        let error = Log::open(place.path().join("none/log")).map(|_| ());
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("cannot be opened: No such file"), "{error}");
    }
}
