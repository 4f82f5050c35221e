//! Takes a stream, looks at its first bytes and yields them again. What they mean is for `compression` and `kind` to say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, ReadBuf};

/// Enough for every magic number that is known; that of a tar file stands at byte 257.
const HEAD: usize = 512;

/// A stream whose first bytes are known.
pub(crate) struct Peeked<R> {
    head: Vec<u8>,
    /// How much of the head was handed out.
    read: usize,
    /// What went wrong after the head. It is told where it stands, so that the rows before it are read.
    error: Option<io::Error>,
    rest: R,
}

impl<R: AsyncBufRead + Unpin> Peeked<R> {
    /// Reads the first bytes, however few at a time they come.
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

    /// The first bytes: all there are, up to 512.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What kept the head from being longer, if it was no end.
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
