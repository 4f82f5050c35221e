//! What all requests share: the plan, the tokenizer, the queue, the bounds.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use rho_formats::{MaskSchema, Record, Shard};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    admission::{Admission, Place},
    error::ApiError,
    key::ApiKey,
    metrics::Metrics,
    queue::{Queue, Row, Scores},
};
use crate::{
    content::Encoder,
    conversations::Conversations,
    pipeline::{Work, row_by_row},
    plan::Plan,
    progress::Progress,
    stop::Stop,
    tokenization::Tokenization,
};

/// Longest time in seconds after which a client is told to come back.
const LONGEST_WAIT: f64 = 60.0;

/// What all requests share.
pub(super) struct Service {
    pub(super) plan: Plan,
    pub(super) shards: Vec<Shard>,
    pub(super) tokenization: Option<Tokenization>,
    pub(super) conversations: Option<Conversations>,
    pub(super) pool: rayon::ThreadPool,
    pub(super) progress: Progress,
    /// Never requested: open requests are answered before the server ends.
    pub(super) scoring_stop: Stop,
    /// The names of the model; the first is used in answers.
    pub(super) names: Vec<String>,
    /// Seconds since 1970 at the start of the server.
    pub(super) created: u64,
    /// Whether prompts longer than the context are scored in windows.
    pub(super) windows: bool,
    /// The columns of `/score`.
    pub(super) columns: MaskSchema,
    pub(super) admission: Admission,
    pub(super) queue: Queue,
    pub(super) metrics: Metrics,
    pub(super) key: Option<ApiKey>,
}

impl Service {
    /// What the pipeline needs.
    pub(super) fn work(&self) -> Work<'_> {
        Work {
            plan: &self.plan,
            shards: &self.shards,
            encoder: Encoder {
                tokenization: self.tokenization.as_ref(),
                conversations: self.conversations.as_ref(),
            },
            progress: &self.progress,
            stop: &self.scoring_stop,
        }
    }

    /// Whether a request with these headers may be answered.
    pub(super) fn may(&self, headers: &HeaderMap) -> bool {
        self.key.as_ref().is_none_or(|key| key.opens(headers))
    }

    /// The records as tokens.
    pub(super) fn tokenized(&self, records: Vec<Record>) -> Vec<Row> {
        row_by_row::tokenized(&self.work(), &self.pool, records)
    }

    /// Takes a request in and reads its body.
    pub(super) async fn admit(
        &self,
        request: Request,
        types: &[&str],
    ) -> Result<(Place, Bytes), ApiError> {
        let admitted = self.admission.admit(request, types, || self.retry_after());
        admitted.await
    }

    /// Scores rows, together with those of other requests.
    pub(super) async fn scores(&self, rows: Vec<Row>) -> Result<Scores, ApiError> {
        match self.queue.push(rows).await {
            Ok(Ok(scores)) => Ok(scores),
            Ok(Err(reason)) => Err(ApiError::internal(format!("scoring failed: {reason}"))),
            Err(_) => Err(ApiError::internal("the models are gone")),
        }
    }

    /// Refuses a model that is not served.
    pub(super) fn must_serve(&self, model: Option<&str>) -> Result<(), ApiError> {
        match model {
            Some(model) if !self.names.iter().any(|name| name == model) => {
                let names = self.names.join(", ");
                let message = format!("model: expected {names}, got {model}");
                let error = ApiError::new(StatusCode::NOT_FOUND, message);
                Err(error.with_code("model_not_found"))
            }
            _ => Ok(()),
        }
    }

    /// In how many seconds what waits now is scored, at the speed so far.
    fn retry_after(&self) -> u64 {
        let speed = self.metrics.speed();
        let seconds = speed.map_or(1.0, |speed| self.queue.tokens() as f64 / speed);
        seconds.clamp(1.0, LONGEST_WAIT).ceil() as u64
    }
}

/// Runs work that takes a processor for long, away from the threads that serve connections. It is not started if its
/// request is gone by then.
pub(super) async fn in_background<T: Send + 'static>(
    service: &Arc<Service>,
    work: impl FnOnce(&Service) -> T + Send + 'static,
) -> Result<T, ApiError> {
    struct Unstarted<T>(JoinHandle<T>);
    impl<T> Drop for Unstarted<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let service = Arc::clone(service);
    let mut done = Unstarted(spawn_blocking(move || work(&service)));
    let done = (&mut done.0).await;
    done.map_err(|_| ApiError::internal("a thread of the server failed"))
}
