//! `/v1/completions`: the log-probabilities of prompts, as OpenAI's interface gives them with `echo`.
//!
//! * `request`: what is asked for; `prompts`: of what.
//! * `response`: the answer; `token_strings`: its tokens as strings.
//!
//! The next token, with `max_tokens` 1, comes from the same scores. The models score each token given those before it,
//! so a prompt with any token behind it has, at that token, the distribution of the next:
//!
//! ```text
//! prompt             a b c
//! scored             a b c x      x is any token
//! most likely at x           the next token; the scores of a, b and c are those without x
//! ```

mod prompts;
mod request;
mod response;
mod token_strings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::response::Response;
use rho_formats::{Content, Document, Record};

use super::{
    app::JSON,
    body,
    error::ApiError,
    queue::{Row, Scores},
    service::{Service, in_background},
};
use prompts::Prompts;
use request::CompletionRequest;
use response::{AtPosition, Choice, Completion, Logprobs, Usage};
use token_strings::{TokenStrings, of_text};

/// Most tokens of a request, because its answer is built in memory.
const MOST_TOKENS: usize = 1 << 18;

/// Answers a request.
pub(super) async fn completions(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (place, body) = service.admit(request, &["application/json"]).await?;
    let tokenized = in_background(&service, move |service| {
        let most_top = service.plan.top.unwrap_or(0);
        let request = CompletionRequest::parse(&body, most_top)?;
        service.must_serve(request.model.as_deref())?;
        let rows = rows(service, &request)?;
        Ok((request, rows))
    });
    let (request, rows) = tokenized.await??;
    let scores = service.scores(rows).await?;
    let answer = in_background(&service, move |service| answer(service, request, scores));
    Ok(body::whole(JSON, answer.await??, place))
}

/// The tokens of the prompts, each with one more if the next token is generated.
fn rows(service: &Service, request: &CompletionRequest) -> Result<Vec<Row>, ApiError> {
    let content: Vec<Content> = match &request.prompts {
        Prompts::Tokens(all) => all.iter().cloned().map(Content::Tokens).collect(),
        Prompts::Texts(texts) => {
            let content = texts
                .iter()
                .map(|text| service.content(text, request.special));
            content.collect::<Result<_, _>>()?
        }
    };
    let several = content.len() > 1;
    let records = (0..).zip(content).map(|(row, content)| {
        Record::Document(Document {
            id: String::new(),
            row,
            content,
            context: None,
            source: None,
        })
    });
    let mut rows = service.tokenized(records.collect());
    let generated = usize::from(request.generates);
    let mut all = 0;
    for (i, row) in rows.iter_mut().enumerate() {
        let refused = |message: &str| match several {
            true => ApiError::field("prompt", format!("prompt {i}: {message}")),
            false => ApiError::field("prompt", message),
        };
        let document = match row {
            Ok(document) => document,
            Err(rejection) => return Err(refused(&rejection.reason)),
        };
        let (length, most) = (document.tokens.len(), service.plan.context);
        let Some(&last) = document.tokens.last() else {
            return Err(refused("expected at least one token, got none"));
        };
        if length + generated > most && !service.windows {
            let message = format!(
                "expected at most {most} tokens, prompt and completion together (--context at the start of the server), got \
                 {length} and {generated}"
            );
            return Err(refused(&message).with_code("context_length_exceeded"));
        }
        if request.generates {
            document.tokens.push(last);
        }
        all += document.tokens.len();
        if all > MOST_TOKENS {
            let message = format!("expected at most {MOST_TOKENS} tokens in all prompts, got more");
            return Err(ApiError::field("prompt", message));
        }
    }
    Ok(rows)
}

/// The JSON of the answer.
fn answer(
    service: &Service,
    request: CompletionRequest,
    scores: Scores,
) -> Result<Vec<u8>, ApiError> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let strings = TokenStrings::of(service.tokenization.as_ref(), request.as_ids);
    let count = service.plan.top.unwrap_or(0);
    let mut texts = match request.prompts {
        Prompts::Texts(texts) => Some(texts.into_iter()),
        Prompts::Tokens(_) => None,
    };
    let mut usage = Usage::default();
    let mut choices = Vec::with_capacity(scores.len());
    for (index, scored) in scores.into_iter().enumerate() {
        let scored =
            scored.map_err(|reason| ApiError::internal(format!("prompt {index}: {reason}")))?;
        let tokens = &scored.document.tokens;
        let length = tokens.len() - usize::from(request.generates);
        let prompt = &tokens[..length];
        usage.prompt_tokens += length;
        let text = texts.as_mut().and_then(Iterator::next);
        let mut choice = Choice {
            index,
            text: String::new(),
            logprobs: request.top.map(|_| Logprobs::default()),
            finish_reason: "length",
        };
        let mut offsets = Some(Vec::new());
        if request.echo {
            let placed = match (text, &service.tokenization) {
                (Some(text), Some(tokenization)) => {
                    of_text(tokenization, text, prompt, request.special)
                }
                _ => strings.of_tokens(prompt),
            };
            choice.text = placed.text;
            offsets = placed.offsets;
            choice.logprobs = request
                .top
                .map(|asked| Logprobs::of_prompt(&scored, length, (asked, count), &strings));
        }
        if request.generates {
            usage.completion_tokens += 1;
            let top = AtPosition::of(scored.top.as_ref(), count, length);
            let (Some(&id), Some(&logprob)) = (top.ids.first(), top.logprobs.first()) else {
                return Err(ApiError::internal("the next token was not computed"));
            };
            if let Some(offsets) = &mut offsets {
                offsets.push(choice.text.chars().count());
            }
            match strings.is_special(id) {
                true => choice.finish_reason = "stop",
                false => choice.text += &strings.last(&[prompt, &[id]].concat()),
            }
            if let (Some(logprobs), Some(asked)) = (&mut choice.logprobs, request.top) {
                logprobs.generated(&top, asked, (id, logprob), &strings);
            }
        }
        if let Some(logprobs) = &mut choice.logprobs {
            logprobs.text_offset = offsets;
        }
        choices.push(choice);
    }
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let completion = Completion {
        id: format!("cmpl-{:x}-{number}", service.created),
        object: "text_completion",
        created: service.created,
        model: &service.names[0],
        choices,
        usage,
    };
    serde_json::to_vec(&completion).map_err(|error| ApiError::internal(error.to_string()))
}
