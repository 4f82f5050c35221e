//! Accepts connections and serves HTTP/1 on them, with bounds on their number and on clients that read or write nothing.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep};

use crate::stop::Stop;

/// Most connections at once; more wait to be accepted.
const CONNECTIONS: u32 = 1024;
/// How long a client may take to send the head of a request, idle time before it included.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long a client may read nothing of its answer.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// How often it looks whether to stop.
const PERIOD: Duration = Duration::from_millis(50);
/// How long it waits after an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the stop is requested, then until all open requests are answered.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: &Stop) {
    let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let (ending, ended) = watch::channel(false);
    let mut stopped = pin!(requested(stop));
    loop {
        let next = pin!(accept(&listener, &places));
        let (stream, place) = match select(next, stopped.as_mut()).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        let connection = connection(stream, router.clone(), ended.clone());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = ending.send(true);
    // All places are free when all connections are closed.
    let _ = places.acquire_many(CONNECTIONS).await;
}

async fn requested(stop: &Stop) {
    while !stop.requested() {
        sleep(PERIOD).await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Serves one connection. Once it ends, the open request is answered and the connection closed.
async fn connection(stream: TcpStream, router: Router, mut ended: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient {
        stream,
        timer: None,
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME);
    let mut served = pin!(server.serve_connection(io, TowerToHyperService::new(router)));
    let first = {
        let end = pin!(ended.wait_for(|ended| *ended));
        // Its errors are those of the client, or the connection.
        matches!(select(served.as_mut(), end).await, Either::Left(_))
    };
    if !first {
        served.as_mut().graceful_shutdown();
        let _ = served.await;
    }
}

/// A stream whose other end must read: a write that waits too long is an error.
struct Patient {
    stream: TcpStream,
    /// Set while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.timer = None;
            return Poll::Ready(done);
        }
        let end = || Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_TIME));
        let timer = self.timer.get_or_insert_with(end);
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| {
            stream.poll_write_vectored(context, bytes)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| stream.poll_shutdown(context))
    }
}
