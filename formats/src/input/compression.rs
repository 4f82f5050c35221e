//! Takes a file's bytes, yields the decompressed bytes.
//!
//! The content (magic numbers) takes precedence over the name. `lines` splits the bytes into lines.

use std::fmt;
use std::io;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader};

use super::Kind;
use super::error::{UnsupportedForm, unsupported};
use super::peek::Peeked;
use super::streams::Streams;

/// How a shard is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip, with any number of members.
    Gzip,
    /// Zstandard, with any number of frames, and windows of up to 2 GiB (`zstd --long=31`, the most of its format's own
    /// tools). A window is held in memory.
    Zstd,
    /// bzip2, with any number of streams.
    Bzip2,
    /// xz, with any number of streams that need no more than 512 MiB to decompress (`xz -9` needs 65).
    Xz,
}

/// Bytes after decompression.
pub(crate) type Plain = Box<dyn AsyncBufRead + Send + Unpin>;

/// The memory that an xz stream may need, in bytes.
const XZ_MEMORY: u64 = 512 << 20;

/// The logarithm of the largest window of a zstd frame.
const ZSTD_WINDOW: u32 = 31;

/// The window that zstd's own tools read without being asked to, in bytes. A larger one is reported.
const USUAL_WINDOW: u64 = 128 << 20;

/// Bytes per read: large enough to hide the hop to another thread for each read of a file.
pub(crate) const CHUNK: usize = 256 * 1024;

const ENDINGS: [(&str, Compression); 4] = [
    ("gz", Compression::Gzip),
    ("zst", Compression::Zstd),
    ("bz2", Compression::Bzip2),
    ("xz", Compression::Xz),
];

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

impl Compression {
    /// The compression by the last ending of `name`, and the name without that ending.
    pub(crate) fn of_name(name: &str) -> (&str, Self) {
        for (ending, compression) in ENDINGS {
            if let Some((stem, last)) = name.rsplit_once('.')
                && last.eq_ignore_ascii_case(ending)
            {
                return (stem, compression);
            }
        }
        (name, Self::None)
    }

    /// The compression by the first bytes of a file; `None` if there is no magic number.
    pub(crate) fn of_content(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable frame: parallel compressors start with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            // A first block, or the end of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// The known endings, for a message.
    pub(crate) fn endings() -> String {
        ENDINGS.map(|(ending, _)| format!(".{ending}")).join(", ")
    }
}

/// Decompresses `raw`; `named` is the compression by its name.
///
/// A file that is named as compressed but holds readable text or a known format is taken as uncompressed: servers that
/// decompress in transit leave such files behind.
pub(crate) fn decompress<R>(raw: Peeked<R>, named: Compression) -> (Compression, Plain)
where
    R: AsyncBufRead + Send + Unpin + 'static,
{
    let start = raw.head();
    let compression = match Compression::of_content(start) {
        Some(compression) => compression,
        // If a stream is cut inside its magic number, its beginning may be readable text.
        None if named == Compression::Bzip2 && start.starts_with(b"BZ") => named,
        None if is_text(start) || Kind::of_content(start, Kind::Text) != Kind::Text => {
            Compression::None
        }
        None => named,
    };
    let plain = match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => buffered(Streams::new(raw, GzipDecoder::new)),
        Compression::Zstd => buffered(Streams::new(raw, |raw| {
            ZstdDecoder::with_params(raw, &[DParameter::window_log_max(ZSTD_WINDOW)])
        })),
        Compression::Bzip2 => buffered(Streams::new(raw, BzDecoder::new)),
        Compression::Xz => buffered(Streams::new(raw, |raw| {
            XzDecoder::with_mem_limit(raw, XZ_MEMORY)
        })),
    };
    (compression, plain)
}

fn buffered<R: AsyncRead + Send + Unpin + 'static>(raw: R) -> Plain {
    Box::new(BufReader::with_capacity(CHUNK, raw))
}

/// The memory that the window of a zstd file takes, in bytes, if it is more than usual. `start` has the first bytes of
/// the file; later frames may have other windows.
pub(crate) fn large_window(start: &[u8]) -> Option<u64> {
    const SINGLE_SEGMENT: u8 = 1 << 5;
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = *start else {
        return None;
    };
    // Such a frame has no window: it is as large as its content, whose size follows the number of a dictionary.
    if descriptor & SINGLE_SEGMENT != 0 {
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = start.get(5 + dictionary..)?;
        let bytes = match descriptor >> 6 {
            2 => u64::from(u32::from_le_bytes(*size.first_chunk()?)),
            3 => u64::from_le_bytes(*size.first_chunk()?),
            _ => return None,
        };
        return (bytes > USUAL_WINDOW).then_some(bytes);
    }
    let (exponent, eighths) = (window >> 3, u64::from(window & 7));
    let base = 1_u64 << (10 + exponent);
    let bytes = base + base / 8 * eighths;
    (bytes > USUAL_WINDOW).then_some(bytes)
}

/// The real cause of a decoder's error. The xz decoder reports missing input as missing memory (its library has one
/// code for both); exceeding the memory limit is a different error. That of zstd does not say what its limit is.
pub(crate) fn cause(compression: Compression, error: io::Error) -> io::Error {
    match (compression, error.kind()) {
        (Compression::Xz, io::ErrorKind::OutOfMemory) => io::ErrorKind::UnexpectedEof.into(),
        (Compression::Zstd, _) if error.to_string().contains("too much memory") => {
            unsupported(UnsupportedForm::ZstdWindow)
        }
        _ => error,
    }
}

/// Whether `start` is the beginning of a text: longer than a cut magic number, UTF-8 up to its cut end, and without
/// control characters.
fn is_text(start: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    let utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    start.len() >= 4 && utf8 && !start.iter().any(control)
}
