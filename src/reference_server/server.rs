//! A server that was asked once: sends prompts, gives the log-probabilities of their tokens.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::{
    Fault, ServerError,
    check::{self, Refusal},
    client::Client,
    completion::{self, Answer, Logprobs, NotJson, Request, answer_bytes},
    tokens::TokenTable,
};
use crate::stop::Stop;

/// What a server does, as the first requests showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Habits {
    /// Tokens that must be generated after a prompt: 0, or 1 if the server refuses 0.
    pub(crate) max_tokens: u8,
    /// Whether a request may hold several prompts.
    pub(crate) batches: bool,
}

/// A model on a server, ready to score.
pub(crate) struct Server {
    pub(super) client: Arc<Client>,
    pub(super) runtime: Runtime,
    pub(super) table: TokenTable,
    pub(super) habits: Habits,
    /// Most tokens of a prompt, if the server reports it.
    pub(super) context: Option<usize>,
    pub(super) vocabulary: usize,
}

impl Server {
    /// What the server does.
    pub(crate) fn habits(&self) -> Habits {
        self.habits
    }

    /// Most tokens of a prompt, if the server reports it.
    pub(crate) fn context(&self) -> Option<usize> {
        self.context
    }

    /// One more than the highest id of the tokenizer.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The log-probabilities, in nats, of the tokens of each prompt but its first. `retries`: at most so many, if fewer
    /// than for other requests.
    pub(super) fn ask(
        &self,
        prompts: &[&[u32]],
        retries: Option<u32>,
        stop: &Stop,
    ) -> Result<Vec<Vec<f64>>, ServerError> {
        let mut request = self.request(prompts)?;
        request.retries = retries.map_or(request.retries, |few| few.min(request.retries));
        let answer = self.runtime.block_on(request.send(&self.client, stop))?;
        self.read(prompts, &answer)
    }

