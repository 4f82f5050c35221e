//! Takes an Arrow IPC file or stream, yields a document per row. Reads only the requested columns.
//!
//! Arrow's own readers hold whole batches. Here [`crate::ipc`] parses the messages, and each value is read from its
//! buffer when it is requested, see `column`; `nested` for lists of objects. A truncated or compressed file is read like the stream inside it, and so
//! are files and streams that were joined (`cat a.arrow b.arrow`): the offsets of a joined file's footer are wrong.
//! Batches of an uncompressed file need the same memory whatever their size; of batches from a pipe or a compressed file, the
//! requested columns are held in memory.

mod column;
mod messages;
mod nested;
mod schema;
mod source;

use std::io;
use std::sync::Arc;

use arrow_ipc::{Block, MetadataVersion, root_as_footer};
use bytes::Bytes;
use tokio::runtime::Handle;

use super::ReadOptions;
use super::compression::Plain;
use super::error::{UnsupportedForm, cut_short, malformed, unsupported};
use super::ranges::Ranges;
use super::worker::Sink;
use messages::Messages;
use source::Source;

use crate::ipc::{self, CONTINUATION};

/// The first bytes of an Arrow file: its magic and two bytes of padding. The stream in it follows.
pub(super) const FILE: &[u8] = b"ARROW1\0\0";
/// The first bytes of a file of Feather version 1, which is not Arrow IPC.
const FEATHER_1: &[u8] = b"FEA1\0\0\0\0";
/// The most bytes between the last batch of a file and its footer: an end mark, and padding.
const MOST_BEFORE_FOOTER: u64 = 64;
/// The most zeros between the magic number of a file and its schema.
const MOST_PADDING: usize = 1024;
/// Longer messages, in bytes, are refused as malformed.
const LARGEST_MESSAGE: usize = 256 << 20;
/// The source of the bytes of an Arrow file or stream.
pub(super) enum Input {
    /// A file.
    Ranges(Arc<Ranges>),
    /// A stream that a runtime reads.
    Stream(Plain, Handle),
}

/// Whether a file is one of Feather version 1, which is read only to be refused.
pub(super) fn is_old(head: &[u8]) -> bool {
    head.starts_with(FEATHER_1)
}

/// Why a field that every row must have is in no column of this schema: the flatbuffer of a schema's message. None if all
/// are there, or the message is none: reading says so.
pub(super) fn missing(schema: &[u8], options: &ReadOptions) -> Option<String> {
    let message = ipc::message(schema).ok()?;
    let mut messages = Messages::new(options);
    messages
        .schema(message.header_as_schema()?, message.version())
        .ok()?;
    messages.missing()
}

/// Reads all rows. Calls `progress` with the byte offset reached in a file.
pub(super) fn read(
    input: Input,
    shard: &str,
    options: &ReadOptions,
    progress: &dyn Fn(u64),
    sink: &mut Sink,
) -> io::Result<()> {
    let mut source = match input {
        Input::Ranges(ranges) => {
            if let Some(footer) = footer(&ranges)? {
                let messages = Messages::new(options);
                return file(&ranges, &footer, messages, shard, progress, sink);
            }
            Source::Ranges(ranges, 0)
        }
        Input::Stream(plain, handle) => Source::Stream(plain, handle),
    };
    let mut start = Some(source.read(4).map_err(ends_early)?);
    while let Some(word) = start {
        let mut messages = Messages::new(options);
        if !stream(word, &mut source, &mut messages, shard, progress, sink)? {
            return Ok(());
        }
        start = behind(&mut source)?;
    }
    Ok(())
}

/// The first word of the stream or file behind another; none at the end of the input. Writers may pad a stream.
fn behind(source: &mut Source) -> io::Result<Option<Bytes>> {
    source.pass_zeros()?;
    let word = source.up_to(4)?;
    if word.is_empty() {
        return Ok(None);
    }
    if word == CONTINUATION[..] || word == FILE[..4] {
        return Ok(Some(word));
    }
    let what =
        "expected the end of the file behind its end mark, got bytes that are no Arrow stream";
    Err(malformed(what))
}

/// Reads one stream, which starts with the word `first`, or the stream in a file and the footer behind it. False if the
/// receiver has closed.
fn stream(
    first: Bytes,
    source: &mut Source,
    messages: &mut Messages<'_>,
    shard: &str,
    progress: &dyn Fn(u64),
    sink: &mut Sink,
) -> io::Result<bool> {
    if first == FEATHER_1[..4] {
        return Err(unsupported(UnsupportedForm::Feather1));
    }
    let is_file = first == FILE[..4];
    let mut word = match is_file {
        true => {
            source.read(FILE.len() - 4)?;
            first_word(source)?
        }
        false => first,
    };
    while let Some(message) = message(word, source)? {
        if let Source::Ranges(_, position) = &source {
            progress(*position);
        }
        if !messages.take(&message, source, shard, sink)? {
            return Ok(false);
        }
        word = source.read(4).map_err(ends_early)?;
    }
    if is_file {
        source.pass_footer(&FILE[..6])?;
    }
    Ok(true)
}

