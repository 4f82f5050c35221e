//! The routes.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::{completions, error::ApiError, metrics::Now, score_stream, service::Service, tokenize};

/// The type of most answers.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The type that Prometheus reads.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// The route that needs no key.
const HEALTH: &str = "/health";
/// The routes, as the metrics name them.
const ROUTES: [&str; 6] = [
    "/v1/completions",
    "/v1/models",
    "/tokenize",
    "/score",
    HEALTH,
    "/metrics",
];

/// All routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/completions", post(completions::completions))
        .route("/v1/models", get(models))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/score", post(score_stream::score))
        .route(HEALTH, get(|| async { ok(JSON, "{\"status\":\"ok\"}") }))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(&service), around))
        .with_state(service)
}

/// Checks the key, and counts the answer.
async fn around(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let path = request.uri().path();
    let route = ROUTES.into_iter().find(|route| *route == path);
    let response = match service.may(request.headers()) || path == HEALTH {
        true => next.run(request).await,
        false => ApiError::new(
            StatusCode::UNAUTHORIZED,
            "expected the key of this server in the header Authorization: Bearer KEY",
        )
        .with_code("invalid_api_key")
        .into_response(),
    };
    let status = response.status().as_u16();
    let route = route.unwrap_or("other");
    service.metrics.answered(route, status, start.elapsed());
    response
}

async fn unknown(uri: Uri) -> ApiError {
    let routes = ROUTES.join(", ");
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!("expected one of {routes}, got {}", uri.path()),
    )
}

async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    let expected = match uri.path() {
        "/v1/models" | HEALTH | "/metrics" => "GET",
        _ => "POST",
    };
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{}: expected {expected}, got {method}", uri.path()),
    )
}

async fn models(State(service): State<Arc<Service>>) -> Response {
    let entry = |name: &String| {
        json!({
            "id": name,
            "object": "model",
            "created": service.created,
            "owned_by": "rho-mask",
            "max_model_len": service.plan.context,
        })
    };
    let entries: Vec<_> = service.names.iter().map(entry).collect();
    let list = json!({"object": "list", "data": entries});
    ok(JSON, &list.to_string())
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let now = Now {
        open_requests: service.admission.open(),
        queued_tokens: service.queue.tokens(),
    };
    ok(METRICS, &service.metrics.text(&now))
}

fn ok(content_type: HeaderValue, text: &str) -> Response {
    let mut response = Response::new(text.to_owned().into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
