//! Takes the bytes of an Arrow IPC stream, yields its record batches as soon as they are complete. Holds one batch, and
//! the dictionaries.
//!
//! Each batch becomes a stream of its own in memory: schema, dictionaries, the batch, the end mark. The documents in it
//! are read as those of a file (see [`crate::input`]), which checks every value; only columns that are passed through
//! are decoded by Arrow. Memory grows with the bytes that arrive, never with a length that a message states.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, FieldRef, SchemaRef};
use bytes::Bytes;

use super::ExchangeError;
use crate::input::{ReadOptions, Record, missing_of_arrow, records_of_arrow};
use crate::ipc::{self, Announced};
use crate::masks::END;

/// The longest message without its body.
const MOST_MESSAGE: u64 = 256 << 20;
/// The most bytes of a batch, and of all dictionaries together.
const MOST_BATCH: u64 = 2 << 30;
/// The most bytes that a compressed buffer of a passed column may decompress to.
const MOST_UNPACKED: u64 = 2 << 30;

/// Reads record batches from a pipe, or from the body of a request.
pub struct BatchReader<R> {
    input: R,
    /// The message of the schema, as it came.
    schema_message: Vec<u8>,
    schema: SchemaRef,
    /// The messages of the dictionaries that are in force, by id.
    dictionaries: Vec<(i64, Vec<u8>)>,
    batches: u64,
    rows: i64,
    ended: bool,
}

/// Columns of the input that are passed through, in its order.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    indices: Vec<usize>,
    pub(super) fields: Vec<FieldRef>,
}

/// A message and its body.
struct Whole {
    /// As it came: length, flatbuffer, body.
    bytes: Vec<u8>,
    /// Where the flatbuffer starts and ends.
    flatbuffer: std::ops::Range<usize>,
}

impl<R: Read> BatchReader<R> {
    /// Reads the schema. None if the input is empty.
    ///
    /// # Errors
    /// If the input does not start with the schema of an Arrow stream.
    pub fn open(mut input: R) -> Result<Option<Self>, ExchangeError> {
        let malformed = |reason: &str| ExchangeError::Malformed {
            batch: 0,
            reason: reason.to_owned(),
        };
        let Some(whole) = next_message(&mut input, 0)? else {
            return Ok(None);
        };
        let message = ipc::message(&whole.bytes[whole.flatbuffer.clone()]);
        let message = message.map_err(|reason| malformed(&reason))?;
        let schema = message.header_as_schema();
        let schema = schema.ok_or_else(|| malformed("expected a schema first"))?;
        let schema = try_fb_to_schema(schema).map_err(|error| malformed(&error.to_string()))?;
        Ok(Some(Self {
            input,
            schema: schema.into(),
            schema_message: whole.bytes,
            dictionaries: Vec::new(),
            batches: 0,
            rows: 0,
            ended: false,
        }))
    }

