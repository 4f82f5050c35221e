//! Takes rows, writes one Arrow IPC stream, usually to standard output. Every record batch is flushed at once. A stream
//! cannot be resumed; for files see `writer`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::batch::Pending;
use super::encode::{BatchCompression, END, Encoder};
use super::writer::writing;
use super::{MaskRow, MaskSchema, OutputError};

/// Writes masks of many shards as one stream.
pub struct MaskStream {
    columns: MaskSchema,
    encoder: Encoder,
    pending: Pending,
    sink: Box<dyn Write + Send>,
}

impl MaskStream {
    /// Writes the schema.
    ///
    /// # Errors
    /// If two columns have the same name, or the sink rejects the bytes.
    pub fn new(
        sink: Box<dyn Write + Send>,
        columns: &MaskSchema,
        compression: BatchCompression,
    ) -> Result<Self, OutputError> {
        if let Some(name) = columns.name_twice() {
            return Err(OutputError::ColumnTwice {
                name: name.to_owned(),
            });
        }
        let schema = Arc::new(columns.to_arrow());
        let encoder = Encoder::new(&schema, compression)
            .map_err(|source| writing(&PathBuf::from("-"), source))?;
        let mut stream = Self {
            columns: columns.clone(),
            encoder,
            pending: Pending::new("", columns, schema),
            sink,
        };
        let schema = stream.encoder.schema().to_vec();
        stream.put(&schema)?;
        Ok(stream)
    }

    /// Starts a shard: later rows belong to it, in record batches of their own.
    ///
    /// # Errors
    /// If the sink rejects the bytes of the rows before.
    pub fn begin(&mut self, shard: &str) -> Result<(), OutputError> {
        self.flush()?;
        self.of_shard(shard);
        Ok(())
    }

    /// Sets the shard of the rows to come, which share the record batches of the rows before.
    pub fn of_shard(&mut self, shard: &str) {
        self.pending.of_shard(shard);
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If its lists do not match each other and the schema (then it is not added), or the sink rejects the bytes.
    pub fn write(&mut self, row: &MaskRow) -> Result<(), OutputError> {
        self.columns.check(self.pending.shard(), row)?;
        self.pending.push(row);
        if self.pending.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the record batch and writes it.
    ///
    /// # Errors
    /// If the sink rejects the bytes.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = self.pending.take();
        let bytes = batch
            .and_then(|batch| self.encoder.batch(&batch))
            .map_err(|source| writing(&PathBuf::from("-"), source))?;
        self.put(&bytes)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// If the sink rejects the bytes.
    pub fn finish(mut self) -> Result<(), OutputError> {
        self.flush()?;
        self.put(&END)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let written = self.sink.write_all(bytes).and_then(|()| self.sink.flush());
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => OutputError::ReaderGone { source },
            _ => OutputError::Write {
                path: PathBuf::from("-"),
                source,
            },
        })
    }
}
