//! Conversations: from the messages of a row to token ids, and which of them may be targets.
//!
//! ```text
//! messages, tools (JSON) ─► messages ─► template ─► text ─► tokens ─► targets
//!                                          ▲
//!                      chat_template.jinja ┘ or tokenizer_config.json
//! ```
//!
//! Text and tokens are those of `apply_chat_template` of Transformers 5: no special token is added around the text,
//! because the template has written them. A special token that a message spells out becomes that token, as there.
//!
//! * `template_files`: finds the template. `template`: renders it. `messages`: what a row holds. `targets`: the bits.

mod messages;
mod targets;
mod template;
mod template_files;
#[cfg(test)]
mod tests;

use std::{ops::Range, path::Path};

use minijinja::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    cli::{MessagesStyle, TargetRule as Targets},
    hinted_error::HintedError,
    tokenization::{Tokenization, TokenizerFiles},
};
use messages::Messages;
use template::{Rendered, Template, list};
use template_files::Templates;

/// A conversation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targeted {
    /// Token ids of the rendered text, without special tokens around it.
    pub tokens: Vec<u32>,
    /// Whether each token may be a target; none if all may.
    pub target: Option<Vec<bool>>,
    /// The rendered text.
    pub text: String,
}

/// A chat template with the rules by which conversations become tokens and targets.
pub struct Conversations {
    template: Template,
    /// The template for conversations with tools, if the model has another one for them.
    with_tools: Option<Template>,
    /// The special tokens, as variables of the template.
    special: Vec<(String, String)>,
    fingerprint: String,
    style: MessagesStyle,
    targets: Targets,
}

impl Conversations {
    /// Loads the chat template: this file, or the one beside the tokenizer.
    ///
    /// # Errors
    /// If there is none, or it has a part that is not supported.
    pub fn load(
        tokenizer: &TokenizerFiles,
        chat_template: Option<&Path>,
        style: MessagesStyle,
        targets: Targets,
    ) -> anyhow::Result<Self> {
        let templates = Templates::read(chat_template, tokenizer.folder())?;
        let compile = |name: &str| {
            let source = templates.sources.get(name);
            let compiled = source.map(|source| Template::compile(source));
            compiled.transpose().map_err(|fault| {
                let (shown, line, what) = (templates.path.display(), fault.line, fault.message);
                let name = if name == "default" {
                    String::new()
                } else {
                    format!(" {name}")
                };
                HintedError::error(
                    format!("{shown}: chat template{name}, line {line}: {what}"),
                    "correct the template, or name another one with --chat-template",
                )
            })
        };
        let special = tokenizer.named_tokens().to_vec();
        for (name, text) in &special {
            if text.contains([template::START, template::END]) {
                return Err(HintedError::error(
                    format!("{name}: expected a token without the characters U+FFFFE and U+FFFFF"),
                    "correct tokenizer_config.json",
                ));
            }
        }
        let mut digest = Sha256::new();
        for (name, text) in templates
            .sources
            .iter()
            .chain(special.iter().map(|(name, text)| (name, text)))
        {
            for part in [name, text] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
        }
        let digest = digest.finalize();
        let missing = || anyhow::anyhow!("expected a chat template, got none");
        Ok(Self {
            template: compile("default")?.ok_or_else(missing)?,
            with_tools: compile("tool_use")?,
            special,
            fingerprint: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            style,
            targets,
        })
    }

    /// SHA-256 of what the texts depend on besides the messages: the templates, and the special tokens by their names.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Renders the messages of a row (JSON), tokenises the text, and finds the targets. A conversation without an
    /// assistant message has no targets.
    ///
    /// # Errors
    /// The reason why the row is rejected.
    pub fn tokenize(
        &self,
        tokenization: &Tokenization,
        messages: &str,
        tools: Option<&str>,
    ) -> Result<Targeted, String> {
        let bytes = messages.len() + tools.map_or(0, str::len);
        for (name, json) in [("messages", Some(messages)), ("tools", tools)] {
            if json.is_some_and(template::is_marked) {
                return Err(format!(
                    "{name}: expected no characters U+FFFFE and U+FFFFF, which mark spans, got one"
                ));
            }
        }
        let conversation = Conversation {
            conversations: self,
            messages: Messages::read(messages, self.style)?,
            tools: messages::tools(tools)?,
            bytes,
        };
        let all = conversation.messages.all.len();
        let Rendered { text, generation } = conversation.render(all, false)?;
        let tokens = encode(tokenization, &text)?;
        self.must_begin_once(tokenization, &text, &tokens)?;
        let spans = match self.targets {
            Targets::All => None,
            _ if conversation.template().marks_generation => {
                let marks = conversation.marks_of_rule(tokenization, &tokens, &generation)?;
                let spans = targets::of_marks(tokenization, &text, tokens.len(), marks)?;
                Some(spans)
            }
            _ => Some(conversation.by_prefixes(tokenization, &tokens)?),
        };
        let target = spans.map(|spans| {
            let mut target = vec![false; tokens.len()];
            for span in spans {
                target[span].fill(true);
            }
            target
        });
        Ok(Targeted {
            tokens,
            target,
            text,
        })
    }