/// The first word behind the magic number of a file, and behind the zeros that align what follows: some writers align it
/// to 64 bytes.
fn first_word(source: &mut Source) -> io::Result<Bytes> {
    for _ in 0..MOST_PADDING / 4 {
        let word = source.read(4)?;
        if word.iter().any(|byte| *byte != 0) {
            return Ok(word);
        }
    }
    Err(malformed("expected a schema first, got zeros"))
}

/// Reads a complete file by its footer: not all writers put a valid stream before the footer.
fn file(
    ranges: &Arc<Ranges>,
    footer: &[u8],
    mut messages: Messages<'_>,
    shard: &str,
    progress: &dyn Fn(u64),
    sink: &mut Sink,
) -> io::Result<()> {
    let footer =
        root_as_footer(footer).map_err(|error| malformed(format!("not a footer: {error}")))?;
    let schema = footer.schema();
    let schema = schema.ok_or_else(|| malformed("a footer without a schema"))?;
    messages.schema(schema, footer.version().max(MetadataVersion::V4))?;
    let dictionaries = footer.dictionaries().unwrap_or_default();
    let batches = footer.recordBatches().unwrap_or_default();
    for block in dictionaries.iter().chain(batches) {
        let start = u64::try_from(block.offset());
        let start = start.map_err(|_| malformed("a batch before the file"))?;
        progress(start);
        let mut source = Source::Ranges(Arc::clone(ranges), start);
        let word = source.read(4)?;
        let message = message(word, &mut source)?;
        let message = message.ok_or_else(|| malformed("expected a batch, got an end mark"))?;
        if !messages.take(&message, &mut source, shard, sink)? {
            return Ok(());
        }
    }
    progress(ranges.length());
    Ok(())
}

/// The message that starts with the word `first`; none at the end mark.
fn message(first: Bytes, source: &mut Source) -> io::Result<Option<Bytes>> {
    let word = |bytes: Bytes| [bytes[0], bytes[1], bytes[2], bytes[3]];
    let length = ipc::message_length(word(first), || source.read(4).map(word))?;
    match length.map(|length| length as usize) {
        None => Ok(None),
        Some(length) if length > LARGEST_MESSAGE => Err(malformed("a message that is too long")),
        Some(length) => source.read(length).map(Some),
    }
}

/// The footer of a file. None for streams, truncated files and joined files.
fn footer(ranges: &Arc<Ranges>) -> io::Result<Option<Bytes>> {
    const TAIL: u64 = 10;
    let begin = ranges.length().min(FILE.len() as u64) as usize;
    let Some(end) = ranges.length().checked_sub(TAIL) else {
        return Ok(None);
    };
    let tail = ranges.read(end, TAIL as usize)?;
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let whole = ranges.read(0, begin)? == FILE && tail[4..] == FILE[..6];
    let Some(start) = end.checked_sub(u64::from(length)) else {
        return Ok(None);
    };
    if !whole || length as usize > LARGEST_MESSAGE {
        return Ok(None);
    }
    let footer = ranges.read(start, length as usize)?;
    let data_end = data_end(ranges, &footer);
    let gap = data_end.and_then(|end| start.checked_sub(end));
    // If its batches do not end here, it is the footer of a file that was joined to another.
    let is_alone = gap.is_none_or(|gap| gap <= MOST_BEFORE_FOOTER);
    Ok(is_alone.then_some(footer))
}

/// Where the last batch of a file ends, by its footer; in a file without batches, its schema. None if the footer is
/// invalid, which is reported when the file is read by it.
fn data_end(ranges: &Arc<Ranges>, footer: &[u8]) -> Option<u64> {
    let footer = root_as_footer(footer).ok()?;
    let dictionaries = footer.dictionaries().unwrap_or_default();
    let batches = footer.recordBatches().unwrap_or_default();
    let end = |block: &Block| {
        let lengths = i64::from(block.metaDataLength()).checked_add(block.bodyLength())?;
        u64::try_from(block.offset().checked_add(lengths)?).ok()
    };
    let ends: Option<Vec<u64>> = dictionaries.iter().chain(batches).map(end).collect();
    match ends?.into_iter().max() {
        Some(end) => Some(end),
        None => {
            let mut source = Source::Ranges(Arc::clone(ranges), FILE.len() as u64);
            let word = first_word(&mut source).ok()?;
            message(word, &mut source).ok()?;
            match source {
                Source::Ranges(_, position) => Some(position),
                Source::Stream(..) => None,
            }
        }
    }
}

/// The end of the input where another message was expected.
fn ends_early(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => {
            cut_short("it ends without an end mark")
        }
        _ => error,
    }
}
