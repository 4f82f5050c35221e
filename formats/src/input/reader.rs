//! Opens a shard, detects its kind, passes its bytes to the reader of that kind, and yields its records.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::runtime::Handle;

use super::compression::{self, CHUNK, Compression};
use super::error::{Malformed, UnsupportedForm, malformed};
use super::json_lines::JsonLines;
use super::json_values;
use super::kind::PARQUET;
use super::peek::Peeked;
use super::ranges::Ranges;
use super::tar::Samples;
use super::text::TextFile;
use super::text_lines::TextLines;
use super::worker::{Sink, Worker};
use super::{Kind, ReadOptions, Record, Sample, ShardError, arrow, parquet};
use crate::corpus::{Location, Shard};
use crate::remote::{Opened, RemoteError, RemoteStream};

/// Reads one shard. Needs a running tokio runtime, on whose other threads the file is read.
///
/// Memory: a few rows (each bounded by [`ReadOptions::max_document_bytes`], together by one mebibyte and one row),
/// buffers of fixed size, and for Parquet one page per wanted column, of at most four times that bound.
pub struct ShardReader {
    path: PathBuf,
    kind: Kind,
    compression: Compression,
    large_window: Option<u64>,
    bytes: Arc<AtomicU64>,
    rows: Rows,
    broken: bool,
    name: String,
    sample: Option<Sample>,
    /// How many documents are still to be read, if not all.
    left: Option<u64>,
}

/// The reader of each kind.
enum Rows {
    JsonLines(JsonLines),
    Text(TextFile),
    TextLines(TextLines),
    Samples(Box<Samples>),
    Worker(Worker),
}

