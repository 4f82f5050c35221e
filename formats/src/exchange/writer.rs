//! Takes the answers to the rows of a batch, writes one record batch: the columns of masks, `error`, and the columns that
//! are passed through.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::take::take;

use super::Passed;
use crate::masks::{ERROR, MaskRow, MaskSchema, OutputError, Pending, writing};

/// The most tokens of a batch: the offsets of its lists have 32 bits.
const MOST_TOKENS: usize = i32::MAX as usize;

/// What becomes of a row.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The number of the row in the whole input.
    pub row: i64,
    /// Its id, if the row could be read.
    pub id: Option<String>,
    /// Its scores and masks, or the reason why it has none.
    pub scored: Result<MaskRow, String>,
}

/// The schema of the answers: the columns of masks, `error`, then those that are passed through, all nullable.
fn answers(columns: &MaskSchema, passed: &Passed) -> Result<Schema, OutputError> {
    let masks = columns.to_arrow();
    let mut fields: Vec<FieldRef> = masks.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ERROR, DataType::Utf8, true)));
    fields.extend(passed.fields.iter().cloned());
    let names: Vec<&String> = fields.iter().map(|field| field.name()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(OutputError::ColumnTwice {
                name: (*name).clone(),
            });
        }
    }
    Ok(Schema::new_with_metadata(fields, masks.metadata().clone()))
}

/// An Arrow IPC stream with the schema of the answers, without metadata and without a batch.
///
/// # Errors
/// If two columns have the same name.
pub fn answer_schema(columns: &MaskSchema, passed: &Passed) -> Result<Vec<u8>, OutputError> {
    let schema = Schema::new(answers(columns, passed)?.fields().clone());
    let mut stream = StreamWriter::try_new(Vec::new(), &schema).map_err(gone)?;
    stream.finish().map_err(gone)?;
    stream.into_inner().map_err(gone)
}

/// Writes the answers as an Arrow IPC stream.
pub struct BatchWriter<W: Write> {
    columns: MaskSchema,
    schema: SchemaRef,
    stream: StreamWriter<W>,
}

impl<W: Write> BatchWriter<W> {
    /// Writes the schema.
    ///
    /// # Errors
    /// If two columns have the same name, or the sink rejects the bytes.
    pub fn new(sink: W, columns: &MaskSchema, passed: &Passed) -> Result<Self, OutputError> {
        let schema: SchemaRef = answers(columns, passed)?.into();
        let mut stream = StreamWriter::try_new(sink, &schema).map_err(gone)?;
        stream.flush().map_err(gone)?;
        Ok(Self {
            columns: columns.clone(),
            schema,
            stream,
        })
    }

    /// Writes the answers to one batch of `shard`, with the columns that are passed through.
    ///
    /// # Errors
    /// If a row does not match the schema, or the sink rejects the bytes.
    pub fn write(
        &mut self,
        shard: &str,
        answers: &[Answer],
        passed: Vec<ArrayRef>,
    ) -> Result<(), OutputError> {
        let batch = self.batch(shard, answers, passed)?;
        self.stream.write(&batch).map_err(gone)?;
        self.stream.flush().map_err(gone)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// If the sink rejects the bytes.
    pub fn finish(mut self) -> Result<(), OutputError> {
        self.stream.finish().map_err(gone)?;
        self.stream.flush().map_err(gone)
    }

    fn batch(
        &self,
        shard: &str,
        answers: &[Answer],
        passed: Vec<ArrayRef>,
    ) -> Result<RecordBatch, OutputError> {
        let scored = answers
            .iter()
            .filter_map(|answer| answer.scored.as_ref().ok());
        let tokens: usize = scored.clone().map(|row| row.input_ids.len()).sum();
        if tokens > MOST_TOKENS {
            return Err(OutputError::Row {
                shard: shard.to_owned(),
                row: answers.first().map_or(0, |answer| answer.row),
                what: "tokens at most in the batch that starts here: send smaller batches"
                    .to_owned(),
                expected: MOST_TOKENS,
                got: tokens,
            });
        }
        let masks = Arc::new(self.columns.to_arrow());
        let mut pending = Pending::new(shard, &self.columns, masks);
        for row in scored {
            self.columns.check(shard, row)?;
            pending.push(row);
        }
        let dense = pending.take().map_err(gone)?;
        let mut next = 0;
        let place = |answer: &Answer| {
            answer.scored.is_ok().then(|| {
                next += 1;
                next - 1
            })
        };
        let places: UInt32Array = answers.iter().map(place).collect();
        let all_scored = places.null_count() == 0;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for column in dense.columns() {
            columns.push(match all_scored {
                true => Arc::clone(column),
                // A null index gives a null.
                false => take(column, &places, None).map_err(gone)?,
            });
        }
        // They are known of rows without scores too.
        let ids = answers.iter().map(|answer| match &answer.scored {
            Ok(row) => Some(row.id.as_str()),
            Err(_) => answer.id.as_deref(),
        });
        let rows = answers.iter().map(|answer| answer.row);
        let shards = answers.iter().map(|_| Some(shard));
        columns[0] = Arc::new(ids.collect::<StringArray>());
        columns[1] = Arc::new(shards.collect::<StringArray>());
        columns[2] = Arc::new(rows.collect::<Int64Array>());
        let errors = answers.iter().map(|answer| answer.scored.as_ref().err());
        columns.push(Arc::new(errors.collect::<StringArray>()));
        columns.extend(passed);
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(gone)
    }
}

/// An error of the sink, or of Arrow.
fn gone(source: ArrowError) -> OutputError {
    match source {
        ArrowError::IoError(_, source) if source.kind() == io::ErrorKind::BrokenPipe => {
            OutputError::ReaderGone { source }
        }
        source => writing(&PathBuf::from("-"), source),
    }
}
