//! The answer to a request for completions, in OpenAI's form.

use std::fmt;

use rho_formats::TopTokens;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::token_strings::TokenStrings;
use crate::pipeline::ScoredDocument;

/// The whole answer.
#[derive(serde::Serialize)]
pub(super) struct Completion<'a> {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Usage,
}

/// The answer to one prompt.
#[derive(serde::Serialize)]
pub(super) struct Choice {
    pub(super) index: usize,
    pub(super) text: String,
    pub(super) logprobs: Option<Logprobs>,
    /// `length`: nothing more was asked for. `stop`: the generated token ends the text.
    pub(super) finish_reason: &'static str,
}

/// The log-probabilities of tokens, in nats; null for a first token, which nothing predicts.
#[derive(Default, serde::Serialize)]
pub(super) struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Likely>>,
    /// In characters of the text; null if they cannot be known.
    pub(super) text_offset: Option<Vec<usize>>,
}

/// Counts of tokens.
#[derive(Default, serde::Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) total_tokens: usize,
}

/// The most likely tokens, the most likely first, then the token itself if it is not among them.
struct Likely(Vec<(String, f32)>);

impl Serialize for Likely {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (token, logprob) in &self.0 {
            map.serialize_entry(token, logprob)?;
        }
        map.end()
    }
}

/// The most likely tokens at a position.
pub(super) struct AtPosition<'a> {
    pub(super) ids: &'a [u32],
    pub(super) logprobs: &'a [f32],
}

impl<'a> AtPosition<'a> {
    /// Those of position `i`; none if there are none.
    pub(super) fn of(top: Option<&'a TopTokens>, count: usize, i: usize) -> Self {
        let range = i * count..(i + 1) * count;
        let none = (&[][..], &[][..]);
        let (ids, logprobs) =
            top.map_or(none, |top| (&top.ids[range.clone()], &top.logprobs[range]));
        Self { ids, logprobs }
    }
}

impl Logprobs {
    /// Those of the tokens of a prompt. `asked`: how many of the most likely tokens to give, of the `count` there are.
    pub(super) fn of_prompt(
        scored: &ScoredDocument,
        tokens: usize,
        (asked, count): (usize, usize),
        strings: &TokenStrings<'_>,
    ) -> Self {
        let mut logprobs = Self::default();
        for (i, &id) in scored.document.tokens[..tokens].iter().enumerate() {
            let string = strings.string(id);
            if i == 0 {
                logprobs.push(string, None, None);
                continue;
            }
            // Not negated: a certain token has 0, not -0.
            let logprob = 0.0 - scored.scores[0][i];
            let top = AtPosition::of(scored.top.as_ref(), count, i);
            let likely = Likely::of(&top, asked, (id, logprob), strings);
            logprobs.push(string, Some(logprob), Some(likely));
        }
        logprobs
    }

    /// Adds a generated token: the first of the most likely ones.
    pub(super) fn generated(
        &mut self,
        top: &AtPosition<'_>,
        asked: usize,
        (id, logprob): (u32, f32),
        strings: &TokenStrings<'_>,
    ) {
        let likely = Likely::of(top, asked, (id, logprob), strings);
        self.push(strings.string(id), Some(logprob), Some(likely));
    }

    fn push(&mut self, token: String, logprob: Option<f32>, likely: Option<Likely>) {
        self.tokens.push(token);
        self.token_logprobs.push(logprob);
        self.top_logprobs.push(likely);
    }
}

impl Likely {
    fn of(top: &AtPosition<'_>, asked: usize, own: (u32, f32), strings: &TokenStrings<'_>) -> Self {
        let top = top.ids.iter().copied().zip(top.logprobs.iter().copied());
        let mut likely: Vec<(String, f32)> = Vec::with_capacity(asked + 1);
        // A name in an object stands for one value. Of tokens with equal strings, the most likely is the first.
        let mut add = |(id, logprob)| {
            let string = strings.string(id);
            if likely.iter().all(|(other, _)| *other != string) {
                likely.push((string, logprob));
            }
        };
        top.take(asked).for_each(&mut add);
        add(own);
        Self(likely)
    }
}

impl fmt::Debug for Likely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
