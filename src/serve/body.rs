//! The bodies of answers. They hold the place of their request, so that clients that do not read count as open requests.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::{admission::Place, error::ApiError};

/// Longest part that is given away at once: what is not given away is not sent, so its place is held.
const PART: usize = 64 << 10;

/// An answer with a place.
struct Held {
    /// What is there and not given away.
    next: Bytes,
    /// What is still being made. Ends early at an error: the connection is then closed inside the answer, which clients
    /// notice.
    rest: Option<mpsc::Receiver<Result<Bytes, ApiError>>>,
    _place: Place,
}

/// An answer that is complete.
pub(super) fn whole(content_type: HeaderValue, bytes: Vec<u8>, place: Place) -> Response {
    of(content_type, bytes.into(), None, place)
}

/// An answer that is still being made.
pub(super) fn parts(
    content_type: HeaderValue,
    first: Bytes,
    rest: mpsc::Receiver<Result<Bytes, ApiError>>,
    place: Place,
) -> Response {
    of(content_type, first, Some(rest), place)
}

fn of(
    content_type: HeaderValue,
    next: Bytes,
    rest: Option<mpsc::Receiver<Result<Bytes, ApiError>>>,
    place: Place,
) -> Response {
    let body = Held {
        next,
        rest,
        _place: place,
    };
    let mut response = Response::new(Body::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = ApiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ApiError>>> {
        while self.next.is_empty() {
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(None);
            };
            match ready!(rest.poll_recv(context)) {
                Some(Ok(next)) => self.next = next,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.rest = None,
            }
        }
        let length = self.next.len().min(PART);
        let part = self.next.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.next.len() as u64),
        }
    }
}
