//! A request for completions. Fields that would change the answer in a way that this server does not compute are refused
//! by name; those that cannot change it are taken and ignored.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::prompts::Prompts;
use crate::serve::{error::ApiError, fields::Fields};

/// The fields of OpenAI's interface, then those of vLLM that have a meaning here.
const FIELDS: [&str; 19] = [
    "model",
    "prompt",
    "echo",
    "logprobs",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "best_of",
    "stream",
    "stream_options",
    "stop",
    "seed",
    "suffix",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "user",
    "add_special_tokens",
];
/// The field of vLLM that names tokens by their ids.
const AS_IDS: &str = "return_tokens_as_token_ids";
/// OpenAI's number of tokens to generate if a request gives none.
const DEFAULT_MAX_TOKENS: u64 = 16;

/// What to answer.
#[derive(Debug)]
pub(super) struct CompletionRequest {
    pub(super) model: Option<String>,
    pub(super) prompts: Prompts,
    /// Whether the prompts are part of the answer.
    pub(super) echo: bool,
    /// How many of the most likely tokens are in the answer; none: no log-probabilities at all.
    pub(super) top: Option<usize>,
    /// Whether the most likely next token is generated.
    pub(super) generates: bool,
    /// Whether tokens are named by their ids.
    pub(super) as_ids: bool,
    /// Whether texts get the special tokens of the tokenizer.
    pub(super) special: bool,
}

impl CompletionRequest {
    /// Parses a body. `most_top` is the largest number of most likely tokens that the models compute.
    pub(super) fn parse(body: &[u8], most_top: usize) -> Result<Self, ApiError> {
        let known = [&FIELDS[..], &[AS_IDS]].concat();
        let mut fields = Fields::of(body, &known)?;
        let prompts = fields.take("prompt")?;
        let prompts = prompts.ok_or_else(|| ApiError::field("prompt", "expected it, got none"))?;
        let max_tokens: u64 = fields.take("max_tokens")?.unwrap_or(DEFAULT_MAX_TOKENS);
        if max_tokens > 1 {
            return Err(ApiError::field(
                "max_tokens",
                format!(
                    "expected 0, or 1 for the most likely next token, got {max_tokens}: this server scores prompts and \
                     generates no text"
                ),
            ));
        }
        let generates = max_tokens == 1;
        let echo = fields.take("echo")?.unwrap_or(false);
        if !echo && !generates {
            return Err(ApiError::field(
                "echo",
                "expected true with max_tokens 0, got false: the answer would be empty",
            ));
        }
        let top: Option<usize> = fields.take("logprobs")?;
        if let Some(top) = top
            && top > most_top
        {
            let message = format!(
                "expected at most {most_top} (--top at the start of the server), got {top}"
            );
            return Err(ApiError::field("logprobs", message));
        }
        if generates && most_top == 0 {
            return Err(ApiError::field(
                "max_tokens",
                "expected 0: with several references no next token is computed",
            ));
        }
        must_be_one(&mut fields, "n")?;
        must_be_one(&mut fields, "best_of")?;
        if fields.take("stream")?.unwrap_or(false) {
            return Err(refused("stream"));
        }
        for name in ["stream_options", "suffix"] {
            if fields.take::<IgnoredAny>(name)?.is_some() {
                return Err(refused(name));
            }
        }
        let bias: Option<serde_json::Map<String, Value>> = fields.take("logit_bias")?;
        if bias.is_some_and(|bias| !bias.is_empty()) {
            return Err(refused("logit_bias"));
        }
        for name in ["presence_penalty", "frequency_penalty"] {
            let penalty: f64 = fields.take(name)?.unwrap_or(0.0);
            if generates && penalty != 0.0 {
                return Err(refused(name));
            }
        }
        let temperature: Option<f64> = fields.take("temperature")?;
        if generates && temperature != Some(0.0) {
            return Err(ApiError::field(
                "temperature",
                "expected 0 with max_tokens 1: the most likely token is generated, none is drawn at random",
            ));
        }
        let stop: Option<Value> = fields.take("stop")?;
        let stops = match &stop {
            None => false,
            Some(Value::Array(stops)) => !stops.is_empty(),
            Some(_) => true,
        };
        if generates && stops {
            return Err(refused("stop"));
        }
        // The most likely token is the same with any of these.
        let _: Option<f64> = fields.take("top_p")?;
        let _: Option<i64> = fields.take("seed")?;
        let _: Option<String> = fields.take("user")?;
        Ok(Self {
            model: fields.take("model")?,
            prompts,
            echo,
            top,
            generates,
            as_ids: fields.take(AS_IDS)?.unwrap_or(false),
            special: fields.take("add_special_tokens")?.unwrap_or(true),
        })
    }
}

