//! Whether the log-probabilities of a prompt belong to its tokens. Some servers give those of the position after: then
//! their number, the tokens and the first null are right, and every loss is wrong.
//!
//! A token that the server generates has a log-probability when it is generated, and another when it is sent as the last
//! token of the prompt. Both are the same number.

use super::{Fault, ServerError, check::Refusal, server::Server};
use crate::stop::Stop;

/// Prompts that are tried.
const TRIES: usize = 3;
/// The largest difference, in nats. Sampling may change the log-probability of a generated token a little; that of the
/// position after is another distribution.
const MOST_APART: f64 = 2.0;

impl Server {
    /// Refuses log-probabilities of other positions. A server that does not generate cannot be compared.
    pub(super) fn must_not_shift(
        &self,
        prompts: &[&[u32]],
        stop: &Stop,
    ) -> Result<(), ServerError> {
        let mut apart = Vec::new();
        let mut example = None;
        // Their ends differ, so that other tokens follow.
        let cuts = (1..=TRIES).flat_map(|cut| prompts.iter().map(move |prompt| (cut, prompt)));
        for (cut, prompt) in cuts.take(TRIES) {
            let Some(prompt) = prompt.get(..prompt.len() - (2 * cut).min(prompt.len())) else {
                continue;
            };
            if prompt.len() < 2 {
                continue;
            }
            let Some((token, generated)) = self.generated(prompt, stop)? else {
                continue;
            };
            let longer = [prompt, &[token]].concat();
            let sent = self.ask(&[&longer], None, stop)?.concat();
            let Some(&sent) = sent.last() else { continue };
            apart.push((sent - generated).abs());
            if (sent - generated).abs() > MOST_APART {
                example = Some((generated, sent));
            }
        }
        let wrong = apart.iter().filter(|&&apart| apart > MOST_APART).count();
        match example {
            Some((generated, sent)) if 2 * wrong > apart.len() => Err(self.fault(Refusal {
                fault: Fault::Shifted,
                expected: format!(
                    "{generated:.3}, the log-prob of a token that the server generated, when it is sent"
                ),
                got: format!("{sent:.3}"),
            })),
            _ => Ok(()),
        }
    }

    /// A token that the server generates after a prompt, and its log-probability; none if it does not say so.
    fn generated(&self, prompt: &[u32], stop: &Stop) -> Result<Option<(u32, f64)>, ServerError> {
        let answer = match self.generate(prompt, stop) {
            Err(ServerError::Refused { .. } | ServerError::Unanswered { .. }) => return Ok(None),
            answer => answer?,
        };
        let (Some(tokens), Some(values)) = (answer.tokens, answer.token_logprobs) else {
            return Ok(None);
        };
        if tokens.len() != prompt.len() + 1 || values.len() != tokens.len() {
            return Ok(None);
        }
        let token = tokens.into_iter().next_back().flatten();
        let token = token.and_then(|token| self.table.id(&token));
        let value = values.into_iter().next_back().flatten();
        Ok(token.zip(value.filter(|value| value.is_finite())))
    }
}
