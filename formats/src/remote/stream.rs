//! Takes a remote file, yields its bytes in order. A task fetches them in blocks, one ahead of the reader, so that
//! memory is bounded, and a broken connection costs one block. A web server without range requests, or without anything
//! that tells versions of a file apart, sends the whole file at once; then a broken connection is an error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Opened;
use super::error::{RemoteError, RemoteErrorKind};

/// Bytes fetched at once.
const PIECE: u64 = 4 << 20;

/// The bytes of a remote file.
pub(crate) struct RemoteStream {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl RemoteStream {
    /// Starts fetching. Needs a running tokio runtime.
    pub(crate) fn start(opened: Opened) -> Self {
        let (sender, pieces) = channel(1);
        tokio::spawn(async move {
            if let Err(error) = fetch(&opened, &sender).await {
                // If the reader is gone, nobody needs the error.
                let _ = sender.send(Err(error.into())).await;
            }
        });
        Self {
            pieces,
            piece: Bytes::new(),
        }
    }
}

async fn fetch(opened: &Opened, sender: &Sender<io::Result<Bytes>>) -> Result<(), RemoteError> {
    use RemoteErrorKind::{NoRanges, NoVersion};
    let mut start = 0;
    while start < opened.length() {
        let length = PIECE.min(opened.length() - start);
        let piece = match opened.range(start, length).await {
            Err(error) if start == 0 && [NoRanges, NoVersion].contains(&error.kind()) => {
                return whole(opened, sender).await;
            }
            piece => piece?,
        };
        if sender.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
        start += length;
    }
    Ok(())
}

async fn whole(opened: &Opened, sender: &Sender<io::Result<Bytes>>) -> Result<(), RemoteError> {
    let mut pieces = opened.whole().await?;
    while let Some(piece) = pieces.try_next().await? {
        if sender.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl AsyncRead for RemoteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.pieces.poll_recv(context)) {
                Some(piece) => self.piece = piece?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece.split_to(length));
        Poll::Ready(Ok(()))
    }
}