impl ShardReader {
    /// Opens a shard and detects its kind from its first bytes.
    ///
    /// # Errors
    /// If the file cannot be opened or read, is not a file or only a pointer to one, or if Parquet is inside a compressed
    /// stream or comes through a pipe.
    pub async fn open(shard: &Shard, options: &ReadOptions) -> Result<Self, ShardError> {
        let cannot_open = |source| ShardError::Open {
            path: shard.path.clone(),
            source,
        };
        let file: Box<dyn AsyncRead + Send + Unpin> = match &shard.place {
            Location::Remote(remote) => Box::new(RemoteStream::start(
                Opened::new(remote).map_err(|error| cannot_open(error.into()))?,
            )),
            Location::File | Location::Cached { .. } => {
                Box::new(open_file(&shard.path).await.map_err(cannot_open)?)
            }
            Location::StandardInput => Box::new(tokio::io::stdin()),
        };
        let is_file = shard.place != Location::StandardInput;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: BufReader::with_capacity(CHUNK, file),
            bytes: Arc::clone(&bytes),
        };
        let mut raw = Peeked::new(counted).await;
        if let Some(source) = raw.take_error_of_empty() {
            return Err(cannot_open(source));
        }
        rho_files::refuse_pointer(raw.head()).map_err(cannot_open)?;
        let large_window = compression::large_window(raw.head());
        let (compression, plain) = compression::decompress(raw, shard.compression);
        let plain = Peeked::new(plain).await;
        let (name, options, sample) = (shard.name.clone(), options.clone(), options.sample);
        let mut kind = Kind::of_content(plain.head(), shard.kind);
        if kind == Kind::Parquet && shard.kind != kind {
            let sure = compression != Compression::None || !is_file || ends_as_parquet(shard).await;
            kind = if sure { kind } else { shard.kind };
        }
        let rows = match kind {
            Kind::JsonLines if json_values::begins_array(plain.head()) => {
                Rows::JsonLines(JsonLines::of_array(name, options, Box::new(plain)))
            }
            Kind::JsonLines => Rows::JsonLines(JsonLines::new(name, options, Box::new(plain))),
            Kind::Text if options.lines => {
                Rows::TextLines(TextLines::new(name, options, Box::new(plain)))
            }
            Kind::Text => Rows::Text(TextFile::new(name, options, Box::new(plain))),
            Kind::WebDataset => {
                Rows::Samples(Box::new(Samples::new(name, options, Box::new(plain))))
            }
            Kind::Parquet if compression != Compression::None => {
                return Err(cannot_open(malformed(format!(
                    "expected an uncompressed Parquet file, got one inside a {compression} stream"
                ))));
            }
            Kind::Parquet if !is_file => {
                return Err(cannot_open(malformed(
                    "expected a Parquet file with random access, got one through a pipe",
                )));
            }
            Kind::Parquet => {
                let ranges = Arc::new(Ranges::open(shard).map_err(cannot_open)?);
                let bytes = Arc::clone(&bytes);
                let read = move |sink: &mut Sink| {
                    let length = ranges.length();
                    let progress = move |done: u64, of: u64| {
                        let share = u128::from(length) * u128::from(done) / u128::from(of.max(1));
                        bytes.store(share as u64, Ordering::Relaxed);
                    };
                    parquet::read(ranges, &name, &options, &progress, sink)
                };
                Rows::Worker(Worker::start(read).map_err(cannot_open)?)
            }
            Kind::Arrow => {
                let input = match compression {
                    Compression::None if is_file => {
                        let ranges = Ranges::open(shard).map_err(cannot_open)?;
                        arrow::Input::Ranges(Arc::new(ranges))
                    }
                    _ => arrow::Input::Stream(Box::new(plain), Handle::current()),
                };
                let bytes = Arc::clone(&bytes);
                let read = move |sink: &mut Sink| {
                    let progress = |position| bytes.store(position, Ordering::Relaxed);
                    arrow::read(input, &name, &options, &progress, sink)
                };
                Rows::Worker(Worker::start(read).map_err(cannot_open)?)
            }
        };
        Ok(Self {
            path: shard.path.clone(),
            kind,
            compression,
            large_window,
            bytes,
            rows,
            broken: false,
            name: shard.name.clone(),
            sample,
            left: shard.documents,
        })
    }

    /// The next row that is to be read (see [`ReadOptions::sample`] and [`Shard::documents`]); `None` at the end, and
    /// after an error.
    ///
    /// # Errors
    /// If the stream breaks: once, after all complete rows before the break.
    pub async fn next(&mut self) -> Result<Option<Record>, ShardError> {
        while self.left != Some(0) {
            let Some(record) = self.next_of_all().await? else {
                break;
            };
            let is_wanted = |sample: &Sample| sample.contains(&self.name, record.row());
            if !self.sample.as_ref().is_none_or(is_wanted) {
                continue;
            }
            if let (Some(left), Record::Document(_)) = (&mut self.left, &record) {
                *left -= 1;
            }
            return Ok(Some(record));
        }
        Ok(None)
    }

    async fn next_of_all(&mut self) -> Result<Option<Record>, ShardError> {
        if self.broken {
            return Ok(None);
        }
        let record = match &mut self.rows {
            Rows::JsonLines(rows) => rows.next().await,
            Rows::Text(rows) => rows.next().await,
            Rows::TextLines(rows) => rows.next().await,
            Rows::Samples(rows) => rows.next().await,
            Rows::Worker(rows) => rows.next().await,
        };
        record.map_err(|source| {
            self.broken = true;
            self.break_at(source)
        })
    }

    /// Bytes of the file that were used so far, before decompression: compare with [`Shard::bytes`] to show progress.
    /// Bytes that only wait in a buffer do not count.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The bytes of memory that decompressing takes, if that is more than usual: a zstd file may need up to 2 GiB.
    pub fn large_window(&self) -> Option<u64> {
        self.large_window
    }

    fn break_at(&self, source: io::Error) -> ShardError {
        let path = self.path.clone();
        let row = match &self.rows {
            Rows::JsonLines(rows) => rows.rows(),
            Rows::Text(rows) => rows.rows(),
            Rows::TextLines(rows) => rows.rows(),
            Rows::Samples(rows) => rows.rows(),
            Rows::Worker(rows) => rows.rows(),
        };
        let source = match self.compression {
            Compression::None => source,
            compression => compression::cause(compression, source),
        };
        let form = source
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<UnsupportedForm>());
        if let Some(source) = form.copied() {
            return ShardError::Unsupported { path, row, source };
        }
        let own = source
            .get_ref()
            .is_some_and(|inner| inner.is::<Malformed>());
        let container = !matches!(self.kind, Kind::JsonLines | Kind::Text);
        // Errors of decoders have no error number, those of the system do.
        let unreachable = source
            .get_ref()
            .is_some_and(|inner| inner.is::<RemoteError>());
        if unreachable || source.raw_os_error().is_some() {
            ShardError::Read { path, row, source }
        } else if own || (container && self.compression == Compression::None) {
            ShardError::Damaged {
                path,
                row,
                kind: self.kind,
                source,
            }
        } else if self.compression == Compression::None {
            ShardError::Read { path, row, source }
        } else {
            ShardError::Broken {
                path,
                row,
                compression: self.compression,
                source,
            }
        }
    }
}

/// Opens a file, on a thread that may block.
async fn open_file(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || rho_files::open_named(&path)).await;
    opened.map_err(io::Error::other)?.map(File::from_std)
}

/// Whether a file ends like a Parquet file. A text may start like one.
async fn ends_as_parquet(shard: &Shard) -> bool {
    let Ok(ranges) = Ranges::open(shard) else {
        return false;
    };
    let read = move || {
        let mark = PARQUET.len();
        ranges.read(ranges.length().saturating_sub(mark as u64), mark)
    };
    let end = tokio::task::spawn_blocking(read).await;
    end.is_ok_and(|end| end.is_ok_and(|end| end == PARQUET))
}

/// Counts the bytes that are taken out of a buffer.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for Counted<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().inner).poll_fill_buf(context)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        Pin::new(&mut self.inner).consume(amount);
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let some = ready!(self.as_mut().poll_fill_buf(context))?;
        let length = some.len().min(buffer.remaining());
        buffer.put_slice(&some[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}
