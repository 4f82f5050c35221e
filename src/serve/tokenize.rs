//! `/tokenize`: the token ids of a text, as vLLM's route of that name gives them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use rho_formats::{Content, Document, Record};
use serde_json::json;

use super::{
    app::JSON,
    body,
    error::ApiError,
    fields::Fields,
    service::{Service, in_background},
};

/// Answers a request.
pub(super) async fn tokenize(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (place, body) = service.admit(request, &["application/json"]).await?;
    let answer = in_background(&service, move |service| answer(service, &body));
    Ok(body::whole(JSON, answer.await??, place))
}

fn answer(service: &Service, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut fields = Fields::of(body, &["model", "prompt", "add_special_tokens"])?;
    let model: Option<String> = fields.take("model")?;
    service.must_serve(model.as_deref())?;
    let text: Option<String> = fields.take("prompt")?;
    let text = text.ok_or_else(|| ApiError::field("prompt", "expected a text, got none"))?;
    let special = fields.take("add_special_tokens")?.unwrap_or(true);
    let content = service.content(&text, special)?;
    let document = Document {
        id: String::new(),
        row: 0,
        content,
        context: None,
        source: None,
    };
    let row = service.tokenized(vec![Record::Document(document)]).pop();
    let tokens = match row {
        Some(Ok(document)) => document.tokens,
        Some(Err(rejection)) => return Err(ApiError::field("prompt", rejection.reason)),
        None => return Err(ApiError::internal("the text was lost")),
    };
    let answer = json!({
        "count": tokens.len(),
        "max_model_len": service.plan.context,
        "tokens": tokens,
    });
    Ok(answer.to_string().into_bytes())
}

impl Service {
    /// A text as it is tokenised: as `score` does, or without special tokens around it.
    pub(super) fn content(&self, text: &str, special: bool) -> Result<Content, ApiError> {
        if special {
            return Ok(Content::Text(text.to_owned()));
        }
        let missing = "expected token ids: the model has no tokenizer";
        let tokenization = self.tokenization.as_ref();
        let tokenization = tokenization.ok_or_else(|| ApiError::field("prompt", missing))?;
        let tokens = tokenization.encode_alone(text);
        let wrong = |error| ApiError::field("prompt", format!("cannot tokenize: {error}"));
        tokens.map(Content::Tokens).map_err(wrong)
    }
}
