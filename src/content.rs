//! What a row holds, as tokens: a text, token ids, a conversation, a prompt and its completion, or a text with spans.
//! Takes the content of a row, yields its token ids and which of them may be targets. All commands that read a corpus
//! use it.

use rho_formats::{Content, ContentFields};
use serde::Serialize;

use crate::{
    cli::{MessagesStyle, SpecialToken, TargetRule, TextArgs},
    conversations::Conversations,
    hinted_error::HintedError,
    metadata, targets,
    tokenization::{Tokenization, TokenizerFiles},
};

/// The field of the tools, unless another is named.
const TOOLS: &str = "tools";

/// The fields of a corpus and the rule of its targets, as a plan records them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContentPlan {
    /// Field with the text.
    pub text_field: String,
    /// Field with token ids, if token ids are read instead of text.
    pub tokens_field: Option<String>,
    /// Field that says which token ids may be targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets_field: Option<String>,
    /// Field with the messages of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_field: Option<String>,
    /// How they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_style: Option<MessagesStyle>,
    /// Field with the tools of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_field: Option<String>,
    /// SHA-256 of the chat template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Which tokens of a conversation may be targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetRule>,
    /// Field with a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_field: Option<String>,
    /// Field with its completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_field: Option<String>,
    /// Field with the ranges of the text that are context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans_field: Option<String>,
}

impl ContentPlan {
    /// The plan of these options, which describe one kind of document. `conversations` has the chat template, if there are
    /// conversations.
    pub(crate) fn of(args: &TextArgs, conversations: Option<&Conversations>) -> Self {
        let of = args.targets.clone();
        let is_chat = of.messages_field.is_some();
        let tools = || of.tools_field.unwrap_or_else(|| TOOLS.to_owned());
        Self {
            text_field: args.text_field.clone(),
            tokens_field: args.tokens_field.clone(),
            targets_field: of.targets_field,
            messages_style: is_chat.then(|| of.messages_style.unwrap_or_default()),
            tools_field: is_chat.then(tools),
            chat_template: conversations.map(|c| c.fingerprint().to_owned()),
            targets: is_chat.then(|| of.targets.unwrap_or_default()),
            messages_field: of.messages_field,
            prompt_field: of.prompt_field,
            completion_field: of.completion_field,
            spans_field: of.spans_field,
        }
    }

    /// The fields to read.
    pub(crate) fn fields(&self) -> ContentFields {
        if let Some(messages) = &self.messages_field {
            ContentFields::Messages {
                messages: messages.clone(),
                tools: self.tools_field.clone(),
            }
        } else if let (Some(prompt), Some(completion)) =
            (&self.prompt_field, &self.completion_field)
        {
            ContentFields::Completion {
                prompt: prompt.clone(),
                completion: completion.clone(),
            }
        } else if let Some(tokens) = &self.tokens_field {
            ContentFields::Tokens {
                tokens: tokens.clone(),
                targets: self.targets_field.clone(),
            }
        } else if let Some(spans) = &self.spans_field {
            ContentFields::Spans {
                text: self.text_field.clone(),
                spans: spans.clone(),
            }
        } else {
            ContentFields::text(&self.text_field)
        }
    }

    /// Whether not every token of a document may be a target.
    pub(crate) fn has_context(&self) -> bool {
        self.targets.is_some_and(|rule| rule != TargetRule::All)
            || self.prompt_field.is_some()
            || self.targets_field.is_some()
            || self.spans_field.is_some()
    }

    /// Their entry in the metadata of masks; none if every token may be a target.
    pub(crate) fn metadata(&self) -> Option<metadata::Targets> {
        let from = match self {
            Self {
                messages_field: Some(_),
                ..
            } => "messages",
            Self {
                prompt_field: Some(_),
                ..
            } => "completion",
            Self {
                spans_field: Some(_),
                ..
            } => "spans",
            Self {
                targets_field: Some(_),
                ..
            } => "tokens",
            _ => return None,
        };
        Some(metadata::Targets {
            from: Some(from.to_owned()),
            rule: self.targets.map(|rule| rule.name().to_owned()),
            chat_template: self.chat_template.clone(),
        })
    }
}

