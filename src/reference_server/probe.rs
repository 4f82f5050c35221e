//! Asks a server once, before the first document: whether it has the model, and whether its log-probabilities of some
//! tokens can be used. Half of these tokens are a text; the others are drawn at random, so that they are unlikely.

use std::sync::Arc;

use anyhow::Context as _;

use super::{
    Fault, ServerAddress, ServerError, ServerOptions,
    check::{SAMPLE, must_be_exact, must_be_of_unlikely_tokens, must_see_what_precedes},
    client::Client,
    completion::{self, LIST_BYTES, Listed, Models},
    server::{Habits, Server},
    tokens::TokenTable,
};
use crate::{stop::Stop, terminal, tokenization::Tokenization};

/// Tokens of a prompt, if the context allows them.
const LENGTH: usize = 96;
/// Most prompts, if the context is short.
const MOST_PROMPTS: usize = 64;
/// The largest mean difference, in nats, between a prompt alone and its start in a batch: more than half precision needs.
const MOST_APART: f64 = 0.1;
/// How often several prompts are sent again: some servers fail on them, each time.
const BATCH_RETRIES: u32 = 1;
/// The text is long enough for half of a prompt, whatever the tokenizer.
const TEXT: &str = "The quick brown fox jumps over the lazy dog. If a train travels 60 miles in 2 hours, then its \
                    speed is 60 / 2 = 30 miles per hour. In mathematics, a prime number is a natural number greater \
                    than 1 that is not a product of two smaller natural numbers.";

/// A prompt, of which the tokens from `drawn_from` on are drawn at random.
struct Prompt {
    ids: Vec<u32>,
    drawn_from: usize,
}

impl Server {
    /// Asks a server what it does. `context`: most tokens of a prompt, if they were chosen.
    ///
    /// # Errors
    /// If the server cannot be the reference.
    pub(crate) fn connect(
        address: ServerAddress,
        options: ServerOptions,
        tokenization: &Tokenization,
        context: Option<usize>,
    ) -> anyhow::Result<Self> {
        let client = Client::new(address, options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("reference-server")
            .enable_all()
            .build()
            .context("cannot start a thread for the server's answers")?;
        let reported = runtime.block_on(listed(&client))?;
        let ids = tokenization.ids();
        let mut server = Self {
            table: TokenTable::of(tokenization),
            client: Arc::new(client),
            runtime,
            habits: Habits {
                max_tokens: 0,
                batches: false,
            },
            context: reported,
            vocabulary: ids.last().map_or(0, |&id| id as usize + 1),
        };
        // One token may have to be generated.
        let most = context.or(reported.map(|most| most.saturating_sub(1)));
        let length = most.map_or(LENGTH, |most| most.clamp(2, LENGTH));
        server.probe(tokenization, length)?;
        server.context = reported.map(|most| most.saturating_sub(server.habits.max_tokens.into()));
        Ok(server)
    }

    fn probe(&mut self, tokenization: &Tokenization, length: usize) -> anyhow::Result<()> {
        let prompts = self.prompts(tokenization, length)?;
        let stop = Stop::never();
        let first = &prompts[0];
        let alone = match self.ask(&[&first.ids], None, &stop) {
            // Some servers refuse to generate nothing, others then generate without end.
            Err(
                ServerError::Refused { .. }
                | ServerError::Fault {
                    fault: Fault::Count,
                    ..
                },
            ) => {
                self.habits.max_tokens = 1;
                self.ask(&[&first.ids], None, &stop)?
            }
            other => other?,
        };
        let first_values = alone.concat();
        let mut answers = vec![first_values.clone()];
        for prompt in &prompts[1..] {
            answers.push(self.ask(&[&prompt.ids], None, &stop)?.concat());
        }
        must_be_exact(&answers.concat()).map_err(|refusal| self.fault(refusal))?;
        // The token at `i` has the value at `i - 1`.
        let drawn = prompts.iter().zip(&answers);
        let drawn = drawn.flat_map(|(prompt, values)| &values[prompt.drawn_from.max(1) - 1..]);
        let drawn: Vec<f64> = drawn.copied().collect();
        must_be_of_unlikely_tokens(&drawn).map_err(|refusal| self.fault(refusal))?;
        let ids: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.ids.as_slice()).collect();
        self.must_not_shift(&ids, &stop)?;
        let text = &first.ids[..first.drawn_from];
        if text.len() > 1 {
            let reversed: Vec<u32> = text.iter().rev().copied().collect();
            let reversed = self.ask(&[&reversed], None, &stop)?.concat();
            must_see_what_precedes(&first_values[..text.len() - 1], &reversed)
                .map_err(|refusal| self.fault(refusal))?;
        }
        self.habits.batches = match self.in_a_batch(&first.ids, &first_values, &stop) {
            Ok(()) => true,
            Err(reason) => {
                terminal::line(&format!(
                    "note: {}: sending one prompt at a time, because the server does not answer several as it answers \
                     one: {reason}",
                    self.client.shown
                ));
                false
            }
        };
        Ok(())
    }

