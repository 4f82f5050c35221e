//! Takes a stream, looks at its first bytes and yields them again. `compression` and `kind` interpret them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, ReadBuf};

/// Enough for every known magic number; that of a tar file is at byte 257.
const HEAD: usize = 512;

/// A stream whose first bytes are known.
pub(crate) struct Peeked<R> {
    head: Vec<u8>,
    /// Bytes of the head that were yielded already.
    read: usize,
    /// The error after the head. It is reported at its position, so that the rows before it are read.
    error: Option<io::Error>,
    rest: R,
}

impl<R: AsyncBufRead + Unpin> Peeked<R> {
    /// Reads the first bytes, even if they arrive one by one.
    pub(crate) async fn new(mut rest: R) -> Self {
        let mut head = Vec::with_capacity(HEAD);
        let mut error = None;
        while head.len() < HEAD {
            match rest.fill_buf().await {
                Ok([]) => break,
                Ok(some) => {
                    let length = some.len().min(HEAD - head.len());
                    head.extend_from_slice(&some[..length]);
                    rest.consume(length);
                }
                Err(source) => {
                    error = Some(source);
                    break;
                }
            }
        }
        Self {
            head,
            read: 0,
            error,
            rest,
        }
    }

    /// The first bytes: at most 512, fewer if the stream is shorter.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The error, if the stream failed before its first byte.
    pub(crate) fn take_error_of_empty(&mut self) -> Option<io::Error> {
        match self.head.is_empty() {
            true => self.error.take(),
            false => None,
        }
    }
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for Peeked<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.read < this.head.len() {
            return Poll::Ready(Ok(&this.head[this.read..]));
        }
        match this.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut this.rest).poll_fill_buf(context),
        }
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        match this.read < this.head.len() {
            true => this.read += amount,
            false => Pin::new(&mut this.rest).consume(amount),
        }
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for Peeked<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let some = std::task::ready!(self.as_mut().poll_fill_buf(context))?;
        let length = some.len().min(buffer.remaining());
        buffer.put_slice(&some[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}
