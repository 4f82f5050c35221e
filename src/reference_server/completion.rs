//! The JSON of `/completions` and `/models`, as far as it is needed.

use serde::{Deserialize, Serialize};

/// Bytes of an answer, besides those of its tokens.
const BYTES: usize = 64 << 10;
/// Bytes of an answer for each token: its text, its log-probability, the most likely token in its place, escapes.
const BYTES_PER_TOKEN: usize = 1 << 10;
/// Most bytes of a list of models.
pub(super) const LIST_BYTES: usize = 4 << 20;

/// A request for the log-probabilities of prompts.
///
/// The temperature is 1: some servers divide the logits by it before they compute log-probabilities. For the same reason
/// nothing is cut off or penalised, even if the server's defaults say so.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    prompt: Prompt<'a>,
    max_tokens: u8,
    echo: bool,
    logprobs: u8,
    temperature: f32,
    top_p: f32,
    presence_penalty: f32,
    frequency_penalty: f32,
    n: u8,
    stream: bool,
}

/// Token ids: of one prompt, which all servers take, or of several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Prompt<'a> {
    One(&'a [u32]),
    Several(&'a [&'a [u32]]),
}

impl<'a> Request<'a> {
    /// The same request for the most likely token, from servers that draw none at random.
    pub(super) fn greedy(self) -> Self {
        Self {
            temperature: 0.0,
            ..self
        }
    }

    /// A request for these prompts. `generated`: how many tokens the server is to add to each.
    pub(super) fn new(model: &'a str, prompts: &'a [&'a [u32]], generated: u8) -> Self {
        Self {
            model,
            prompt: match prompts {
                [one] => Prompt::One(one),
                several => Prompt::Several(several),
            },
            max_tokens: generated,
            echo: true,
            logprobs: 1,
            temperature: 1.0,
            top_p: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            n: 1,
            stream: false,
        }
    }
}

/// Most bytes that an answer can need.
pub(super) fn answer_bytes(prompts: &[&[u32]]) -> usize {
    let tokens: usize = prompts.iter().map(|prompt| prompt.len() + 1).sum();
    BYTES + BYTES_PER_TOKEN * tokens
}

/// An answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) choices: Vec<Choice>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
}

/// One prompt of it.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: usize,
    #[serde(default)]
    pub(super) logprobs: Option<Logprobs>,
}

/// The log-probabilities of a prompt and of what was generated after it, in nats.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Logprobs {
    #[serde(default)]
    pub(super) tokens: Option<Vec<Option<String>>>,
    #[serde(default)]
    pub(super) token_logprobs: Option<Vec<Option<f64>>>,
}

/// What the server counted.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: Option<u64>,
}

/// The models of a server.
#[derive(Debug, Deserialize)]
pub(super) struct Models {
    pub(super) data: Vec<Listed>,
}

/// A model of a server.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    max_model_len: Option<usize>,
    #[serde(default)]
    context_length: Option<usize>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default)]
    n_ctx: Option<usize>,
    #[serde(default)]
    n_ctx_train: Option<usize>,
}

impl Listed {
    /// Most tokens of a prompt together with what is generated, if the server reports it.
    pub(super) fn context(&self) -> Option<usize> {
        let of_meta = self.meta.as_ref();
        let meta = of_meta.map(|meta| [meta.n_ctx, meta.n_ctx_train]);
        let all = [self.max_model_len, self.context_length];
        let all = all.into_iter().chain(meta.into_iter().flatten());
        all.flatten().min()
    }
}

/// JSON that cannot be read.
#[derive(Debug)]
pub(super) struct NotJson {
    pub(super) reason: String,
    /// Whether it is a number that JSON does not have, such as NaN.
    pub(super) not_a_number: bool,
}

/// Reads JSON.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, NotJson> {
    serde_json::from_slice(bytes).map_err(|error| {
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let before: usize = lines
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum();
        let at = (before + error.column()).min(bytes.len());
        let around = &bytes[at.saturating_sub(10)..(at + 10).min(bytes.len())];
        let around = String::from_utf8_lossy(around);
        NotJson {
            reason: error.to_string(),
            not_a_number: error.is_syntax() && ["NaN", "Inf"].iter().any(|n| around.contains(n)),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_prompt_is_a_list_of_ids_and_several_are_lists() {
        let prompt = |prompts: &[&[u32]]| {
            serde_json::to_value(Request::new("m", prompts, 0)).unwrap()["prompt"].clone()
        };
        assert_eq!(prompt(&[&[1, 2]]), json!([1, 2]));
        assert_eq!(prompt(&[&[1], &[2, 3]]), json!([[1], [2, 3]]));
    }

    #[test]
    fn the_context_is_the_smallest_that_is_reported() {
        let context = |value| serde_json::from_value::<Listed>(value).unwrap().context();
        assert_eq!(context(json!({"id": "a"})), None);
        assert_eq!(context(json!({"id": "a", "max_model_len": 9})), Some(9));
        let meta = json!({"id": "a", "meta": {"n_ctx_train": 9, "n_ctx": 7, "n_vocab": 5}});
        assert_eq!(context(meta), Some(7));
    }

    #[test]
    fn numbers_that_json_does_not_have_are_named() {
        let not_a_number = |text: &str| {
            let read = read::<Logprobs>(text.as_bytes());
            read.unwrap_err().not_a_number
        };
        assert!(not_a_number("{\n\"token_logprobs\": [null, NaN, -1.0]}"));
        assert!(not_a_number(r#"{"token_logprobs": [null, -Infinity]}"#));
        assert!(!not_a_number(r#"{"token_logprobs": [null, ]}"#));
        assert!(!not_a_number(r#"{"token_logprobs": ["NaN"]}"#));
    }
}