fn refused(name: &'static str) -> ApiError {
    ApiError::field(name, "expected none: this server does not support it")
}

fn must_be_one(fields: &mut Fields<'_>, name: &'static str) -> Result<(), ApiError> {
    match fields.take::<u64>(name)? {
        None | Some(1) => Ok(()),
        Some(other) => Err(ApiError::field(name, format!("expected 1, got {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(more: &str) -> Result<CompletionRequest, String> {
        let body = format!(r#"{{"prompt": "a", {more}}}"#);
        CompletionRequest::parse(body.as_bytes(), 5).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_change_the_answer_is_ignored() {
        let request = parsed(
            r#""max_tokens": 0, "echo": true, "temperature": 0.7, "top_p": 0.1, "seed": 3, "stop": ["x"], "user": "u",
               "n": 1, "best_of": null, "stream": false, "logit_bias": {}, "presence_penalty": 1.5, "logprobs": 5"#,
        );
        let request = request.unwrap();
        assert!(request.echo && !request.generates && request.special && !request.as_ids);
        assert_eq!(request.top, Some(5));
        let request = parsed(r#""max_tokens": 1, "temperature": 0, "stop": []"#).unwrap();
        assert!(!request.echo && request.generates);
        assert_eq!(request.top, None);
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name() {
        for (name, more) in [
            ("max_tokens", r#""echo": true"#),
            ("max_tokens", r#""max_tokens": 2, "echo": true"#),
            ("max_tokens", r#""max_tokens": -1, "echo": true"#),
            ("max_tokens", r#""max_tokens": 0.5, "echo": true"#),
            ("echo", r#""max_tokens": 0"#),
            ("echo", r#""max_tokens": 0, "echo": "yes""#),
            (
                "logprobs",
                r#""max_tokens": 0, "echo": true, "logprobs": 6"#,
            ),
            (
                "logprobs",
                r#""max_tokens": 0, "echo": true, "logprobs": true"#,
            ),
            ("n", r#""max_tokens": 0, "echo": true, "n": 2"#),
            ("best_of", r#""max_tokens": 0, "echo": true, "best_of": 2"#),
            ("stream", r#""max_tokens": 0, "echo": true, "stream": true"#),
            ("suffix", r#""max_tokens": 0, "echo": true, "suffix": "s""#),
            (
                "logit_bias",
                r#""max_tokens": 0, "echo": true, "logit_bias": {"3": 1}"#,
            ),
            ("temperature", r#""max_tokens": 1"#),
            ("temperature", r#""max_tokens": 1, "temperature": 1"#),
            ("stop", r#""max_tokens": 1, "temperature": 0, "stop": "x""#),
            (
                "presence_penalty",
                r#""max_tokens": 1, "temperature": 0, "presence_penalty": 1"#,
            ),
            (
                "unknown field \"guided_regex\"",
                r#""max_tokens": 0, "echo": true, "guided_regex": "x""#,
            ),
        ] {
            let said = parsed(more).unwrap_err();
            assert!(said.starts_with(name), "{more}: {said}");
        }
    }
}
