//! Takes a blocking reader, runs it on a thread of its own, yields its records one by one.
//!
//! For formats whose crates are not async. At most one batch of records waits between the threads, so memory is
//! bounded. If damaged bytes make such a crate panic, that ends the shard, not the program.

use std::collections::VecDeque;
use std::io;
use std::thread;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Record;
use super::error::malformed;

/// A batch is sent when it holds this many records ...
const RECORDS: usize = 256;
/// ... or this many bytes.
const BYTES: usize = 1 << 20;

/// A message from the thread.
enum Part {
    Records(Vec<Record>),
    /// The last message: the number of complete rows, and the error that ended them.
    Broken(i64, io::Error),
}

/// The records that a thread reads.
pub(super) struct Worker {
    /// `None` once the thread has ended.
    parts: Option<Receiver<Part>>,
    ready: VecDeque<Record>,
    rows: i64,
}

impl Worker {
    /// Starts `read` on a thread. It pushes records into the sink and returns at the end of its input, on an error, or
    /// when the sink says that the receiver is gone.
    pub(super) fn start<F>(read: F) -> io::Result<Self>
    where
        F: FnOnce(&mut Sink) -> io::Result<()> + Send + 'static,
    {
        Self::start_at(0, read)
    }

    /// Starts it; its first row has the number `rows`.
    pub(super) fn start_at<F>(rows: i64, read: F) -> io::Result<Self>
    where
        F: FnOnce(&mut Sink) -> io::Result<()> + Send + 'static,
    {
        let (sender, receiver) = channel(1);
        let mut sink = Sink {
            sender,
            records: Vec::new(),
            bytes: 0,
            rows,
        };
        thread::Builder::new()
            .name("shard".to_owned())
            .spawn(move || {
                let end = rho_files::caught(|| read(&mut sink))
                    .unwrap_or_else(|_| Err(malformed("its decoder panicked")));
                sink.end(end);
            })?;
        Ok(Self {
            parts: Some(receiver),
            ready: VecDeque::new(),
            rows: 0,
        })
    }

    /// The number of complete rows so far.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    /// All records at once.
    ///
    /// # Errors
    /// If the input breaks.
    pub(super) fn all(mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        while let Some(parts) = &mut self.parts {
            match parts.blocking_recv() {
                Some(Part::Records(some)) => records.extend(some),
                Some(Part::Broken(_, error)) => return Err(error),
                None => self.parts = None,
            }
        }
        Ok(records)
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.rows = record.row() + 1;
                return Ok(Some(record));
            }
            let Some(parts) = &mut self.parts else {
                return Ok(None);
            };
            match parts.recv().await {
                Some(Part::Records(records)) => self.ready = records.into(),
                Some(Part::Broken(rows, error)) => {
                    self.parts = None;
                    self.rows = rows;
                    return Err(error);
                }
                None => self.parts = None,
            }
        }
    }
}

/// Where the thread pushes its records.
pub(super) struct Sink {
    sender: Sender<Part>,
    records: Vec<Record>,
    bytes: usize,
    rows: i64,
}

impl Sink {
    /// The number of rows pushed.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    /// Pushes a row; false if the receiver is gone.
    pub(super) fn push(&mut self, record: Record) -> bool {
        self.rows = record.row() + 1;
        self.bytes += match &record {
            Record::Document(document) => {
                document.content.bytes() + document.context.as_ref().map_or(0, String::len)
            }
            Record::Rejected(_, _) => 0,
        };
        self.records.push(record);
        if self.records.len() < RECORDS && self.bytes < BYTES {
            return true;
        }
        self.flush()
    }

    fn flush(&mut self) -> bool {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        records.is_empty() || self.sender.blocking_send(Part::Records(records)).is_ok()
    }

    fn end(mut self, end: io::Result<()>) {
        if self.flush()
            && let Err(error) = end
        {
            // If the receiver is gone, nobody needs the error.
            let _ = self.sender.blocking_send(Part::Broken(self.rows, error));
        }
    }
}