    /// The log-probabilities of a prompt and of one token that the server adds to it, unchecked.
    pub(super) fn generate(&self, prompt: &[u32], stop: &Stop) -> Result<Logprobs, ServerError> {
        let prompts = [prompt];
        let request = || Request::new(&self.client.address.name, &prompts, 1);
        let send = |request: Request<'_>| {
            let mut request = self.sendable(&prompts, &request)?;
            request.retries = request.retries.min(1);
            self.runtime.block_on(request.send(&self.client, stop))
        };
        let answer = match send(request()) {
            Err(ServerError::Refused { .. }) => send(request().greedy())?,
            answer => answer?,
        };
        let answer: Answer = completion::read(&answer).map_err(|error| self.not_json(&error))?;
        let choice = answer.choices.into_iter().next();
        Ok(choice
            .and_then(|choice| choice.logprobs)
            .unwrap_or_default())
    }

    /// The request for some prompts.
    pub(super) fn request(&self, prompts: &[&[u32]]) -> Result<Sendable, ServerError> {
        let name = &self.client.address.name;
        self.sendable(
            prompts,
            &Request::new(name, prompts, self.habits.max_tokens),
        )
    }

    fn sendable(&self, prompts: &[&[u32]], request: &Request<'_>) -> Result<Sendable, ServerError> {
        let body = serde_json::to_vec(request).map_err(|error| ServerError::Setup {
            server: self.client.shown.clone(),
            reason: error.to_string(),
        })?;
        Ok(Sendable {
            body: body.into(),
            most: answer_bytes(prompts),
            longest: prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0),
            retries: self.client.options.retries,
        })
    }

    /// Reads and checks the answer to some prompts.
    pub(super) fn read(
        &self,
        prompts: &[&[u32]],
        answer: &[u8],
    ) -> Result<Vec<Vec<f64>>, ServerError> {
        let protocol = |expected: String, got: String| ServerError::Protocol {
            server: self.client.shown.clone(),
            expected,
            got,
        };
        let answer: Answer = completion::read(answer).map_err(|error| self.not_json(&error))?;
        let (sent, got) = (prompts.len(), answer.choices.len());
        if sent != got {
            return Err(protocol(
                format!("as many choices as prompts, {sent}"),
                got.to_string(),
            ));
        }
        let tokens: usize = prompts.iter().map(|prompt| prompt.len()).sum();
        let counted = answer.usage.and_then(|usage| usage.prompt_tokens);
        if let Some(counted) = counted.filter(|&counted| counted != tokens as u64) {
            let fault = match counted < tokens as u64 {
                true => Fault::Truncated,
                false => Fault::Count,
            };
            return Err(self.fault(Refusal {
                fault,
                expected: format!("{tokens} prompt_tokens, as many as were sent"),
                got: counted.to_string(),
            }));
        }
        let mut all: Vec<Option<Vec<f64>>> = vec![None; sent];
        for choice in answer.choices {
            let index = choice.index;
            let Some(place) = all.get_mut(index).filter(|place| place.is_none()) else {
                return Err(protocol(
                    format!("one choice of each index below {sent}"),
                    format!("index {index} twice, or too large"),
                ));
            };
            let logprobs = choice
                .logprobs
                .filter(|given| given.token_logprobs.is_some());
            let logprobs = logprobs.ok_or_else(|| {
                let got = "none: the server ignores `echo` or `logprobs`".to_owned();
                protocol("choices[].logprobs.token_logprobs".to_owned(), got)
            })?;
            let generated = usize::from(self.habits.max_tokens);
            let values = check::values(prompts[index], &logprobs, generated, &self.table);
            *place = Some(values.map_err(|refusal| self.fault(refusal))?);
        }
        Ok(all.into_iter().flatten().collect())
    }

    pub(super) fn fault(&self, refusal: Refusal) -> ServerError {
        let Refusal {
            fault,
            expected,
            got,
        } = refusal;
        ServerError::Fault {
            server: self.client.shown.clone(),
            fault,
            expected,
            got: self.client.clean(&got),
        }
    }

    fn not_json(&self, error: &NotJson) -> ServerError {
        match error.not_a_number {
            true => self.fault(Refusal {
                fault: Fault::NotANumber,
                expected: "numbers of JSON".to_owned(),
                got: format!("NaN or infinity ({})", error.reason),
            }),
            false => ServerError::Protocol {
                server: self.client.shown.clone(),
                expected: "the JSON of a completion".to_owned(),
                got: format!("something else ({})", self.client.clean(&error.reason)),
            },
        }
    }
}

/// A request that is ready to be sent.
pub(super) struct Sendable {
    body: Bytes,
    /// Most bytes of the answer.
    most: usize,
    /// Tokens of the longest prompt.
    longest: usize,
    retries: u32,
}

impl Sendable {
    /// Sends it, and gives the bytes of the answer.
    pub(super) async fn send(self, client: &Client, stop: &Stop) -> Result<Vec<u8>, ServerError> {
        let answer = client.post("completions", self.body, self.most, self.retries, stop);
        let answer = answer.await;
        answer.map_err(|error| match error {
            ServerError::Refused {
                server,
                status,
                said,
            } if is_about_length(status, &said) => ServerError::TooLong {
                server,
                tokens: self.longest,
                status,
                said,
            },
            other => other,
        })
    }
}

/// Whether a refusal says that the prompt is too long for the model.
fn is_about_length(status: u16, said: &str) -> bool {
    let said = said.to_lowercase();
    let words = |words: &[&str]| words.iter().all(|word| said.contains(word));
    [400, 413, 422].contains(&status)
        && (words(&["context", "length"]) || words(&["context", "window"]) || words(&["too long"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_length_are_known() {
        let vllm =
            ": This model's maximum context length is 64 tokens. However, you requested 97 tokens";
        assert!(is_about_length(400, vllm));
        assert!(is_about_length(
            400,
            ": Requested tokens (97) exceed context window of 64"
        ));
        assert!(!is_about_length(
            400,
            ": max_tokens must be at least 1, got 0."
        ));
        assert!(!is_about_length(404, vllm));
    }
}
