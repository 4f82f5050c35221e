//! Takes a file of any length or a stream, yields the parts of Arrow messages. Of a file, only the requested parts are
//! read, in small chunks; of a stream, the other parts are skipped.

use std::io::{self, Read};
use std::sync::Arc;

use arrow_ipc::CompressionType;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::runtime::Handle;

use super::super::compression::Plain;
use super::super::error::{cut_short, malformed};
use super::super::ranges::{Ranges, Window};
use crate::ipc::Announced;

/// The most bytes of a compressed buffer per read.
const CHUNK: usize = 256 * 1024;

/// The source of the messages.
pub(super) enum Source {
    /// A file and the offset of the next read.
    Ranges(Arc<Ranges>, u64),
    /// A stream, read by a runtime on another thread.
    Stream(Plain, Handle),
}

impl Source {
    /// The next `length` bytes. Allocates only for bytes that exist.
    pub(super) fn read(&mut self, length: usize) -> io::Result<Bytes> {
        match self {
            Self::Ranges(ranges, position) => {
                let bytes = ranges.read(*position, length)?;
                *position += length as u64;
                Ok(bytes)
            }
            Self::Stream(plain, handle) => {
                let mut bytes = Vec::new();
                let mut part = plain.take(length as u64);
                if handle.block_on(part.read_to_end(&mut bytes))? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(bytes.into())
            }
        }
    }

    /// The next `length` bytes, or those that are left if they are fewer.
    pub(super) fn up_to(&mut self, length: usize) -> io::Result<Bytes> {
        match self {
            Self::Ranges(ranges, position) => {
                let left = ranges.length().saturating_sub(*position);
                let length = usize::try_from(left).unwrap_or(length).min(length);
                self.read(length)
            }
            Self::Stream(plain, handle) => {
                let mut bytes = Vec::new();
                handle.block_on(plain.take(length as u64).read_to_end(&mut bytes))?;
                Ok(bytes.into())
            }
        }
    }

    /// Passes over zeros.
    pub(super) fn pass_zeros(&mut self) -> io::Result<()> {
        loop {
            let (zeros, length) = match self {
                Self::Ranges(ranges, position) => {
                    let left = ranges.length().saturating_sub(*position);
                    let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                    let zeros = leading_zeros(&ranges.read(*position, length)?);
                    *position += zeros as u64;
                    (zeros, length)
                }
                Self::Stream(plain, handle) => {
                    let some = handle.block_on(plain.fill_buf())?;
                    let (zeros, length) = (leading_zeros(some), some.len());
                    plain.consume(zeros);
                    (zeros, length)
                }
            };
            if zeros < length || length == 0 {
                return Ok(());
            }
        }
    }

    /// Passes over the footer of a file, whose length is behind it, followed by `magic`.
    pub(super) fn pass_footer(&mut self, magic: &[u8]) -> io::Result<()> {
        /// Bytes of the length and the magic.
        const TAIL: usize = 10;
        let mut last = [0; TAIL];
        let mut passed = 0_u64;
        let mut ends = |byte: u8| {
            last.rotate_left(1);
            last[TAIL - 1] = byte;
            passed += 1;
            let length = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
            last[4..] == *magic && u64::from(length) + TAIL as u64 == passed
        };
        loop {
            let (end, length) = match self {
                Self::Ranges(ranges, position) => {
                    let left = ranges.length().saturating_sub(*position);
                    let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                    let some = ranges.read(*position, length)?;
                    let end = some.iter().position(|byte| ends(*byte));
                    *position += end.map_or(length, |end| end + 1) as u64;
                    (end, length)
                }
                Self::Stream(plain, handle) => {
                    let some = handle.block_on(plain.fill_buf())?;
                    let length = some.len();
                    let end = some.iter().position(|byte| ends(*byte));
                    plain.consume(end.map_or(length, |end| end + 1));
                    (end, length)
                }
            };
            match (end, length) {
                (Some(_), _) => return Ok(()),
                (None, 0) => return Err(cut_short("it ends inside its footer")),
                (None, _) => {}
            }
        }
    }