    /// Those that the rule asks for.
    fn of_rule<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        match self.targets {
            Targets::LastAssistant => &all[all.len().saturating_sub(1)..],
            _ => all,
        }
    }

    /// Refuses a text that begins with the beginning-of-sequence token twice.
    fn must_begin_once(
        &self,
        tokenization: &Tokenization,
        text: &str,
        tokens: &[u32],
    ) -> Result<(), String> {
        let named = self.special.iter().find(|(name, _)| name == "bos_token");
        let twice = named.is_some_and(|(_, bos)| {
            !bos.is_empty()
                && text
                    .strip_prefix(bos.as_str())
                    .is_some_and(|rest| rest.starts_with(bos.as_str()))
        });
        let prefix = &tokenization.prefix;
        let again = !prefix.is_empty()
            && tokens
                .strip_prefix(prefix.as_slice())
                .is_some_and(|rest| rest.starts_with(prefix));
        match twice || again {
            true => Err(format!(
                "expected one beginning-of-sequence token before the conversation, got two: the text begins with {}",
                targets::shown(text)
            )),
            false => Ok(()),
        }
    }
}

/// A conversation in work.
struct Conversation<'a> {
    conversations: &'a Conversations,
    messages: Messages,
    tools: Option<Value>,
    bytes: usize,
}

impl Conversation<'_> {
    fn template(&self) -> &Template {
        let with_tools = self.conversations.with_tools.as_ref();
        let with_tools = with_tools.filter(|_| self.tools.is_some());
        with_tools.unwrap_or(&self.conversations.template)
    }

    /// Renders the first messages.
    fn render(&self, messages: usize, prompt: bool) -> Result<Rendered, String> {
        let mut variables: Vec<(&str, Value)> = Vec::new();
        let special = self.conversations.special.iter();
        variables.extend(special.map(|(name, text)| (name.as_str(), Value::from(text.as_str()))));
        variables.push(("messages", list(self.messages.all[..messages].to_vec())));
        variables.push(("tools", self.tools.clone().unwrap_or(Value::from(()))));
        variables.push(("documents", Value::from(())));
        variables.push(("add_generation_prompt", Value::from(prompt)));
        self.template().render(variables, self.bytes)
    }

    /// The marks that the rule asks for, of all of a conversation.
    fn marks_of_rule<'a>(
        &self,
        tokenization: &Tokenization,
        tokens: &[u32],
        marks: &'a [Range<usize>],
    ) -> Result<&'a [Range<usize>], String> {
        let (Targets::LastAssistant, [_, .., last]) =
            (self.conversations.targets, &*self.messages.assistant)
        else {
            return Ok(marks);
        };
        // A message may have several marks: the last one's are those that its prefix does not have.
        let unknown = |why: &str| {
            format!(
                "messages[{last}]: expected to find where the last assistant's text begins, got {why}"
            )
        };
        let before = self
            .render(*last, false)
            .map_err(|error| unknown(&format!("an error: {error}")))?;
        let prefix = encode(tokenization, &before.text)?;
        match tokens.starts_with(&prefix) && marks.starts_with(&before.generation) {
            true => Ok(&marks[before.generation.len()..]),
            false => Err(unknown(CHANGED)),
        }
    }

    /// The spans of the assistant's messages, by prefixes of the conversation. `tokens` are all its tokens.
    fn by_prefixes(
        &self,
        tokenization: &Tokenization,
        tokens: &[u32],
    ) -> Result<Vec<Range<usize>>, String> {
        let mut bytes = 0;
        let mut spans = Vec::new();
        for &place in self.conversations.of_rule(&self.messages.assistant) {
            if place == 0 {
                return Err(FIRST.to_owned());
            }
            let mut border = |messages: usize, prompt: bool| {
                let what = if prompt { "begins" } else { "ends" };
                let unknown = |why: String| {
                    format!(
                        "messages[{place}]: expected to find where the assistant's text {what}, got {why}"
                    )
                };
                if messages == self.messages.all.len() && !prompt {
                    return Ok(tokens.len());
                }
                let prefix = self.render(messages, prompt).map_err(|error| {
                    unknown(format!(
                        "an error for the {messages} messages up to there: {error}"
                    ))
                })?;
                bytes += prefix.text.len();
                if bytes > targets::PREFIXES {
                    return Err(unknown("too many turns to render each of them".to_owned()));
                }
                let prefix = encode(tokenization, &prefix.text)?;
                match tokens.starts_with(&prefix) {
                    true => Ok(prefix.len()),
                    false => Err(unknown(CHANGED.to_owned())),
                }
            };
            let span = border(place, true)?..border(place + 1, false)?;
            if span.start > span.end {
                return Err(format!(
                    "messages[{place}]: expected the assistant's text behind the prompt for it, got an end before its start"
                ));
            }
            spans.push(span);
        }
        Ok(spans)
    }
}

/// Why the first message has no targets.
const FIRST: &str = "messages[0]: expected messages before the assistant's, which show where its text begins, got none";

/// Why a prefix of a conversation does not show where its targets are.
const CHANGED: &str = "other tokens for the messages up to there than in the whole conversation: the template changes \
                       earlier turns, or a token spans the border";

fn encode(tokenization: &Tokenization, text: &str) -> Result<Vec<u32>, String> {
    let tokens = tokenization.encode_alone(text);
    tokens.map_err(|error| format!("cannot be tokenised: {error}"))
}
