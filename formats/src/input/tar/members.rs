//! Takes the bytes of a tar file, yields its members in order: their names, their sizes, and as much of their content
//! as the caller reads. Nothing is ever written, so hostile names are harmless.

use std::io;

use tar::{EntryType, Header, PaxExtensions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::super::compression::Plain;
use super::super::error::{cut_short, malformed};

const BLOCK: u64 = 512;

/// The longest name or extended header, in bytes.
const LONGEST_NAME: u64 = 1 << 20;

/// The members of a tar file.
pub(super) struct Members {
    input: Plain,
    /// Bytes of the current member that are left, up to its padding.
    left: u64,
    padding: u64,
}

/// A member that is a file.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

impl Members {
    pub(super) fn new(input: Plain) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
        }
    }

    /// The next file; `None` at the end-of-archive mark. Skips the unread rest of the one before.
    pub(super) async fn next(&mut self) -> io::Result<Option<Member>> {
        let mut long_name = None;
        let mut long_size = None;
        loop {
            self.skip().await?;
            let Some(header) = self.header().await? else {
                return Ok(None);
            };
            let size = header
                .entry_size()
                .map_err(|_| malformed("a member without a valid size"))?;
            let kind = header.entry_type();
            let pax = kind == EntryType::XHeader;
            let size = match long_size.take() {
                Some(size) if !pax => size,
                other => {
                    long_size = other;
                    size
                }
            };
            self.left = size;
            self.padding = size.wrapping_neg() % BLOCK;
            if kind == EntryType::GNULongName {
                let mut name = self.extension().await?;
                name.truncate(
                    name.iter()
                        .position(|byte| *byte == 0)
                        .unwrap_or(name.len()),
                );
                long_name = Some(name);
            } else if pax {
                let extension = self.extension().await?;
                for entry in PaxExtensions::new(&extension) {
                    let entry = entry.map_err(|_| malformed("an invalid extended header"))?;
                    match entry.key_bytes() {
                        b"path" => long_name = Some(entry.value_bytes().to_vec()),
                        b"size" => {
                            let size = entry.value().ok().and_then(|size| size.parse().ok());
                            long_size = Some(
                                size.ok_or_else(|| malformed("a member without a valid size"))?,
                            );
                        }
                        _ => {}
                    }
                }
            } else if kind == EntryType::GNUSparse {
                return Err(malformed("expected whole members, got a sparse one"));
            } else if matches!(kind, EntryType::Regular | EntryType::Continuous) {
                let name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                let name = String::from_utf8_lossy(&name).into_owned();
                return Ok(Some(Member { name, size }));
            } else {
                // Folders, links and devices have no content. A name or size before one of them belongs to it.
                let keeps = kind == EntryType::XGlobalHeader || kind == EntryType::GNULongLink;
                if !keeps {
                    (long_name, long_size) = (None, None);
                }
            }
        }
    }

    /// The content of the current member. The caller must check its size first.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut part = (&mut self.input).take(self.left);
        let read = part.read_to_end(&mut bytes).await? as u64;
        self.left -= read;
        match self.left {
            0 => Ok(bytes),
            _ => Err(cut_short("it ends inside a member")),
        }
    }

    async fn extension(&mut self) -> io::Result<Vec<u8>> {
        match self.left <= LONGEST_NAME {
            true => self.read().await,
            false => Err(malformed("a name that is too long")),
        }
    }

    /// Skips the rest of a member.
    async fn skip(&mut self) -> io::Result<()> {
        let rest = self.left.checked_add(self.padding);
        let mut rest = rest.ok_or_else(|| malformed("a member without a valid size"))?;
        while rest > 0 {
            let some = self.input.fill_buf().await?.len() as u64;
            if some == 0 {
                // Other readers allow the last padding to be missing; then the end-of-archive mark is missing too.
                return Err(cut_short("it ends inside a member"));
            }
            let some = some.min(rest);
            self.input.consume(some as usize);
            rest -= some;
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// The next header; `None` at the end-of-archive mark.
    async fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < header.as_bytes().len() {
            let read = self
                .input
                .read(&mut header.as_mut_bytes()[filled..])
                .await?;
            if read == 0 {
                let what = match filled {
                    0 => "it ends without an end-of-archive mark",
                    _ => "it ends inside a header",
                };
                return Err(cut_short(what));
            }
            filled += read;
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            // Read the padding that follows, so that damage to a compressed stream around it is noticed.
            loop {
                let rest = self.input.fill_buf().await?.len();
                if rest == 0 {
                    return Ok(None);
                }
                self.input.consume(rest);
            }
        }
        match has_checksum(&header) {
            true => Ok(Some(header)),
            false => Err(malformed("a header that fails its checksum")),
        }
    }
}

/// Whether `head` is the start of a tar file: a first header with a valid checksum.
pub(in super::super) fn begins(head: &[u8]) -> bool {
    let Some(head) = head.first_chunk::<512>() else {
        return false;
    };
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(head);
    head[0] != 0 && has_checksum(&header)
}

fn has_checksum(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let (before, after) = (&bytes[..148], &bytes[156..]);
    let sum: u32 = before
        .iter()
        .chain(after)
        .map(|byte| u32::from(*byte))
        .sum();
    header
        .cksum()
        .is_ok_and(|checksum| checksum == sum + 8 * u32::from(b' '))
}
