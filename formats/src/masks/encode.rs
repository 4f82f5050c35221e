//! Takes record batches, yields the bytes of an Arrow IPC stream in parts: the schema, each batch, the end-of-stream
//! marker. The bytes of a batch do not depend on earlier batches, so a stream can be cut between two of them and
//! resumed there. `writer` writes the file.

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Schema};
use serde::{Deserialize, Serialize};

/// The end-of-stream marker.
pub(crate) const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// How the buffers of the record batches are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchCompression {
    /// Uncompressed, so that files can be memory-mapped.
    #[default]
    None,
    /// Each as a Zstandard frame of its own.
    Zstd,
}

/// Encodes record batches.
pub(crate) struct Encoder {
    schema: Vec<u8>,
    stream: StreamWriter<Vec<u8>>,
}

impl Encoder {
    pub(crate) fn new(schema: &Schema, compression: BatchCompression) -> Result<Self, ArrowError> {
        let options = ipc_options(compression)?;
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), schema, options)?;
        stream.flush()?;
        let schema = std::mem::take(stream.get_mut());
        Ok(Self { schema, stream })
    }

    /// The bytes of the schema, which start a stream.
    pub(crate) fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The bytes of the next batch.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        self.stream.write(batch)?;
        self.stream.flush()?;
        Ok(std::mem::take(self.stream.get_mut()))
    }
}

/// How Arrow writes record batches with this compression.
pub(super) fn ipc_options(compression: BatchCompression) -> Result<IpcWriteOptions, ArrowError> {
    IpcWriteOptions::default().try_with_compression(match compression {
        BatchCompression::None => None,
        BatchCompression::Zstd => Some(CompressionType::ZSTD),
    })
}