/// The chat template of a tokenizer and the rule of the targets; none if the corpus has no conversations.
///
/// # Errors
/// If there is no tokenizer or no template, or the template cannot be read.
pub(crate) fn conversations(
    args: &TextArgs,
    tokenizer: Option<&TokenizerFiles>,
    (bos, eos): (SpecialToken, SpecialToken),
) -> anyhow::Result<Option<Conversations>> {
    let of = &args.targets;
    if of.messages_field.is_none() {
        return Ok(None);
    }
    for (option, when) in [("--bos", bos), ("--eos", eos)] {
        if when == SpecialToken::Always {
            return Err(HintedError::error(
                format!("{option} always: expected texts, got conversations (--messages-field)"),
                "omit it: the chat template writes the special tokens",
            ));
        }
    }
    let Some(tokenizer) = tokenizer else {
        return Err(HintedError::error(
            "--messages-field: expected a tokenizer, got none",
            "name it with --tokenizer",
        ));
    };
    Conversations::load(
        tokenizer,
        of.chat_template.as_deref(),
        of.messages_style.unwrap_or_default(),
        of.targets.unwrap_or_default(),
    )
    .map(Some)
}

/// What turns the content of rows into tokens.
#[derive(Clone, Copy, Default)]
pub(crate) struct Encoder<'a> {
    /// Missing if only token ids are read.
    pub(crate) tokenization: Option<&'a Tokenization>,
    /// Only for conversations.
    pub(crate) conversations: Option<&'a Conversations>,
}

/// The content of a row as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokenized {
    pub(crate) tokens: Vec<u32>,
    /// Which of them may be targets; none if all may.
    pub(crate) target: Option<Vec<bool>>,
    /// The text of the tokens, without special tokens around it; none for token ids.
    pub(crate) text: Option<String>,
}

impl Encoder<'_> {
    /// Tokenises the content of a row.
    ///
    /// # Errors
    /// The reason why the row is rejected.
    pub(crate) fn tokens(&self, content: Content) -> Result<Tokenized, String> {
        let tokenization = || {
            let missing = "expected token ids, got a text without a tokenizer";
            self.tokenization.ok_or_else(|| missing.to_owned())
        };
        let (tokens, target, text) = match content {
            Content::Tokens(tokens) => (tokens, None, None),
            Content::TargetedTokens { tokens, target } => (tokens, Some(target), None),
            Content::Text(text) => {
                let tokens = tokenization()?.encode(&text);
                let tokens = tokens.map_err(|error| format!("cannot tokenize: {error}"))?;
                (tokens, None, Some(text))
            }
            Content::Messages { messages, tools } => {
                let missing = "expected a chat template for the messages, got none";
                let conversations = self.conversations.ok_or_else(|| missing.to_owned())?;
                let done = conversations.tokenize(tokenization()?, &messages, tools.as_deref())?;
                (done.tokens, done.target, Some(done.text))
            }
            Content::Completion { prompt, completion } => {
                let (tokens, target) = targets::completion(tokenization()?, &prompt, &completion)?;
                (tokens, Some(target), Some(prompt + &completion))
            }
            Content::Spans { text, context } => {
                let (tokens, target) = targets::spans(tokenization()?, &text, &context)?;
                (tokens, Some(target), Some(text))
            }
            Content::Numbers(_) => {
                return Err("expected texts, conversations or token ids, got numbers".to_owned());
            }
        };
        Ok(Tokenized {
            tokens,
            target,
            text,
        })
    }

    /// The tokens of a document after a text that stands before it: the same ids at the end.
    ///
    /// # Errors
    /// The reason why the row is rejected: the document's own tokens change.
    pub(crate) fn after(&self, before: &str, document: &Tokenized) -> Result<Vec<u32>, String> {
        let Some(tokenization) = self.tokenization else {
            return Err(
                "expected a tokenizer for the text before the document, got none".to_owned(),
            );
        };
        let cannot = |error| format!("cannot tokenize: {error}");
        let Some(text) = &document.text else {
            let mut tokens = tokenization.encode(before).map_err(cannot)?;
            tokens.truncate(tokens.len() - tokenization.suffix.len());
            tokens.extend_from_slice(&document.tokens);
            return Ok(tokens);
        };
        let tokens = tokenization
            .encode(&format!("{before}{text}"))
            .map_err(cannot)?;
        // A special token before the text stays the first of all.
        let own = &document.tokens[tokenization.prefix.len()..];
        match tokens.ends_with(own) && tokens.len() >= document.tokens.len() {
            true => Ok(tokens),
            false => Err(
                "the document has other tokens after the text before it: expected a border between tokens".to_owned(),
            ),
        }
    }
}