    /// Whether several prompts in one request have the log-probabilities that they have alone. The second is the start
    /// of the first, whose tokens do not see what follows.
    fn in_a_batch(&self, ids: &[u32], alone: &[f64], stop: &Stop) -> Result<(), String> {
        let start = &ids[..(ids.len() / 2).max(2)];
        let both = self.ask(&[ids, start], Some(BATCH_RETRIES), stop);
        let both = both.map_err(|error| error.to_string())?;
        for values in &both {
            let pairs = values.iter().zip(alone);
            let apart: f64 = pairs.map(|(batched, alone)| (batched - alone).abs()).sum();
            let apart = apart / values.len() as f64;
            if apart > MOST_APART {
                return Err(format!(
                    "expected the same log-probs, got others, {apart:.2} nats apart in the mean"
                ));
            }
        }
        Ok(())
    }

    /// Prompts of this length, as many as give a sample.
    fn prompts(&self, tokenization: &Tokenization, length: usize) -> anyhow::Result<Vec<Prompt>> {
        let count = (SAMPLE * 5 / 4).div_ceil(length - 1).min(MOST_PROMPTS);
        let of_text = self.table.of_text();
        let text = tokenization.encode_alone(TEXT);
        let text = text.context("cannot tokenize a text to ask the server about")?;
        let mut random = 0_u32;
        let mut prompt = || {
            let before = tokenization.prefix.iter().chain(&text).copied();
            let mut ids: Vec<u32> = before.take((length / 2).max(1)).collect();
            let drawn_from = ids.len();
            while ids.len() < length && !of_text.is_empty() {
                // Numerical Recipes' constants; the low bits are poor and dropped.
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ids.push(of_text[(random >> 8) as usize % of_text.len()]);
            }
            Prompt { ids, drawn_from }
        };
        let prompts: Vec<Prompt> = (0..count.max(1)).map(|_| prompt()).collect();
        match prompts.iter().all(|prompt| prompt.ids.len() >= 2) {
            true => Ok(prompts),
            false => Err(crate::hinted_error::HintedError::error(
                "--tokenizer: expected tokens that stand for text, got none",
                "name the tokenizer of the server's model",
            )),
        }
    }
}

/// The context of the model, if the server reports it. A server without a list of models is asked anyway.
async fn listed(client: &Client) -> Result<Option<usize>, ServerError> {
    let answer = client.get("models", LIST_BYTES, &Stop::never()).await;
    let answer = match answer {
        Err(ServerError::Refused {
            status: 404 | 405 | 501,
            ..
        }) => {
            terminal::line(&format!(
                "note: {}: the server does not list its models, so the name cannot be checked",
                client.shown
            ));
            return Ok(None);
        }
        answer => answer?,
    };
    let models: Models = completion::read(&answer).map_err(|error| ServerError::Protocol {
        server: client.shown.clone(),
        expected: "a list of models".to_owned(),
        got: format!("something else ({})", client.clean(&error.reason)),
    })?;
    let name = &client.address.name;
    match models.data.iter().find(|model| model.id == *name) {
        Some(model) => Ok(model.context()),
        None => Err(ServerError::NoModel {
            server: client.address.url(),
            name: name.clone(),
            others: models
                .data
                .iter()
                .map(|model: &Listed| client.clean(&model.id))
                .collect(),
        }),
    }
}
