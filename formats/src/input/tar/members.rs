//! Takes the bytes of a tar file, yields its members in order: their names, their sizes, and as much of their content
//! as the caller reads. Nothing is ever written, so hostile names are harmless.
//!
//! Archives that were joined (`cat a.tar b.tar`, `tar --append` on a tape) are read one after another, as `tar
//! --ignore-zeros` does. Other bytes behind an archive are an error.

use std::io;

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::super::compression::Plain;
use super::super::error::{cut_short, malformed};
use super::extended::Extended;
use super::sparse::Sparse;

pub(super) const BLOCK: u64 = 512;

/// The longest name, extended header, or map of a sparse member, in bytes.
pub(super) const LONGEST_NAME: u64 = 1 << 20;

/// The members of a tar file.
pub(super) struct Members {
    input: Plain,
    /// Bytes of the current member that are left, up to its padding.
    left: u64,
    padding: u64,
    /// What is behind the end of an archive: the first header of one that was joined to it, or an error.
    behind: Option<io::Result<Header>>,
}

/// What comes next.
pub(super) enum Next {
    Member(Member),
    /// The end of an archive that has something behind it: another archive, or an error.
    Archive,
    End,
}

/// A member that is a file.
pub(super) struct Member {
    pub(super) name: String,
    /// The size of its content.
    pub(super) size: u64,
    sparse: Option<Sparse>,
}

/// A header, or what stands in its place.
enum Block {
    Header(Header),
    /// The end of an archive, and what is behind it.
    End(Option<io::Result<Header>>),
}

impl Members {
    pub(super) fn new(input: Plain) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
            behind: None,
        }
    }

    /// The next file. Skips the unread rest of the one before.
    pub(super) async fn next(&mut self) -> io::Result<Next> {
        let mut long_name = None;
        let mut extended = Extended::default();
        loop {
            self.skip().await?;
            let header = match self.behind.take() {
                Some(header) => header?,
                None => match self.header().await? {
                    Block::Header(header) => header,
                    Block::End(None) => return Ok(Next::End),
                    Block::End(behind) => {
                        self.behind = behind;
                        return Ok(Next::Archive);
                    }
                },
            };
            let size = header
                .entry_size()
                .map_err(|_| malformed("a member without a valid size"))?;
            let kind = header.entry_type();
            // Solaris has a letter of its own for pax headers.
            let is_extended = kind == EntryType::XHeader || kind == EntryType::new(b'X');
            let describes_next = is_extended
                || matches!(
                    kind,
                    EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
                );
            let size = match extended.size {
                Some(size) if !describes_next => size,
                _ => size,
            };
            self.left = size;
            self.padding = size.wrapping_neg() % BLOCK;
            if kind == EntryType::GNULongName {
                let mut name = self.extension().await?;
                let end = name.iter().position(|byte| *byte == 0);
                name.truncate(end.unwrap_or(name.len()));
                long_name = Some(name);
            } else if is_extended {
                extended.add(&self.extension().await?)?;
            } else if kind == EntryType::XGlobalHeader {
                if Extended::is_needed(&self.extension().await?)? {
                    return Err(malformed(
                        "expected names and sizes of single members, got an extended header for all",
                    ));
                }
            } else if describes_next {
                // The target of a link.
            } else if matches!(
                kind,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
            ) {
                let mut sparse = extended.sparse.take();
                if kind == EntryType::GNUSparse {
                    sparse = Some(self.gnu_sparse(&header).await?);
                }
                let name = sparse.as_mut().and_then(|sparse| sparse.name.take());
                let name = name.or(extended.name).or(long_name);
                let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
                return Ok(Next::Member(Member {
                    name: String::from_utf8_lossy(&name).into_owned(),
                    size: sparse
                        .as_ref()
                        .and_then(|sparse| sparse.size)
                        .unwrap_or(size),
                    sparse,
                }));
            } else {
                // Folders, links and devices have no content. A name or size before one of them belongs to it.
                (long_name, extended) = (None, Extended::default());
            }
        }
    }

    /// The content of the current member, or the reason why it has none. The caller must check its size first.
    pub(super) async fn read(&mut self, member: &Member) -> io::Result<Result<Vec<u8>, String>> {
        let Some(sparse) = &member.sparse else {
            return self.data().await.map(Ok);
        };
        // The map may be in front of the data.
        if self.left > member.size.saturating_add(LONGEST_NAME) {
            return Ok(Err(
                "expected a sparse member that is shorter than its content, got a longer one"
                    .to_owned(),
            ));
        }
        let data = self.data().await?;
        Ok(sparse.content(&data))
    }

    /// The data of the current member.
    async fn data(&mut self) -> io::Result<Vec<u8>> {
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
            true => self.data().await,
            false => Err(malformed("a name that is too long")),
        }
    }

    /// The map of a member of GNU's own format. Reads the blocks of it that follow the header.
    async fn gnu_sparse(&mut self, header: &Header) -> io::Result<Sparse> {
        let invalid = || malformed("a sparse member without a valid map");
        let part = |part: &GnuSparseHeader| -> io::Result<(u64, u64)> {
            let (offset, length) = (part.offset(), part.length());
            Ok((
                offset.map_err(|_| invalid())?,
                length.map_err(|_| invalid())?,
            ))
        };
        let gnu = header.as_gnu().ok_or_else(invalid)?;
        let size = gnu.real_size().map_err(|_| invalid())?;
        let mut parts = Vec::new();
        for found in gnu.sparse.iter().filter(|part| !part.is_empty()) {
            parts.push(part(found)?);
        }
        let mut goes_on = gnu.is_extended();
        let mut bytes = 0;
        while goes_on {
            bytes += BLOCK;
            if bytes > LONGEST_NAME {
                return Err(malformed("a sparse member whose map is too long"));
            }
            let mut block = GnuExtSparseHeader::new();
            self.input
                .read_exact(block.as_mut_bytes())
                .await
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => cut_short("it ends inside a header"),
                    _ => error,
                })?;
            for found in block.sparse().iter().filter(|part| !part.is_empty()) {
                parts.push(part(found)?);
            }
            goes_on = block.is_extended();
        }
        Ok(Sparse::gnu(size, parts))
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

    /// The next header, or the end-of-archive mark: blocks of zeros. Reads what follows the mark to its end, so that
    /// damage to a compressed stream around it is noticed.
    async fn header(&mut self) -> io::Result<Block> {
        let mut has_mark = false;
        loop {
            let mut header = Header::new_old();
            let mut filled = 0;
            while filled < header.as_bytes().len() {
                let rest = &mut header.as_mut_bytes()[filled..];
                match self.input.read(rest).await? {
                    0 => break,
                    read => filled += read,
                }
            }
            let is_zero = header.as_bytes()[..filled].iter().all(|byte| *byte == 0);
            let is_whole = filled as u64 == BLOCK;
            match (has_mark, is_zero, is_whole) {
                (false, _, false) if filled == 0 => {
                    return Err(cut_short("it ends without an end-of-archive mark"));
                }
                (false, _, false) => return Err(cut_short("it ends inside a header")),
                (_, true, true) => has_mark = true,
                (true, true, false) => return Ok(Block::End(None)),
                (_, false, true) if has_checksum(&header) => {
                    return Ok(match has_mark {
                        true => Block::End(Some(Ok(header))),
                        false => Block::Header(header),
                    });
                }
                (true, false, _) => {
                    let what = "bytes behind its end-of-archive mark that are no tar file";
                    return Ok(Block::End(Some(Err(malformed(what)))));
                }
                (false, false, true) => return Err(malformed("a header that fails its checksum")),
            }
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
