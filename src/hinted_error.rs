//! The program's own error type: where, what, expected, got, and a hint. The module `hint` finds the hint of any error.

use std::fmt;

/// An error of the program with a hint.
#[derive(Debug)]
pub struct HintedError {
    message: String,
    details: Vec<String>,
    hint: String,
}

impl HintedError {
    /// An error whose message says where, what, expected, got, and whose hint says what to do.
    pub fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self::with_details(message, Vec::new(), hint)
    }

    /// Like [`error`](Self::error), with lines below the message.
    pub(crate) fn with_details(
        message: impl Into<String>,
        details: Vec<String>,
        hint: impl Into<String>,
    ) -> anyhow::Error {
        Self {
            message: message.into(),
            details,
            hint: hint.into(),
        }
        .into()
    }

    /// The hint: what to do.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for HintedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HintedError {}

/// The lines below the message of an error.
pub fn details(error: &anyhow::Error) -> &[String] {
    let mut causes = error.chain();
    let own = causes.find_map(|cause| cause.downcast_ref::<HintedError>());
    own.map_or(&[], |own| &own.details)
}

/// All causes, outermost first. A cause whose text is already part of the message is skipped.
pub fn chain(error: &anyhow::Error) -> String {
    chain_of(error.as_ref())
}

/// Like [`chain`], for any error.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
