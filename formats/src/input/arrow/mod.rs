//! Takes an Arrow IPC file or stream, yields a document per row. Reads only the requested columns.
//!
//! Arrow's own readers hold whole batches. Here [`crate::ipc`] parses the messages, and each value is read from its
//! buffer when it is requested, see `column`. A truncated or compressed file is read like the stream inside it. Batches
//! of an uncompressed file need the same memory whatever their size; of batches from a pipe or a compressed file, the
//! requested columns are held in memory.

mod column;
mod messages;
mod schema;
mod source;

use std::io;
use std::sync::Arc;

use arrow_ipc::{MetadataVersion, root_as_footer};
use bytes::Bytes;
use tokio::runtime::Handle;

use super::ReadOptions;
use super::compression::Plain;
use super::error::{cut_short, malformed};
use super::ranges::Ranges;
use super::worker::Sink;
use messages::Messages;
use source::Source;

use crate::ipc;

/// The first bytes of an Arrow file: its magic and two bytes of padding. The stream in it follows.
pub(super) const FILE: &[u8] = b"ARROW1\0\0";
/// Longer messages, in bytes, are refused as malformed.
const LARGEST_MESSAGE: usize = 256 << 20;
/// The source of the bytes of an Arrow file or stream.
pub(super) enum Input {
    /// A file.
    Ranges(Arc<Ranges>),
    /// A stream that a runtime reads.
    Stream(Plain, Handle),
}

/// Reads all rows. Calls `progress` with the byte offset reached in a file.
pub(super) fn read(
    input: Input,
    shard: &str,
    options: &ReadOptions,
    progress: &dyn Fn(u64),
    sink: &mut Sink,
) -> io::Result<()> {
    let mut messages = Messages::new(options);
    let mut source = match input {
        Input::Ranges(ranges) => {
            if let Some(footer) = footer(&ranges) {
                return file(&ranges, &footer, messages, shard, progress, sink);
            }
            Source::Ranges(ranges, 0)
        }
        Input::Stream(plain, handle) => Source::Stream(plain, handle),
    };
    let mut at_start = true;
    loop {
        if let Source::Ranges(_, position) = &source {
            progress(*position);
        }
        let start = source.read(4);
        let start = start.map_err(|error| ends_early(error, "it ends without an end mark"))?;
        let begins = std::mem::take(&mut at_start) && start == FILE[..4];
        let word = match begins {
            true => {
                source.read(4)?;
                source.read(4)?
            }
            false => start,
        };
        let Some(message) = message(word, &mut source)? else {
            return Ok(());
        };
        if !messages.take(&message, &mut source, shard, sink)? {
            return Ok(());
        }
    }
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

/// The footer of a file. None for streams and truncated files.
fn footer(ranges: &Ranges) -> Option<Bytes> {
    const TAIL: usize = 10;
    let begins = ranges.read(0, FILE.len()).ok()? == FILE;
    let end = ranges.length().checked_sub(TAIL as u64)?;
    let tail = ranges.read(end, TAIL).ok()?;
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let start = end.checked_sub(u64::from(length))?;
    let whole = begins && tail[4..] == FILE[..6] && length as usize <= LARGEST_MESSAGE;
    whole.then(|| ranges.read(start, length as usize).ok())?
}

fn ends_early(error: io::Error, what: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => cut_short(what),
        _ => error,
    }
}
