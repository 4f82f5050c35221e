//! Takes record batches, yields a file of them: an Arrow IPC stream, which `datasets` memory-maps, or Parquet. The
//! columns come from `lists` or from the masks.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use serde_json::Value;

use super::{ListColumns, Sink};
use crate::masks::{
    BatchCompression, END, Encoder, METADATA_KEY, MaskBatch, MaskColumns, MaskFile, OutputError,
    parquet_properties, writing,
};

/// Encoded size at which a row group of Parquet ends, in bytes: the writer holds that much in memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// The columns of a table, with metadata about how it was created.
#[derive(Debug, Clone)]
pub struct TableSchema(pub(super) SchemaRef);

impl TableSchema {
    pub(super) fn new(fields: Vec<Field>, made: &Value) -> Self {
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), made.to_string())]);
        Self(Arc::new(Schema::new_with_metadata(fields, metadata)))
    }

    /// A schema of some columns of masks, in the order of the masks. Unknown names are ignored.
    pub fn of_masks(masks: &MaskColumns, columns: &[String], made: &Value) -> Self {
        let fields = masks.arrow().fields().iter();
        let fields = fields.filter(|field| columns.contains(field.name()));
        Self::new(fields.map(|field| Field::clone(field)).collect(), made)
    }
}

/// The file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Arrow IPC stream, uncompressed.
    Arrow,
    /// Parquet, compressed with Zstandard.
    Parquet,
}

/// A table that is being written. Blocks on file I/O.
pub struct Table {
    schema: TableSchema,
    file: Kind,
}

struct Stream {
    encoder: Encoder,
    sink: Sink,
}

enum Kind {
    Arrow(Box<Stream>),
    Parquet(Box<ArrowWriter<Sink>>),
}

impl Table {
    /// Starts a table.
    ///
    /// # Errors
    /// If the bytes cannot be written, or the schema cannot be encoded.
    pub fn new(kind: TableKind, mut sink: Sink, schema: TableSchema) -> Result<Self, OutputError> {
        let path = sink.path().to_owned();
        let file = match kind {
            TableKind::Arrow => {
                let encoder = Encoder::new(&schema.0, BatchCompression::None)
                    .map_err(|source| writing(&path, source))?;
                sink.put(encoder.schema())?;
                Kind::Arrow(Box::new(Stream { encoder, sink }))
            }
            TableKind::Parquet => {
                let properties = parquet_properties(&schema.0);
                let properties = properties
                    .map_err(|source| failed(&sink, source))?
                    .set_max_row_group_row_count(None)
                    .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
                    .build();
                let writer = ArrowWriter::try_new(sink, Arc::clone(&schema.0), Some(properties));
                let writer = writer.map_err(|source| writing(&path, source.into()))?;
                Kind::Parquet(Box::new(writer))
            }
        };
        Ok(Self { schema, file })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// If the columns do not match the schema, or the bytes cannot be written.
    pub fn write(&mut self, columns: ListColumns) -> Result<(), OutputError> {
        let batch = columns.batch(&self.schema);
        self.put(batch)
    }

    /// Adds the rows of a record batch of masks.
    ///
    /// # Errors
    /// If a column is missing, or the bytes cannot be written.
    pub fn write_masks(&mut self, batch: &MaskBatch) -> Result<(), OutputError> {
        let batch = project(batch, &self.schema.0);
        self.put(batch)
    }

    fn put(&mut self, batch: Result<RecordBatch, ArrowError>) -> Result<(), OutputError> {
        match &mut self.file {
            Kind::Arrow(stream) => {
                let Stream { encoder, sink } = &mut **stream;
                let bytes = batch.and_then(|batch| encoder.batch(&batch));
                let bytes = bytes.map_err(|source| writing(sink.path(), source))?;
                sink.put(&bytes)?;
                sink.pass_on()
            }
            Kind::Parquet(writer) => {
                let batch = batch.map_err(|source| writing(writer.inner().path(), source))?;
                let written = writer.write(&batch);
                written.map_err(|source| failed(writer.inner(), source))
            }
        }
    }

    /// Completes the table.
    ///
    /// # Errors
    /// If the bytes cannot be written.
    pub fn finish(self) -> Result<MaskFile, OutputError> {
        match self.file {
            Kind::Arrow(mut stream) => {
                stream.sink.put(&END)?;
                stream.sink.finish()
            }
            Kind::Parquet(mut writer) => {
                let flushed = writer.flush();
                flushed.map_err(|source| failed(writer.inner(), source))?;
                let path = writer.inner().path().to_owned();
                let sink = writer.into_inner();
                sink.map_err(|source| writing(&path, source.into()))?
                    .finish()
            }
        }
    }
}

fn project(batch: &MaskBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch.array(field.name());
        column.ok_or_else(|| ArrowError::SchemaError(format!("no column {:?}", field.name())))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// An error of the Parquet writer; an I/O error inside it becomes that of the file.
fn failed(sink: &Sink, source: ParquetError) -> OutputError {
    match source {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => sink.error(*source),
            Err(source) => writing(sink.path(), ArrowError::ExternalError(source)),
        },
        source => writing(sink.path(), source.into()),
    }
}
