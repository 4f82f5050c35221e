//! Conversations: from the messages of a row to token ids, and which of them may be targets.

use std::path::Path;

use crate::{
    cli::{MessagesStyle, TargetRule},
    tokenization::Tokenization,
};

/// A conversation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Targeted {
    /// Token ids of the rendered text, without special tokens around it.
    pub(crate) tokens: Vec<u32>,
    /// Whether each token may be a target; none if all may.
    pub(crate) target: Option<Vec<bool>>,
    /// The rendered text.
    pub(crate) text: String,
}

/// A chat template with the rules by which conversations become tokens and targets.
pub(crate) struct Conversations {
    style: MessagesStyle,
    targets: TargetRule,
}

impl Conversations {
    /// Loads the chat template: this file, or the one beside the tokenizer.
    pub(crate) fn load(
        _tokenizer_folder: &Path,
        _chat_template: Option<&Path>,
        style: MessagesStyle,
        targets: TargetRule,
    ) -> anyhow::Result<Self> {
        Ok(Self { style, targets })
    }

    /// SHA-256 of the template.
    pub(crate) fn fingerprint(&self) -> &str {
        ""
    }

    /// Renders the messages of a row (JSON), tokenises the text, and finds the targets.
    ///
    /// # Errors
    /// The reason why the row is rejected.
    pub(crate) fn tokenize(
        &self,
        _tokenization: &Tokenization,
        _messages: &str,
        _tools: Option<&str>,
    ) -> Result<Targeted, String> {
        let _ = (self.style, self.targets);
        Err("not available".to_owned())
    }
}
