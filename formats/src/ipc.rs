//! The layout of Arrow IPC messages: their lengths, the ranges of their buffers, and the header of compressed buffers.
//! Both readers use it: `masks::frames`, whose batches Arrow decodes, and `input::arrow`, which reads value by value.
//!
//! ```text
//! message   FF FF FF FF │ length i32 │ flatbuffer │ body: buffers at multiples of 8      an end mark has length 0
//! buffer    plain bytes, or: uncompressed length i64 (-1: not compressed) │ compressed bytes
//! ```
//!
//! Arrow's own readers trust lengths and offsets, and panic if they are wrong (as of version 60). Nothing here does.

use std::ops::Range;

use arrow_ipc::{Buffer, Message, root_as_message};

/// The marker before the length of a message, except in very old streams.
pub(crate) const CONTINUATION: [u8; 4] = [0xff; 4];

/// The length of the message that starts with `word`; none at the end mark. `next` reads the next four bytes.
///
/// # Errors
/// Those of `next`.
pub(crate) fn message_length<E>(
    word: [u8; 4],
    next: impl FnOnce() -> Result<[u8; 4], E>,
) -> Result<Option<u32>, E> {
    let word = match word {
        CONTINUATION => next()?,
        word => word,
    };
    let length = u32::from_le_bytes(word);
    Ok((length > 0).then_some(length))
}

/// A message whose flatbuffer has been verified.
///
/// # Errors
/// If the flatbuffer is invalid: the reason.
pub(crate) fn message(bytes: &[u8]) -> Result<Message<'_>, String> {
    root_as_message(bytes).map_err(|error| format!("not a message: {error}"))
}

/// Why a buffer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// Its offset or length is negative.
    Negative,
    /// It ends after the body.
    Outside,
}

/// The byte range of a buffer in a body of `body` bytes.
pub(crate) fn buffer_range(buffer: &Buffer, body: u64) -> Result<Range<u64>, Misplaced> {
    let offset = u64::try_from(buffer.offset());
    let length = u64::try_from(buffer.length());
    let (Ok(offset), Ok(length)) = (offset, length) else {
        return Err(Misplaced::Negative);
    };
    match offset.checked_add(length) {
        Some(end) if end <= body => Ok(offset..end),
        _ => Err(Misplaced::Outside),
    }
}

/// The first eight bytes of a compressed buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The rest is not compressed, because compression would have made it longer.
    Plain,
    /// The rest should decompress to this many bytes. Not checked.
    Compressed(u64),
}

impl Announced {
    /// None for an invalid length.
    pub(crate) fn of(length: [u8; 8]) -> Option<Self> {
        match i64::from_le_bytes(length) {
            -1 => Some(Self::Plain),
            length => u64::try_from(length).ok().map(Self::Compressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(words: [[u8; 4]; 2]) -> Option<u32> {
        message_length(words[0], || Ok::<_, ()>(words[1])).unwrap()
    }

    #[test]
    fn messages_begin_with_a_mark_or_with_their_length() {
        let (none, eight) = ([0; 4], [8, 0, 0, 0]);
        assert_eq!(length([CONTINUATION, eight]), Some(8));
        assert_eq!(length([eight, none]), Some(8));
        assert_eq!(length([CONTINUATION, none]), None);
        assert_eq!(length([none, eight]), None);
    }

    #[test]
    fn buffers_lie_in_their_body() {
        let range = |offset, length| buffer_range(&Buffer::new(offset, length), 64);
        assert_eq!(range(8, 56), Ok(8..64));
        assert_eq!(range(64, 0), Ok(64..64));
        assert_eq!(range(8, 57), Err(Misplaced::Outside));
        assert_eq!(range(i64::MAX, i64::MAX), Err(Misplaced::Outside));
        assert_eq!(range(-8, 8), Err(Misplaced::Negative));
        assert_eq!(range(8, -1), Err(Misplaced::Negative));
    }

    #[test]
    fn a_compressed_buffer_announces_its_length() {
        let announced = |length: i64| Announced::of(length.to_le_bytes());
        assert_eq!(announced(-1), Some(Announced::Plain));
        assert_eq!(announced(0), Some(Announced::Compressed(0)));
        assert_eq!(announced(12), Some(Announced::Compressed(12)));
        assert_eq!(announced(-2), None);
    }
}
