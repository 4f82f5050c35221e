//! Takes the bytes of an Arrow IPC stream or file, yields its schema and record batches. Knows the data types of mask files,
//! not their columns: see `schema`.
//!
//! All offsets and lengths in a message are checked against the file before Arrow decodes it (see [`crate::ipc`]). A
//! stream must have its end mark: Arrow's own reader accepts one that was truncated between two batches.
//!
//! An Arrow file is a stream between a magic number and a footer. The batches are read as those of a stream, in their
//! order; the footer is only passed over, so nothing in it is trusted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::{CompressionType, Message};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use super::top::valid_width;
use crate::ipc::{self, Announced};

/// In Arrow's format, buffers start at multiples of this in the body.
const ALIGNMENT: u64 = 8;

/// The most bytes that the buffers of a batch may decompress to: a document of 300 million tokens fits.
const MOST_UNPACKED: u64 = 1 << 32;

/// What an Arrow file starts with, before zeros up to a multiple of 8 (pyarrow) or of 64 (arrow-rs); and what it ends
/// with, after the length of the footer.
pub(super) const FILE_MAGIC: &[u8] = b"ARROW1";
/// Where the stream in an Arrow file starts at the latest.
const LONGEST_HEAD: u64 = 64;

/// Where the messages may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the end mark; other bytes may follow.
    Mark,
    /// At the end mark, which is followed by the footer.
    MarkBeforeFooter,
    /// Between two batches, because the stream is still being written.
    Unfinished,
}

/// The record batches of one stream.
pub(super) struct Frames {
    file: BufReader<File>,
    /// The unread bytes of the file. No message can be longer.
    left: u64,
    end: End,
    schema: SchemaRef,
    /// The item size of each buffer of a batch, in bytes.
    widths: Vec<u64>,
    /// The indices of each column's buffers.
    columns: Vec<Range<usize>>,
    /// Whether the buffers of the last batch read are compressed.
    compressed: bool,
}

impl Frames {
    /// The unread bytes of the file.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads the schema, which comes first.
    pub(super) fn open(file: File) -> Result<Self, ArrowError> {
        let left = file.metadata()?.len();
        Self::with(file, left, End::Mark)
    }

    /// Opens an Arrow file. Its messages must end where its footer starts.
    pub(super) fn open_file(mut file: File) -> Result<Self, ArrowError> {
        let length = file.metadata()?.len();
        let mut tail = [0; 4 + FILE_MAGIC.len()];
        let before_tail = length.checked_sub(tail.len() as u64);
        let before_tail = before_tail.ok_or_else(|| wrong("an Arrow file with a footer"))?;
        file.seek(SeekFrom::Start(before_tail))?;
        file.read_exact(&mut tail)?;
        let (footer, magic) = tail.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let footer = u64::from(u32::from_le_bytes(*footer));
        let footer_start = before_tail.checked_sub(footer);
        let Some(end) = footer_start.filter(|_| magic == FILE_MAGIC) else {
            return Err(wrong("an Arrow file that ends with its footer"));
        };
        let mut start = FILE_MAGIC.len().next_multiple_of(ALIGNMENT as usize) as u64;
        file.seek(SeekFrom::Start(start))?;
        let mut word = [0; ALIGNMENT as usize];
        while start < LONGEST_HEAD {
            file.read_exact(&mut word)?;
            if word != [0; ALIGNMENT as usize] {
                break;
            }
            start += ALIGNMENT;
        }
        file.seek(SeekFrom::Start(start))?;
        let left = end.checked_sub(start);
        let left = left.ok_or_else(|| wrong("messages before the footer"))?;
        Self::with(file, left, End::MarkBeforeFooter)
    }

    /// Opens the first `bytes` bytes of a stream that is still being written. They must end with a batch.
    pub(super) fn open_beginning(file: File, bytes: u64) -> Result<Self, ArrowError> {
        if file.metadata()?.len() < bytes {
            return Err(wrong("a file that does not shrink"));
        }
        Self::with(file, bytes, End::Unfinished)
    }

