//! Which requests are taken: bounds their number and the memory of their bodies, and reads the bodies.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// How many of the largest bodies all open requests may hold together.
const BODIES: u64 = 16;
/// The unit in which bodies are counted: a semaphore counts up to 32 bits.
const UNIT: u64 = 1024;

/// The bounds of the open requests.
pub(super) struct Admission {
    most: usize,
    places: Arc<Semaphore>,
    most_body: u64,
    memory: Arc<Semaphore>,
}

/// The place of a request, until it is dropped: when its answer has been sent, or its client is gone.
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

impl Admission {
    /// Bounds for this many requests with bodies of at most this many bytes.
    pub(super) fn new(most: usize, most_body: u64) -> Self {
        let memory = (most_body.div_ceil(UNIT) * BODIES) as usize;
        Self {
            most,
            places: Arc::new(Semaphore::new(most)),
            most_body,
            memory: Arc::new(Semaphore::new(memory)),
        }
    }

    /// How many requests have a place.
    pub(super) fn open(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// Takes a request in and reads its body, which must have one of these types. `retry_after`: in how many seconds a
    /// place may be free.
    pub(super) async fn admit(
        &self,
        request: Request,
        types: &[&str],
        retry_after: impl Fn() -> u64,
    ) -> Result<(Place, Bytes), ApiError> {
        must_be_of_type(&request, types)?;
        let too_large = || {
            let most = self.most_body;
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("expected a body of at most {most} bytes (--max-body), got a larger one"),
            )
        };
        let stated = request.headers().get(header::CONTENT_LENGTH);
        let stated = stated.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if stated.is_some_and(|length| length > self.most_body) {
            return Err(too_large());
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            let most = self.most;
            let message = format!("expected at most {most} requests at once (--max-queue)");
            ApiError::busy(message, retry_after())
        })?;
        let units = stated.unwrap_or(self.most_body).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory).try_acquire_many_owned(units);
        let memory = memory.map_err(|_| {
            let most = self.most_body * BODIES;
            let message = format!("expected bodies of at most {most} bytes in all open requests");
            ApiError::busy(message, retry_after())
        })?;
        let body = Limited::new(request.into_body(), self.most_body as usize);
        let body = tokio::time::timeout(BODY_TIME, body.collect()).await;
        let body = body.map_err(|_| {
            let seconds = BODY_TIME.as_secs();
            let message = format!("expected the whole body within {seconds} seconds");
            ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
        })?;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(),
            false => ApiError::body(format!("the body cannot be read: {error}")),
        })?;
        let place = Place {
            _request: place,
            _memory: memory,
        };
        Ok((place, body.to_bytes()))
    }
}

/// Refuses bodies of other types: a web page of a stranger may send some types without being asked for permission.
fn must_be_of_type(request: &Request<Body>, types: &[&str]) -> Result<(), ApiError> {
    let given = request.headers().get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.map(|value| value.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|essence| types.iter().any(|of| essence.eq_ignore_ascii_case(of))) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "expected Content-Type: {}, got {}",
            types[0],
            given.unwrap_or("none")
        ),
    ))
}