    /// The requested parts of the next message body, which has `length` bytes. `wanted` has their offsets and lengths,
    /// in order. Together they hold at most `most` bytes in memory.
    pub(super) fn body(
        &mut self,
        length: u64,
        wanted: &[(u64, u64)],
        most: usize,
    ) -> io::Result<Vec<Raw>> {
        let mut found = Vec::with_capacity(wanted.len());
        match self {
            Self::Ranges(ranges, position) => {
                let start = *position;
                *position = start.checked_add(length).ok_or_else(outside)?;
                // The length must be true: it limits the number of rows that a batch may claim.
                if *position > ranges.length() {
                    return Err(cut_short("it ends inside a message"));
                }
                for &(offset, length) in wanted {
                    found.push(Raw::At {
                        ranges: Arc::clone(ranges),
                        start: start.checked_add(offset).ok_or_else(outside)?,
                        length,
                    });
                }
            }
            Self::Stream(plain, handle) => {
                let mut position = 0;
                let mut held = 0_u64;
                let skip = |plain: &mut Plain, most: u64| {
                    let (mut part, mut sink) = (plain.take(most), tokio::io::sink());
                    let skipped = tokio::io::copy_buf(&mut part, &mut sink);
                    match handle.block_on(skipped)? == most {
                        true => Ok(()),
                        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    }
                };
                for &(offset, length) in wanted {
                    held += length;
                    if held > most as u64 {
                        return Err(malformed(format!(
                            "expected batches of at most {most} bytes in a stream, got a larger one"
                        )));
                    }
                    let before = offset.checked_sub(position);
                    skip(
                        plain,
                        before.ok_or_else(|| malformed("its buffers overlap"))?,
                    )?;
                    let mut bytes = Vec::new();
                    let mut part = plain.take(length);
                    if (handle.block_on(part.read_to_end(&mut bytes))? as u64) < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    found.push(Raw::Held(bytes.into()));
                    position = offset + length;
                }
                skip(plain, length.saturating_sub(position))?;
            }
        }
        Ok(found)
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == 0).count()
}

fn outside() -> io::Error {
    malformed("a buffer is outside its message")
}

/// A buffer as stored in the file, compressed or not.
#[derive(Clone)]
pub(super) enum Raw {
    Held(Bytes),
    At {
        ranges: Arc<Ranges>,
        start: u64,
        length: u64,
    },
}

/// A buffer's bytes.
pub(super) enum Buffer {
    Held(Bytes),
    At {
        window: Window,
        start: u64,
        length: u64,
    },
    /// A decoder for a buffer that is read from front to back, its position, and the buffer's decompressed length.
    Flow(Box<dyn Read + Send>, u64, u64),
}

impl Buffer {
    /// Opens a buffer. A compressed one is decompressed into memory, up to `most` bytes; with `flows`, as it is read.
    pub(super) fn open(
        raw: Raw,
        compression: Option<CompressionType>,
        flows: bool,
        most: usize,
    ) -> io::Result<Self> {
        let mut raw = Self::plain(raw);
        let Some(codec) = compression else {
            return Ok(raw);
        };
        if raw.length() == 0 {
            return Ok(raw);
        }
        let mut announced = [0; 8];
        announced.copy_from_slice(&raw.get(0, 8)?);
        let length = match Announced::of(announced).ok_or_else(outside)? {
            Announced::Plain => return Ok(raw.after(8)),
            Announced::Compressed(length) => length,
        };
        let compressed = Stretch {
            buffer: raw,
            position: 8,
        };
        let decoder: Box<dyn Read + Send> = match codec {
            CompressionType::ZSTD => Box::new(zstd::Decoder::new(compressed)?),
            CompressionType::LZ4_FRAME => Box::new(lz4_flex::frame::FrameDecoder::new(compressed)),
            _ => return Err(malformed("a buffer of unknown compression")),
        };
        if flows {
            return Ok(Self::Flow(decoder, 0, length));
        }
        if length > most as u64 {
            return Err(malformed(format!(
                "expected buffers of at most {most} bytes, got one of {length}"
            )));
        }
        let mut flow = Self::Flow(decoder, 0, length);
        flow.get(0, length as usize).map(Self::Held)
    }

