//! Conversations: from the messages of a row to token ids, and which of them may be targets.

use std::path::Path;

use crate::tokenization::Tokenization;

/// How the messages of a row are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessagesStyle {
    /// Objects with `role` and `content`.
    #[default]
    #[value(name = "openai")]
    OpenAi,
    /// Objects with `from` and `value`.
    #[value(name = "sharegpt")]
    ShareGpt,
}

/// Which tokens of a conversation may be targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// Those of every assistant message.
    #[default]
    Assistant,
    /// Those of the last assistant message.
    LastAssistant,
    /// All.
    All,
}

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
    targets: Targets,
}

impl Conversations {
    /// Loads the chat template: this file, or the one beside the tokenizer.
    pub(crate) fn load(
        _tokenizer_folder: &Path,
        _chat_template: Option<&Path>,
        style: MessagesStyle,
        targets: Targets,
    ) -> anyhow::Result<Self> {
        Ok(Self { style, targets })
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
