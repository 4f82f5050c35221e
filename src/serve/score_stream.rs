//! `/score`: an Arrow stream in, an Arrow stream out: the columns of `worker`, row by row.
//!
//! The whole input is checked first, so that a request is refused before the first byte of its answer. Then each record
//! batch is tokenised, scored together with other requests, and sent. What fails from then on closes the connection
//! inside the answer: a client cannot take it for a complete one.

use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::future::{Either, select};
use rho_formats::{BatchReader, BatchWriter, Passed};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{
    body,
    error::ApiError,
    service::{Service, in_background},
};
use crate::{hinted_error, pipeline::row_by_row::Known, terminal};

/// The types of the input; the first is that of the answer.
const TYPES: [&str; 2] = [
    "application/vnd.apache.arrow.stream",
    "application/octet-stream",
];

/// Why an answer ends early.
enum Ended {
    /// The client is gone.
    Gone,
    Failed(ApiError),
}

type Parts = mpsc::Sender<Result<Bytes, ApiError>>;

/// Answers a request.
pub(super) async fn score(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (place, body) = service.admit(request, &TYPES).await?;
    let input = body.clone();
    in_background(&service, move |service| check(service, input)).await??;
    // One batch waits to be sent while the next one is scored.
    let (sender, mut receiver) = mpsc::channel(1);
    let runtime = Handle::current();
    let shared = Arc::clone(&service);
    tokio::task::spawn_blocking(move || {
        if let Err(Ended::Failed(error)) = answer(&shared, body, &sender, &runtime) {
            terminal::line(&format!("error: /score: {error}"));
            let _ = sender.blocking_send(Err(error));
        }
    });
    // What fails before the first part still has a status of its own.
    let first = receiver.recv().await;
    let first = first.ok_or_else(|| ApiError::internal("a thread of the server failed"))??;
    let content_type = HeaderValue::from_static(TYPES[0]);
    Ok(body::parts(content_type, first, receiver, place))
}

/// Reads all batches, to refuse what cannot be read.
fn check(service: &Service, input: Bytes) -> Result<(), ApiError> {
    let read = service.plan.read_options();
    let mut input = open(input)?;
    input.must_have(&read).map_err(refused)?;
    while let Some(batch) = input.next_batch().map_err(refused)? {
        let shard = &service.shards[0].name;
        batch.records(shard, &read).map_err(refused)?;
    }
    Ok(())
}

/// Scores the batches and sends the answer to each.
fn answer(service: &Service, input: Bytes, parts: &Parts, runtime: &Handle) -> Result<(), Ended> {
    let failed = |error: &dyn std::error::Error| {
        Ended::Failed(ApiError::internal(hinted_error::chain_of(error)))
    };
    let send = |bytes: Vec<u8>| match parts.blocking_send(Ok(bytes.into())) {
        Ok(()) => Ok(()),
        Err(_) => Err(Ended::Gone),
    };
    let (work, read) = (service.work(), service.plan.read_options());
    let shard = &service.shards[0].name;
    let sink = Sink::default();
    let output = BatchWriter::new(sink.clone(), &service.columns, &Passed::default());
    let mut output = output.map_err(|error| failed(&error))?;
    let mut input = open(input).map_err(Ended::Failed)?;
    while let Some(batch) = input.next_batch().map_err(|error| failed(&error))? {
        let records = batch.records(shard, &read);
        let records = records.map_err(|error| failed(&error))?;
        let known: Vec<Known> = records.iter().map(Known::of).collect();
        let rows = service.tokenized(records);
        let scores = runtime.block_on(async {
            let scores = std::pin::pin!(service.scores(rows));
            let gone = std::pin::pin!(parts.closed());
            match select(scores, gone).await {
                Either::Left((scores, _)) => scores.map_err(Ended::Failed),
                Either::Right(_) => Err(Ended::Gone),
            }
        })?;
        let mut answers = Vec::with_capacity(known.len());
        for (known, scored) in known.into_iter().zip(scores) {
            let answer = known.answer(&work, scored);
            let mut answer = answer.map_err(|error| failed(error.as_ref()))?;
            if service.columns.top.is_none()
                && let Ok(row) = &mut answer.scored
            {
                row.top = None;
            }
            answers.push(answer);
        }
        let written = output.write(shard, &answers, Vec::new());
        written.map_err(|error| failed(&error))?;
        send(sink.take())?;
    }
    output.finish().map_err(|error| failed(&error))?;
    send(sink.take())
}

fn open(input: Bytes) -> Result<BatchReader<Cursor<Bytes>>, ApiError> {
    let opened = BatchReader::open(Cursor::new(input)).map_err(refused)?;
    opened.ok_or_else(|| ApiError::body("expected an Arrow stream, got an empty body"))
}

fn refused(error: impl std::error::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, hinted_error::chain_of(&error))
}

/// What the writer wrote and is not sent yet.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
