//! Takes the bytes of a compressed file, yields the decompressed bytes of all its streams (gzip's members, zstd's
//! frames), one after another.
//!
//! Zeros between and behind them are passed over, as gzip does: tapes and block devices pad files with zeros. Anything
//! else behind a stream must be another one, or its decoder reports it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// A decoder of one stream.
pub(super) trait Decoder<R>: AsyncRead + Unpin {
    /// The compressed bytes, from the first one behind the stream on.
    fn into_raw(self) -> R;
}

macro_rules! decoders {
    ($($decoder:ident),*) => {$(
        impl<R: AsyncBufRead + Unpin> Decoder<R> for $decoder<R> {
            fn into_raw(self) -> R {
                self.into_inner()
            }
        }
    )*};
}
decoders!(BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder);

/// The decompressed bytes.
pub(super) struct Streams<R, D> {
    /// Starts the decoder of a stream.
    start: fn(R) -> D,
    state: State<R, D>,
}

enum State<R, D> {
    Inside(D),
    Behind(R),
    Ended,
}

impl<R: AsyncBufRead + Unpin, D: Decoder<R>> Streams<R, D> {
    pub(super) fn new(raw: R, start: fn(R) -> D) -> Self {
        Self {
            start,
            state: State::Inside(start(raw)),
        }
    }
}

impl<R: AsyncBufRead + Unpin, D: Decoder<R>> AsyncRead for Streams<R, D> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut starts = false;
            match &mut this.state {
                State::Inside(decoder) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(decoder).poll_read(context, buffer))?;
                    if buffer.filled().len() > before || buffer.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Behind(raw) => {
                    let some = ready!(Pin::new(&mut *raw).poll_fill_buf(context))?;
                    let zeros = some.iter().take_while(|byte| **byte == 0).count();
                    match some.len() {
                        0 => {
                            this.state = State::Ended;
                            return Poll::Ready(Ok(()));
                        }
                        length => starts = zeros < length,
                    }
                    Pin::new(raw).consume(zeros);
                    if !starts {
                        continue;
                    }
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
            this.state = match std::mem::replace(&mut this.state, State::Ended) {
                State::Inside(decoder) => State::Behind(decoder.into_raw()),
                State::Behind(raw) if starts => State::Inside((this.start)(raw)),
                state => state,
            };
        }
    }
}