    fn plain(raw: Raw) -> Self {
        match raw {
            Raw::Held(bytes) => Self::Held(bytes),
            Raw::At {
                ranges,
                start,
                length,
            } => Self::At {
                window: Window::new(ranges),
                start,
                length,
            },
        }
    }

    /// The buffer without its first bytes.
    fn after(self, bytes: u64) -> Self {
        match self {
            Self::Held(held) => Self::Held(held.slice((bytes as usize).min(held.len())..)),
            Self::At {
                window,
                start,
                length,
            } => Self::At {
                window,
                start: start.saturating_add(bytes),
                length: length.saturating_sub(bytes),
            },
            flow @ Self::Flow(..) => flow,
        }
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::At { length, .. } | Self::Flow(_, _, length) => *length,
        }
    }

    /// `length` bytes from `start` on.
    pub(super) fn get(&mut self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length()) {
            return Err(malformed("a value is outside its buffer"));
        }
        match self {
            Self::Held(bytes) => Ok(bytes.slice(start as usize..start as usize + length)),
            Self::At {
                window,
                start: first,
                ..
            } => {
                let start = first.checked_add(start).ok_or_else(outside)?;
                window.read(start, length)
            }
            Self::Flow(decoder, position, _) => {
                let before = start.checked_sub(*position);
                let before = before.ok_or_else(|| malformed("its values go backwards"))?;
                let short = || cut_short("a compressed buffer is shorter than it states");
                if io::copy(&mut decoder.take(before), &mut io::sink())? < before {
                    return Err(short());
                }
                let mut bytes = Vec::new();
                if decoder.take(length as u64).read_to_end(&mut bytes)? < length {
                    return Err(short());
                }
                *position = start + length as u64;
                Ok(bytes.into())
            }
        }
    }

    /// The integer of `width` bytes at `index`. An unsigned one of 8 bytes is reinterpreted as signed.
    pub(super) fn integer(&mut self, index: u64, width: usize, unsigned: bool) -> io::Result<i64> {
        let start = index.checked_mul(width as u64).ok_or_else(outside)?;
        let mut bytes = self.get(start, width)?;
        Ok(match (width, unsigned) {
            (1, true) => bytes.get_u8().into(),
            (1, false) => bytes.get_i8().into(),
            (2, true) => bytes.get_u16_le().into(),
            (2, false) => bytes.get_i16_le().into(),
            (4, true) => bytes.get_u32_le().into(),
            (4, false) => bytes.get_i32_le().into(),
            _ => bytes.get_i64_le(),
        })
    }

    /// The float of `width` bytes at `index`.
    pub(super) fn float(&mut self, index: u64, width: usize) -> io::Result<f64> {
        let start = index.checked_mul(width as u64).ok_or_else(outside)?;
        let mut bytes = self.get(start, width)?;
        Ok(match width {
            2 => half::f16::from_bits(bytes.get_u16_le()).to_f64(),
            4 => bytes.get_f32_le().into(),
            _ => bytes.get_f64_le(),
        })
    }
}

/// A reader of a buffer from `position` on.
struct Stretch {
    buffer: Buffer,
    position: u64,
}

impl Read for Stretch {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.buffer.length().saturating_sub(self.position);
        let length = into
            .len()
            .min(CHUNK)
            .min(usize::try_from(left).unwrap_or(CHUNK));
        into[..length].copy_from_slice(&self.buffer.get(self.position, length)?);
        self.position += length as u64;
        Ok(length)
    }
}
