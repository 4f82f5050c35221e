//! Reads batches ahead on a thread while a step computes, so that a step waits for data only if reading takes longer
//! than computing. Measures the waiting time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{DataError, DataPosition, Documents, GlobalBatch, Packing, Rows};

/// Number of batches read ahead.
const AHEAD: usize = 2;

/// The next batch, or the error that prevents it.
type Next = Result<Loaded, DataError>;

/// A batch and the time to read it.
#[derive(Debug)]
pub struct Loaded {
    /// The batch.
    pub batch: GlobalBatch,
    /// Time to pack and read it, in parallel with the steps.
    pub read: Duration,
}

/// How long steps waited for their data.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waited {
    /// For all batches.
    pub total: Duration,
    /// For the last batch.
    pub last: Duration,
}

/// Reads batches on its own thread.
pub struct Loader {
    batches: Receiver<Next>,
    reader: Option<JoinHandle<Box<dyn Documents>>>,
    waited: Waited,
}

/// What a loader loads.
#[derive(Debug, Clone, Copy)]
pub struct Loading {
    /// How documents are packed into rows.
    pub packing: Packing,
    /// Rows per batch.
    pub batch_rows: usize,
    /// Total number of rows from `from` on; the last batch may be smaller.
    pub rows: u64,
    /// Where to start.
    pub from: DataPosition,
    /// The model's vocab_size.
    pub vocabulary: usize,
}

impl Loader {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(documents: Box<dyn Documents>, loading: Loading) -> Result<Self, DataError> {
        let (sender, batches) = sync_channel(AHEAD);
        let reader = std::thread::Builder::new()
            .name("batches".to_owned())
            .spawn(move || read_ahead(documents, loading, &sender))
            .map_err(DataError::Thread)?;
        Ok(Self {
            batches,
            reader: Some(reader),
            waited: Waited::default(),
        })
    }

    /// The next batch; `None` after the last.
    ///
    /// # Errors
    /// If the batch could not be read.
    pub fn next_batch(&mut self) -> Result<Option<Loaded>, DataError> {
        let begun = Instant::now();
        let next = self.batches.recv().ok();
        self.waited.last = begun.elapsed();
        self.waited.total += self.waited.last;
        next.transpose()
    }

    /// The waiting time so far.
    pub fn waited(&self) -> Waited {
        self.waited
    }

    /// Stops the thread and returns the documents.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn into_documents(mut self) -> Result<Box<dyn Documents>, DataError> {
        // Closing the channel stops it.
        let (_, closed) = sync_channel(0);
        self.batches = closed;
        let reader = self.reader.take().ok_or(DataError::Ended)?;
        reader.join().map_err(|_| DataError::Ended)
    }
}

fn read_ahead(
    mut documents: Box<dyn Documents>,
    loading: Loading,
    sender: &SyncSender<Next>,
) -> Box<dyn Documents> {
    let mut rows = Rows::new(loading.packing, documents.count(), loading.from);
    let mut left = loading.rows;
    while left > 0 {
        let begun = Instant::now();
        let some = (loading.batch_rows as u64).min(left);
        let next = read_batch(&mut rows, some, &loading, documents.as_mut());
        left -= some;
        let failed = next.is_err();
        let loaded = next.map(|batch| Loaded {
            batch,
            read: begun.elapsed(),
        });
        if sender.send(loaded).is_err() || failed {
            break;
        }
    }
    documents
}

fn read_batch(
    rows: &mut Rows,
    some: u64,
    loading: &Loading,
    documents: &mut dyn Documents,
) -> Result<GlobalBatch, DataError> {
    let mut parts = Vec::with_capacity(some as usize);
    for _ in 0..some {
        let row = rows.next_row(|document| documents.length(document));
        parts.push(row.ok_or_else(|| DataError::NoTargets {
            documents: documents.count(),
        })?);
    }
    let length = loading.packing.length;
    GlobalBatch::read(&parts, length, loading.vocabulary, rows.place(), documents)
}