    /// The reader with `row` as the number of its first row.
    #[must_use]
    pub fn counted_from(self, row: i64) -> Self {
        Self { rows: row, ..self }
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    /// Columns to pass through, by their indices.
    pub fn passed(&self, mut indices: Vec<usize>) -> Passed {
        indices.retain(|&index| index < self.schema.fields().len());
        indices.sort_unstable();
        indices.dedup();
        let field = |&index: &usize| Arc::clone(&self.schema.fields()[index]);
        Passed {
            fields: indices.iter().map(field).collect(),
            indices,
        }
    }

    /// Checks that every field that a document must have is in a column.
    ///
    /// # Errors
    /// If one is not.
    pub fn must_have(&self, options: &ReadOptions) -> Result<(), ExchangeError> {
        let start = prefix(&self.schema_message);
        match missing_of_arrow(&self.schema_message[start..], options) {
            Some(reason) => Err(ExchangeError::Field { reason }),
            None => Ok(()),
        }
    }

    /// The next batch, once all of it has come; none at the end.
    ///
    /// # Errors
    /// If the input ends inside a message, or a message is malformed.
    pub fn next_batch(&mut self) -> Result<Option<InputBatch>, ExchangeError> {
        while !self.ended {
            let batch = self.batches + 1;
            let malformed = |reason: String| ExchangeError::Malformed { batch, reason };
            let Some(whole) = next_message(&mut self.input, batch)? else {
                self.ended = true;
                break;
            };
            let message = ipc::message(&whole.bytes[whole.flatbuffer.clone()]);
            let message = message.map_err(malformed)?;
            if let Some(dictionary) = message.header_as_dictionary_batch() {
                let id = dictionary.id();
                if !dictionary.isDelta() {
                    self.dictionaries.retain(|(other, _)| *other != id);
                }
                let held = self.dictionaries.iter().map(|(_, bytes)| bytes.len());
                if (held.sum::<usize>() + whole.bytes.len()) as u64 > MOST_BATCH {
                    return Err(malformed(format!(
                        "expected dictionaries of at most {MOST_BATCH} bytes, got more"
                    )));
                }
                self.dictionaries.push((id, whole.bytes));
                continue;
            }
            let Some(header) = message.header_as_record_batch() else {
                return Err(malformed("expected a record batch".to_owned()));
            };
            let rows = usize::try_from(header.length());
            let rows = rows.map_err(|_| malformed("a batch of negative length".to_owned()))?;
            let body = &whole.bytes[whole.flatbuffer.end..];
            let unpacked = match header.compression() {
                Some(_) => {
                    must_unpack(&header, body).map_err(|reason| malformed(reason.to_owned()))
                }
                None => Ok(()),
            };
            let dictionaries = self.dictionaries.iter().map(|(_, bytes)| bytes.as_slice());
            let parts = [self.schema_message.as_slice()];
            let parts: Vec<&[u8]> = parts.into_iter().chain(dictionaries).collect();
            let stream = [&parts.concat()[..], &whole.bytes, &END].concat();
            let row = self.rows;
            self.batches += 1;
            self.rows = row.saturating_add_unsigned(rows as u64);
            return Ok(Some(InputBatch {
                stream: stream.into(),
                number: batch,
                rows,
                row,
                unpacked: unpacked.err().map(|error| error.to_string()),
            }));
        }
        Ok(None)
    }
}

/// A record batch of the input.
pub struct InputBatch {
    /// A stream of this batch alone.
    stream: Bytes,
    number: u64,
    rows: usize,
    /// The number of its first row in the whole input.
    row: i64,
    /// Why its compressed buffers cannot be decoded.
    unpacked: Option<String>,
}

impl InputBatch {
    /// The number of its rows, as the batch states it; [`InputBatch::records`] checks it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of its first row, counted over all batches.
    pub fn first_row(&self) -> i64 {
        self.row
    }

    /// Its rows as documents, one record for each.
    ///
    /// # Errors
    /// If the batch is damaged.
    pub fn records(
        &self,
        shard: &str,
        options: &ReadOptions,
    ) -> Result<Vec<Record>, ExchangeError> {
        let malformed = |reason: String| ExchangeError::Malformed {
            batch: self.number,
            reason,
        };
        let records = records_of_arrow(self.stream.clone(), self.row, shard, options);
        let records = records.map_err(|error| malformed(error.to_string()))?;
        match records.len() == self.rows {
            true => Ok(records),
            false => Err(malformed(format!(
                "expected {} rows, as the batch states, got {}",
                self.rows,
                records.len()
            ))),
        }
    }

