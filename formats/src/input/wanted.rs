//! Takes the values of the fields that a document consists of, yields its content, or the reason why there is none.
//!
//! Every reader asks here which fields it must read of a row, and passes their values in the same order. Fields that
//! hold more than a text or token ids come as texts of JSON, whatever the format of the file: `messages`, and the lists
//! that `targets` and `spans` understand.

use super::{Content, ContentFields, Numbers, ReadOptions, spans, targets};

/// What a field should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Tokens,
    Messages,
    /// The only one that a row may lack.
    Tools,
    Targets,
    Spans,
    /// A row may have null in place of them.
    Numbers,
}

impl Holds {
    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Tokens => "a list of token ids",
            Self::Messages => "a list of messages",
            Self::Tools => "a list of tools",
            Self::Targets => "a list of bits or labels",
            Self::Spans => "a list of spans",
            Self::Numbers => "a number, or a list of numbers",
        }
    }

    /// Whether it is read as a text of JSON: a list of anything, or a string that holds one.
    pub(crate) fn is_json(self) -> bool {
        !matches!(self, Self::Text | Self::Tokens | Self::Numbers)
    }

    pub(crate) fn may_be_missing(self) -> bool {
        self == Self::Tools
    }

    /// The value of a null, if it may be one.
    pub(crate) fn null(self) -> Option<Value> {
        match self {
            Self::Tools => Some(Value::Missing),
            Self::Numbers => Some(Value::Numbers(Numbers::Null)),
            _ => None,
        }
    }
}

/// A field that is read of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name, or its path.
    pub(crate) path: String,
    /// The option that names it.
    pub(crate) option: &'static str,
    pub(crate) holds: Holds,
}

/// The value of a wanted field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Tokens(Vec<u32>),
    Numbers(Numbers),
    /// A list of JSON.
    Json(String),
    /// A row lacks it, and may.
    Missing,
}

impl Wanted {
    /// The fields to read, in the order that [`document`] expects.
    pub(crate) fn of(options: &ReadOptions) -> Vec<Self> {
        let names = options.names;
        let wanted = |path: &String, option, holds| Self {
            path: path.clone(),
            option,
            holds,
        };
        let mut all = match &options.content {
            ContentFields::Text { text } => vec![wanted(text, names.text_field, Holds::Text)],
            ContentFields::Tokens { tokens, targets } => {
                let targets = targets
                    .as_ref()
                    .map(|field| wanted(field, names.targets_field, Holds::Targets));
                [wanted(tokens, names.tokens_field, Holds::Tokens)]
                    .into_iter()
                    .chain(targets)
                    .collect()
            }
            ContentFields::Messages { messages, tools } => {
                let tools = tools
                    .as_ref()
                    .map(|field| wanted(field, names.tools_field, Holds::Tools));
                [wanted(messages, names.messages_field, Holds::Messages)]
                    .into_iter()
                    .chain(tools)
                    .collect()
            }
            ContentFields::Completion { prompt, completion } => vec![
                wanted(prompt, names.prompt_field, Holds::Text),
                wanted(completion, names.completion_field, Holds::Text),
            ],
            ContentFields::Spans { text, spans } => vec![
                wanted(text, names.text_field, Holds::Text),
                wanted(spans, names.spans_field, Holds::Spans),
            ],
            ContentFields::Numbers { numbers } => {
                vec![wanted(numbers, names.numbers_field, Holds::Numbers)]
            }
        };
        let context = options.context_field.as_ref();
        all.extend(context.map(|field| wanted(field, names.context_field, Holds::Text)));
        all
    }

    /// Whether it is the text of the document, which may also be a file of its own.
    pub(crate) fn is_text_of_document(&self, options: &ReadOptions) -> bool {
        self.holds == Holds::Text && self.option == options.names.text_field
    }

    /// A message that the field is of another kind.
    pub(crate) fn not(&self, kind: &str) -> String {
        let (path, expected) = (&self.path, self.holds.name());
        format!("field {path:?} is {kind}, expected {expected}")
    }
}

/// The content of a document and the text before it, from the values of [`Wanted::of`] in their order.
pub(crate) fn document(
    options: &ReadOptions,
    values: impl IntoIterator<Item = Result<Value, String>>,
) -> Result<(Content, Option<String>), String> {
    let values = values.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Missing);
    let content = match (&options.content, next()) {
        (ContentFields::Text { .. }, Value::Text(text)) => Content::Text(text),
        (ContentFields::Tokens { targets: None, .. }, Value::Tokens(tokens)) => {
            Content::Tokens(tokens)
        }
        (
            ContentFields::Tokens {
                targets: Some(field),
                tokens: of,
            },
            Value::Tokens(tokens),
        ) => {
            let target = match next() {
                Value::Json(list) => targets::of(&list, field, &tokens, of)?,
                _ => return Err(unread(field)),
            };
            Content::TargetedTokens { tokens, target }
        }
        (ContentFields::Messages { tools: field, .. }, Value::Json(messages)) => {
            let tools = match field.as_ref().map(|_| next()) {
                Some(Value::Json(tools)) => Some(tools),
                _ => None,
            };
            Content::Messages { messages, tools }
        }
        (ContentFields::Completion { completion, .. }, Value::Text(prompt)) => match next() {
            Value::Text(completion) => Content::Completion { prompt, completion },
            _ => return Err(unread(completion)),
        },
        (ContentFields::Spans { spans: field, .. }, Value::Text(text)) => match next() {
            Value::Json(list) => {
                let context = spans::of(&list, field, &text)?;
                Content::Spans { text, context }
            }
            _ => return Err(unread(field)),
        },
        (ContentFields::Numbers { .. }, Value::Numbers(numbers)) => Content::Numbers(numbers),
        (_, _) => {
            let first = Wanted::of(options).into_iter().next();
            return Err(unread(&first.map(|first| first.path).unwrap_or_default()));
        }
    };
    let context = match (&options.context_field, next()) {
        (None, _) => None,
        (Some(_), Value::Text(context)) => Some(context),
        (Some(field), _) => return Err(unread(field)),
    };
    Ok((content, context))
}

/// A value of another kind than was asked for; the readers yield none.
fn unread(field: &str) -> String {
    format!("field {field:?} was not read")
}
