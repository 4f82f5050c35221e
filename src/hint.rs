//! Errors as people read them: the chain of causes on one line, and what to do about it on the next.

use std::fmt;

use rho_checkpoint::CheckpointError;
use rho_formats::{CorpusError, MaskError, OutputError};
use rho_graph::ExportError;
use rho_reference::ReferenceError;
use rho_runtime::LibraryError;

use crate::tokenization::{FilesError, TokenizerError};

/// An error of the program itself, with advice.
#[derive(Debug)]
pub struct Advised {
    message: String,
    hint: String,
}

impl Advised {
    /// An error whose message says where, what, expected and got, and whose hint says what to do.
    pub fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
        .into()
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Advised {}

/// All causes, outermost first. A cause whose text the one before already holds is not said twice.
pub fn chain(error: &anyhow::Error) -> String {
    chain_of(error.as_ref())
}

/// As [`chain`].
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

/// The first hint along the chain.
pub fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint.clone());
        }
        #[cfg(feature = "train")]
        if let Some(error) = cause.downcast_ref::<rho_trainer::run::RunError>()
            && let Some(hint) = error.hint()
        {
            return Some(hint.to_owned());
        }
        let hint = cause
            .downcast_ref::<ReferenceError>()
            .and_then(ReferenceError::hint);
        hint.or_else(|| {
            cause
                .downcast_ref::<LibraryError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<CorpusError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<OutputError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<MaskError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| cause.downcast_ref::<ExportError>()?.hint())
        .or_else(|| cause.downcast_ref::<FilesError>()?.hint())
        .or_else(|| {
            let hint = cause.downcast_ref::<CheckpointError>()?.hint();
            hint.map(str::to_owned)
        })
        .or_else(|| {
            cause.downcast_ref::<TokenizerError>()?;
            let hint = "save the model's tokenizer as tokenizer.json: AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)";
            Some(hint.to_owned())
        })
    })
}
