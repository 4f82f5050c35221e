//! The options that say what a document is besides a text or token ids, and which of its tokens may be targets.

use std::path::PathBuf;

use super::{
    input::TextArgs,
    values::{MessagesStyle, TargetRule, share},
};
use crate::hinted_error::HintedError;
use clap::Args;

/// What may be a target.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Field with the messages of a conversation, which the tokenizer's chat template makes a text.
    ///
    /// A list of messages, or the JSON of one. The tokens of the assistant's messages may be targets; all others are
    /// context: scored, but never ranked, counted or kept.
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub messages_field: Option<String>,

    /// How messages are written [default: openai].
    #[arg(long, value_name = "STYLE", help_heading = "Targets")]
    pub messages_style: Option<MessagesStyle>,

    /// Field with the tools of a conversation, which a row may lack [default: tools].
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub tools_field: Option<String>,

    /// Chat template in place of the one beside the tokenizer.
    #[arg(long, value_name = "FILE", help_heading = "Targets")]
    pub chat_template: Option<PathBuf>,

    /// Which tokens of a conversation may be targets [default: assistant].
    #[arg(long, value_name = "RULE", help_heading = "Targets")]
    pub targets: Option<TargetRule>,

    /// Field with a prompt, which is context; with --completion-field.
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub prompt_field: Option<String>,

    /// Field with the completion of the prompt, whose tokens may be targets.
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub completion_field: Option<String>,

    /// Field that says which of the token ids of --tokens-field may be targets: bits, or labels with -100.
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub targets_field: Option<String>,

    /// Field with the ranges of characters of the text that are context.
    #[arg(long, value_name = "NAME", help_heading = "Targets")]
    pub spans_field: Option<String>,

    /// Stop when more than this share of the rows (1% or 0.01) has no token that may be a target.
    ///
    /// Such documents are counted and left out. Where output is written while the corpus is read, the share is checked
    /// from 1,000 rows on, and at the end.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "1%",
        value_parser = share,
        help_heading = "Targets"
    )]
    pub max_untargeted: f64,
}

impl Default for TargetArgs {
    fn default() -> Self {
        Self {
            messages_field: None,
            messages_style: None,
            tools_field: None,
            chat_template: None,
            targets: None,
            prompt_field: None,
            completion_field: None,
            targets_field: None,
            spans_field: None,
            max_untargeted: 0.01,
        }
    }
}

impl TextArgs {
    /// Refuses options that describe more than one kind of document, or half of one.
    ///
    /// # Errors
    /// If they do.
    pub(crate) fn must_be_one_kind(&self) -> anyhow::Result<()> {
        let of = &self.targets;
        let messages = ("--messages-field", of.messages_field.is_some());
        let prompt = ("--prompt-field", of.prompt_field.is_some());
        let tokens = ("--tokens-field", self.tokens_field.is_some());
        let spans = ("--spans-field", of.spans_field.is_some());
        let completion = ("--completion-field", of.completion_field.is_some());
        let kinds = [messages, prompt, tokens, spans];
        let mut given = kinds.iter().filter(|(_, given)| *given);
        if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
            return Err(HintedError::error(
                format!("{second}: expected one kind of document, got {first} too"),
                "omit one of them",
            ));
        }
        // Each with the option that it belongs to.
        let belong = [
            (("--messages-style", of.messages_style.is_some()), messages),
            (("--tools-field", of.tools_field.is_some()), messages),
            (("--chat-template", of.chat_template.is_some()), messages),
            (("--targets", of.targets.is_some()), messages),
            (completion, prompt),
            (prompt, completion),
            (("--targets-field", of.targets_field.is_some()), tokens),
        ];
        for ((option, given), (other, there)) in belong {
            if given && !there {
                return Err(HintedError::error(
                    format!("{option}: expected {other} with it, got none"),
                    format!("name the field with {other}, or omit {option}"),
                ));
            }
        }
        Ok(())
    }
}
