//! Runs Transformers in the user's Python with a script (`transformers.py`). Each window is a line of JSON to it, and
//! its scores a line back. Nothing is written to disk, and nothing is imported from the current folder.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{hinted_error::HintedError, stop::Stop, terminal};

const SCRIPT: &str = include_str!("transformers.py");
/// How often to check for a signal while Python computes.
const PATIENCE: Duration = Duration::from_millis(100);
/// The number of bytes of standard error to keep, from its end.
const SAID: usize = 8 << 10;

/// A running Python process. Dropping this ends it.
pub(crate) struct Transformers {
    python: PathBuf,
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    said: Option<JoinHandle<Vec<u8>>>,
    stop: Stop,
}

/// The versions in that Python.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) python: String,
    pub(crate) torch: String,
    pub(crate) transformers: String,
}

/// Its first line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Greeting {
    Here(Versions),
    Missing { missing: Vec<String> },
}

/// What to load.
#[derive(Debug, Serialize)]
pub(crate) struct Settings<'a> {
    pub(crate) checkpoint: &'a Path,
    pub(crate) dtype: &'a str,
    pub(crate) threads: usize,
}

/// A loaded model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Class {
    /// Its class in Transformers.
    pub(crate) class: String,
    pub(crate) dtype: String,
    /// Tensors of the checkpoint that it does not read.
    #[serde(default, skip_serializing)]
    pub(crate) unused: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Loading {
    Loaded(Class),
    Failed { error: String },
}

/// A window to score.
#[derive(Debug, Serialize)]
pub(crate) struct Window<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) scored_from: usize,
}

/// Scores of a window from its first scored token on; None for a score that is not finite.
#[derive(Debug, Deserialize)]
pub(crate) struct WindowScores {
    pub(crate) loss: Vec<Option<f64>>,
    pub(crate) entropy: Vec<Option<f64>>,
}

impl Transformers {
    /// Starts Python and has it import what it needs; None if stopped.
    pub(crate) fn start(python: &Path, stop: &Stop) -> anyhow::Result<Option<(Self, Versions)>> {
        let child = rho_runtime::isolated_python(python).and_then(|mut command| {
            command
                .args(["-c", SCRIPT])
                .env("HF_HUB_OFFLINE", "1")
                .env("TRANSFORMERS_OFFLINE", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        });
        let mut child = child.map_err(|error| {
            HintedError::error(
                format!(
                    "--python {}: expected a Python, it cannot be started: {error}",
                    python.display()
                ),
                "name one that has PyTorch and Transformers, such as venv/bin/python",
            )
        })?;
        let piped = "a child has the pipes that it was started with";
        let output = BufReader::new(child.stdout.take().context(piped)?);
        let mut errors = child.stderr.take().context(piped)?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let said = std::thread::spawn(move || {
            let (mut said, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = errors.read(&mut part) {
                said.extend_from_slice(&part[..read]);
                let more = said.len().saturating_sub(SAID);
                said.drain(..more);
            }
            said
        });
        let mut started = Self {
            python: python.to_owned(),
            input: child.stdin.take().context(piped)?,
            child,
            answers,
            said: Some(said),
            stop: stop.clone(),
        };
        let shown = python.display();
        match started.answer()? {
            None => Ok(None),
            Some(Greeting::Here(versions)) => Ok(Some((started, versions))),
            Some(Greeting::Missing { missing }) => Err(HintedError::error(
                format!(
                    "{shown}: expected PyTorch and Transformers, got no module {}",
                    missing.join(" and no module ")
                ),
                format!(
                    "install them with `{shown} -m pip install torch transformers`, or name a Python that has them with \
                     --python"
                ),
            )),
        }
    }

    /// Loads a checkpoint; None if stopped.
    pub(crate) fn load(&mut self, settings: &Settings<'_>) -> anyhow::Result<Option<Class>> {
        match self.ask(settings)? {
            None => Ok(None),
            Some(Loading::Loaded(class)) => Ok(Some(class)),
            Some(Loading::Failed { error }) => Err(HintedError::error(
                format!(
                    "{}: Transformers cannot load it: {error}",
                    settings.checkpoint.display()
                ),
                "a newer Transformers may know this model; code that comes with a checkpoint is not run",
            )),
        }
    }

    /// Scores a window; None if stopped.
    pub(crate) fn score(&mut self, window: &Window<'_>) -> anyhow::Result<Option<WindowScores>> {
        let Some(scores) = self.ask::<WindowScores>(window)? else {
            return Ok(None);
        };
        let expected = window.tokens.len() - window.scored_from;
        let got = [scores.loss.len(), scores.entropy.len()];
        match got == [expected; 2] {
            true => Ok(Some(scores)),
            false => Err(anyhow::anyhow!(
                "{}: expected {expected} losses and entropies, got {} and {}",
                self.python.display(),
                got[0],
                got[1]
            )),
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> anyhow::Result<Option<T>> {
        let line = serde_json::to_string(question)? + "\n";
        // If Python has ended, this fails; waiting for the answer below finds the reason.
        let _ = self
            .input
            .write_all(line.as_bytes())
            .and_then(|()| self.input.flush());
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        loop {
            let answer = self.answers.recv_timeout(PATIENCE);
            if self.stop.requested() {
                return Ok(None);
            }
            match answer {
                Ok(line) => {
                    let shown = self.python.display();
                    let read = serde_json::from_str(&line);
                    return read.map(Some).with_context(|| {
                        format!("{shown} gave an answer that was not understood")
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Why it ended; prints what it wrote to standard error.
    fn ended(&mut self) -> anyhow::Error {
        // Its standard output is closed, but it may still be exiting.
        let ended = self.child.wait();
        let said = self.said.take().and_then(|said| said.join().ok());
        let said = said.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        if !said.trim().is_empty() {
            terminal::line(said.trim_end());
        }
        let how = ended.map_or("in an unknown way".to_owned(), |status| {
            format!("with {status}")
        });
        HintedError::error(
            format!(
                "{}: expected scores from Transformers, Python ended {how}",
                self.python.display()
            ),
            "see its output above; if it ran out of memory, --dtype f32 needs half as much",
        )
    }
}

impl Drop for Transformers {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_none_is_named() {
        let error = |python: &str| {
            let started = Transformers::start(Path::new(python), &Stop::default());
            match started {
                Err(error) => crate::hinted_error::chain(&error),
                Ok(_) => panic!("{python} started"),
            }
        };
        assert!(error("/nowhere/python").contains("--python /nowhere/python: expected a Python"));
        assert!(error("/bin/false").contains("Python ended with exit status: 1"));
        assert!(error("/bin/echo").contains("was not understood"));
    }
}