    fn with(file: File, mut left: u64, end: End) -> Result<Self, ArrowError> {
        let mut file = BufReader::new(file);
        let frame = read_message(&mut file, &mut left)?.ok_or_else(|| wrong("a schema"))?;
        let schema = frame
            .message()?
            .header_as_schema()
            .ok_or_else(|| wrong("a schema"))?;
        let schema: SchemaRef = try_fb_to_schema(schema)?.into();
        let body = frame.message()?.bodyLength();
        read_body(&mut file, &mut left, body, None)?;
        let (mut widths, mut columns) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            let first = widths.len();
            add_column_widths(field.data_type(), &mut widths)?;
            columns.push(first..widths.len());
        }
        Ok(Self {
            file,
            left,
            end,
            schema,
            widths,
            columns,
            compressed: false,
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the buffers of the last batch read are compressed.
    pub(super) fn compressed(&self) -> bool {
        self.compressed
    }

    /// The next batch; none at the end mark.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.next_of(None)
    }

    /// Skips the next batch and returns its number of rows; none at the end mark.
    pub(super) fn skip(&mut self) -> Result<Option<usize>, ArrowError> {
        let Some(frame) = self.next_message()? else {
            return Ok(None);
        };
        let message = frame.message()?;
        let batch = message.header_as_record_batch();
        let rows = batch.and_then(|batch| usize::try_from(batch.length()).ok());
        let rows = rows.ok_or_else(|| wrong("a record batch"))?;
        read_body(
            &mut self.file,
            &mut self.left,
            message.bodyLength(),
            Some(&[]),
        )?;
        Ok(Some(rows))
    }

    /// The next batch with only the columns at these indices, in ascending order; the bytes of others are skipped.
    pub(super) fn next_of(
        &mut self,
        only: Option<&[usize]>,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let Some((frame, places)) = self.next_places()? else {
            return Ok(None);
        };
        let message = frame.message()?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| wrong("a record batch"))?;
        let wanted: Vec<usize> = match only {
            None => (0..places.len()).collect(),
            Some(only) => only.iter().flat_map(|&i| self.columns[i].clone()).collect(),
        };
        let ranges: Vec<Range<usize>> = wanted.iter().map(|&i| places[i].clone()).collect();
        let some = only.is_some().then_some(&ranges[..]);
        let body = read_body(&mut self.file, &mut self.left, message.bodyLength(), some)?;
        let mut unpacked = 0;
        for (&i, range) in wanted.iter().zip(ranges) {
            if self.compressed && !range.is_empty() {
                let length = unpacked_length(&body[range])?;
                unpacked += length;
                if !length.is_multiple_of(self.widths[i]) || unpacked > MOST_UNPACKED {
                    return Err(wrong("buffers of whole items, and not too many"));
                }
            }
        }
        // Mask files have no dictionaries: a dictionary is a message of its own, which is refused above.
        let (schema, none) = (self.schema.clone(), HashMap::new());
        read_record_batch(&body, batch, schema, &none, only, &message.version()).map(Some)
    }