    /// The columns that are passed through.
    ///
    /// # Errors
    /// If Arrow cannot decode them.
    pub fn columns(&self, passed: &Passed) -> Result<Vec<ArrayRef>, ExchangeError> {
        let indices = &passed.indices;
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let wrong = |source| ExchangeError::Columns {
            batch: self.number,
            source,
        };
        if let Some(reason) = &self.unpacked {
            return Err(wrong(ArrowError::IpcError(reason.clone())));
        }
        let decode = || {
            let stream = Cursor::new(self.stream.clone());
            let mut reader = StreamReader::try_new(stream, Some(indices.to_vec()))?;
            reader.next().transpose()
        };
        let decoded = rho_files::caught(decode);
        let panicked = |what| wrong(ArrowError::IpcError(format!("the decoder failed: {what}")));
        let batch = decoded.map_err(panicked)?.map_err(wrong)?;
        match batch {
            Some(batch) if batch.num_rows() == self.rows => Ok(batch.columns().to_vec()),
            _ => Err(wrong(ArrowError::IpcError(
                "a batch of other rows".to_owned(),
            ))),
        }
    }
}

/// Refuses compressed buffers that state to be larger than memory allows: Arrow allocates what they state.
fn must_unpack(batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), &'static str> {
    let mut all = 0_u64;
    for buffer in batch.buffers().iter().flatten() {
        let range = ipc::buffer_range(buffer, body.len() as u64);
        let range = range.map_err(|_| "a buffer is outside its message")?;
        let bytes = &body[range.start as usize..range.end as usize];
        let Some((length, _)) = bytes.split_first_chunk() else {
            continue;
        };
        match Announced::of(*length) {
            Some(Announced::Plain) => {}
            Some(Announced::Compressed(length)) => all = all.saturating_add(length),
            None => return Err("a compressed buffer of negative length"),
        }
    }
    match all <= MOST_UNPACKED {
        true => Ok(()),
        false => Err("expected compressed buffers of at most 2 GiB, got larger ones"),
    }
}

/// The bytes before the flatbuffer of a message: its length, and the marker before it in all but very old streams.
fn prefix(message: &[u8]) -> usize {
    match message.starts_with(&ipc::CONTINUATION) {
        true => 8,
        false => 4,
    }
}

/// The next message with its body; none at the end mark, or where the input ends between two messages.
fn next_message(input: &mut impl Read, batch: u64) -> Result<Option<Whole>, ExchangeError> {
    let malformed = |reason: String| ExchangeError::Malformed { batch, reason };
    let short = || malformed("the input ends inside a message".to_owned());
    let mut bytes = Vec::new();
    match read(input, &mut bytes, 4)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(short()),
    }
    let mut word = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let marked = word == ipc::CONTINUATION;
    if marked {
        if read(input, &mut bytes, 4)? < 4 {
            return Err(short());
        }
        word = [bytes[4], bytes[5], bytes[6], bytes[7]];
    }
    let length = u64::from(u32::from_le_bytes(word));
    if length == 0 && marked {
        return Ok(None);
    }
    // Streams of before 2019 end with zeros. So may damaged ones, which would lose their rows without a word.
    if length == 0 {
        return Err(malformed("expected a message, got zeros".to_owned()));
    }
    if length > MOST_MESSAGE {
        return Err(malformed(format!(
            "expected a message of at most {MOST_MESSAGE} bytes, got one of {length}: these are no bytes of an Arrow stream"
        )));
    }
    let start = bytes.len();
    if read(input, &mut bytes, length)? < length {
        return Err(short());
    }
    let end = bytes.len();
    let message = ipc::message(&bytes[start..end]).map_err(malformed)?;
    let body = u64::try_from(message.bodyLength());
    let body = body.map_err(|_| malformed("a message of negative length".to_owned()))?;
    if body > MOST_BATCH {
        return Err(malformed(format!(
            "expected a batch of at most {MOST_BATCH} bytes, got one of {body}: send smaller batches"
        )));
    }
    if read(input, &mut bytes, body)? < body {
        return Err(short());
    }
    Ok(Some(Whole {
        bytes,
        flatbuffer: start..end,
    }))
}

/// Adds the next `length` bytes to a buffer; fewer at the end of the input. Returns how many.
fn read(input: &mut impl Read, into: &mut Vec<u8>, length: u64) -> Result<u64, ExchangeError> {
    let read = io::Read::take(input, length).read_to_end(into);
    let read = read.map_err(|source| ExchangeError::Read { source })?;
    Ok(read as u64)
}
