//! Takes a file's bytes, yields the bytes they stand for.
//!
//! The content has the first word about the compression (magic numbers), the name the second. Knows nothing of lines
//! or documents: see `lines`.

use std::fmt;
use std::io;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};

/// How a shard is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, with any number of members.
    Gzip,
    /// Zstandard, with any number of frames, and windows of up to 128 MiB (the limit of its own tools).
    Zstd,
}

/// Bytes after decompression.
pub(crate) type Plain = Box<dyn AsyncBufRead + Send + Unpin>;

/// Read at once: large enough that the hop to another thread for each read of a file does not show.
const CHUNK: usize = 256 * 1024;

const ENDINGS: [(&str, Compression); 2] = [("gz", Compression::Gzip), ("zst", Compression::Zstd)];

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// What the last ending of `name` says, and the name without that ending.
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

    /// What the first bytes of a file say, where they say something.
    fn of_content(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable frame: parallel compressors begin with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The endings that are known, for a message.
    pub(crate) fn endings() -> String {
        ENDINGS.map(|(ending, _)| format!(".{ending}")).join(", ")
    }
}

/// Decompresses `raw`; `named` is what its name says.
///
/// A file that is named as compressed and holds readable text instead is taken as that text: servers that decompress
/// on the way leave such files behind.
pub(crate) async fn decompress<R>(raw: R, named: Compression) -> io::Result<(Compression, Plain)>
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let mut raw = BufReader::with_capacity(CHUNK, raw);
    let start = raw.fill_buf().await?;
    let compression = match Compression::of_content(start) {
        Some(compression) => compression,
        None if is_text(start) => Compression::None,
        None => named,
    };
    let plain: Plain = match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(CHUNK, decoder))
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(raw);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(CHUNK, decoder))
        }
    };
    Ok((compression, plain))
}

/// Whether `start` is the beginning of a text: longer than a cut magic number, UTF-8 up to its cut end, without control
/// characters.
fn is_text(start: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    let utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    start.len() >= 4 && utf8 && !start.iter().any(control)
}