    /// The layout of the next batch; its bytes are skipped.
    pub(super) fn next_layout(&mut self) -> Result<Option<Layout>, ArrowError> {
        let Some((frame, places)) = self.next_places()? else {
            return Ok(None);
        };
        let message = frame.message()?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| wrong("a record batch"))?;
        let body = self.file.stream_position()?;
        let length = message.bodyLength();
        // Checked before the seek, which can go beyond the end of a truncated file.
        let rest = u64::try_from(length)
            .ok()
            .and_then(|length| self.left.checked_sub(length));
        self.left = rest.ok_or_else(|| wrong("a message that ends within the file"))?;
        self.file.seek_relative(length)?;
        let nodes = batch.nodes().unwrap_or_default();
        let nulls = nodes.iter().map(|node| node.null_count() > 0).collect();
        let buffers = places.into_iter();
        Ok(Some(Layout {
            rows: batch.length() as usize,
            nulls,
            buffers: buffers
                .map(|place| body + place.start as u64..body + place.end as u64)
                .collect(),
        }))
    }

    /// The indices of a column's buffers in a [`Layout`].
    pub(super) fn buffers_of(&self, column: usize) -> Range<usize> {
        self.columns[column].clone()
    }

    /// The next message; none at the end.
    fn next_message(&mut self) -> Result<Option<Frame>, ArrowError> {
        if self.end == End::Unfinished && self.left == 0 {
            return Ok(None);
        }
        let message = read_message(&mut self.file, &mut self.left)?;
        if message.is_none() && self.end == End::MarkBeforeFooter && self.left > 0 {
            return Err(wrong("an end mark just before the footer"));
        }
        Ok(message)
    }

    /// The message of the next batch, and the ranges of its buffers in the body that follows it.
    fn next_places(&mut self) -> Result<Option<Placed>, ArrowError> {
        let Some(frame) = self.next_message()? else {
            return Ok(None);
        };
        let message = frame.message()?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| wrong("a record batch"))?;
        let length = u64::try_from(message.bodyLength()).unwrap_or(0);
        let buffers = batch.buffers().unwrap_or_default();
        if buffers.len() != self.widths.len() {
            return Err(wrong("a buffer for each column"));
        }
        // Arrow calculates with these numbers before it checks them against the buffers.
        let counts = |length: i64, nulls: i64| {
            (0..=i64::from(i32::MAX)).contains(&length) && (0..=length).contains(&nulls)
        };
        let nodes = batch.nodes().unwrap_or_default();
        let mut nodes = nodes
            .iter()
            .map(|node| counts(node.length(), node.null_count()));
        if !counts(batch.length(), 0) || nodes.any(|fits| !fits) {
            return Err(wrong("columns of a valid length"));
        }
        self.compressed = match batch.compression() {
            None => false,
            Some(compression) if compression.codec() == CompressionType::ZSTD => true,
            Some(_) => return Err(wrong("buffers uncompressed or compressed with Zstandard")),
        };
        let mut places = Vec::with_capacity(buffers.len());
        for (buffer, width) in buffers.iter().zip(&self.widths) {
            let place = ipc::buffer_range(buffer, length).ok();
            let whole = |place: &Range<u64>| {
                place.start.is_multiple_of(ALIGNMENT)
                    && (self.compressed || (place.end - place.start).is_multiple_of(*width))
            };
            let place = place.filter(whole);
            let place =
                place.ok_or_else(|| wrong("buffers of whole items inside their message"))?;
            places.push(place.start as usize..place.end as usize);
        }
        Ok(Some((frame, places)))
    }
}

/// A message, and the ranges of its buffers in the body that follows it.
type Placed = (Frame, Vec<Range<usize>>);

/// The byte ranges of a batch in its file.
pub(super) struct Layout {
    /// The number of documents.
    pub(super) rows: usize,
    /// Whether each node has nulls. The nodes are the columns; a list column is followed by its items (see [`nodes`]).
    pub(super) nulls: Vec<bool>,
    /// The byte ranges of its buffers in the file.
    pub(super) buffers: Vec<Range<u64>>,
}

/// The decompressed length of a buffer. Checks the length that the buffer states, because Arrow allocates that much.
fn unpacked_length(buffer: &[u8]) -> Result<u64, ArrowError> {
    let Some((length, packed)) = buffer.split_first_chunk() else {
        return Err(wrong("the length of a compressed buffer"));
    };
    match Announced::of(*length) {
        Some(Announced::Plain) => Ok(packed.len() as u64),
        Some(Announced::Compressed(0)) => Ok(0),
        Some(Announced::Compressed(length)) if length <= MOST_UNPACKED => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?.take(length + 1);
            let got = std::io::copy(&mut decoder, &mut std::io::sink())?;
            (got == length)
                .then_some(got)
                .ok_or_else(|| wrong("a compressed buffer of the length it states"))
        }
        _ => Err(wrong("a compressed buffer of a valid length")),
    }
}

/// Adds the item sizes of the buffers of a whole column. Another program may have put columns of numbers, dates or times
/// beside those of masks.
pub(super) fn add_column_widths(kind: &DataType, widths: &mut Vec<u64>) -> Result<(), ArrowError> {
    const BITS: u64 = 1;
    match kind.primitive_width() {
        Some(width) => widths.extend([BITS, width as u64]),
        None => add_widths(kind, widths)?,
    }
    Ok(())
}

/// Adds the item sizes of a column's buffers, in the order of Arrow's format.
fn add_widths(kind: &DataType, widths: &mut Vec<u64>) -> Result<(), ArrowError> {
    const BITS: u64 = 1;
    const OFFSET: u64 = 4;
    match kind {
        DataType::Boolean => widths.extend([BITS, BITS]),
        DataType::UInt8 => widths.extend([BITS, 1]),
        DataType::Float16 => widths.extend([BITS, 2]),
        DataType::Int32 | DataType::Float32 => widths.extend([BITS, 4]),
        DataType::Int64 => widths.extend([BITS, 8]),
        DataType::Utf8 => widths.extend([BITS, OFFSET, 1]),
        DataType::List(item) => {
            widths.extend([BITS, OFFSET]);
            add_widths(item.data_type(), widths)?;
        }
        // Their items have no offsets: Arrow finds them by the length.
        DataType::FixedSizeList(item, width) if valid_width(*width).is_some() => {
            widths.push(BITS);
            add_widths(item.data_type(), widths)?;
        }
        other => return Err(wrong(&format!("types of mask files, got {other}"))),
    }
    Ok(())
}

/// The number of nodes of a column.
pub(super) fn nodes(kind: &DataType) -> usize {
    match kind {
        DataType::List(item) | DataType::FixedSizeList(item, _) => 1 + nodes(item.data_type()),
        _ => 1,
    }
}

/// A message, without the data that follows it.
struct Frame {
    message: Vec<u8>,
}

impl Frame {
    fn message(&self) -> Result<Message<'_>, ArrowError> {
        ipc::message(&self.message).map_err(ArrowError::ParseError)
    }
}

/// Allocates a buffer for the next `length` bytes of the file, if that many are left.
fn take(left: &mut u64, length: i64) -> Result<MutableBuffer, ArrowError> {
    let rest = u64::try_from(length)
        .ok()
        .and_then(|length| left.checked_sub(length));
    *left = rest.ok_or_else(|| wrong("a message that ends within the file"))?;
    Ok(MutableBuffer::from_len_zeroed(length as usize))
}

/// The next message; none at the end mark.
fn read_message(file: &mut BufReader<File>, left: &mut u64) -> Result<Option<Frame>, ArrowError> {
    let mut read = |length: i64| {
        let mut bytes = take(left, length)?;
        file.read_exact(&mut bytes)?;
        Ok::<_, ArrowError>(bytes)
    };
    let mut word = || {
        let mut word = [0; 4];
        word.copy_from_slice(&read(4)?);
        Ok::<_, ArrowError>(word)
    };
    let first = word()?;
    let Some(length) = ipc::message_length(first, word)? else {
        return Ok(None);
    };
    let message = read(length.into())?.as_slice().to_vec();
    Ok(Some(Frame { message }))
}

/// The body of a message. With `only`, reads these ranges; the rest is skipped and stays zero.
fn read_body(
    file: &mut BufReader<File>,
    left: &mut u64,
    length: i64,
    only: Option<&[Range<usize>]>,
) -> Result<Buffer, ArrowError> {
    let mut body = take(left, length)?;
    let Some(ranges) = only else {
        file.read_exact(&mut body)?;
        return Ok(body.into());
    };
    let mut at = 0;
    for range in ranges {
        file.seek_relative(range.start as i64 - at as i64)?;
        file.read_exact(&mut body[range.clone()])?;
        at = range.end;
    }
    file.seek_relative(length - at as i64)?;
    Ok(body.into())
}

pub(super) fn wrong(expected: &str) -> ArrowError {
    ArrowError::IpcError(format!("expected {expected}"))
}
