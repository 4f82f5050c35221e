//! Takes a local or remote file, or bytes in memory, yields any range of them. For formats that are not read from front to back.
//! Blocks, so it runs on a thread of its own: see `worker`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::corpus::{Location, Shard};
use crate::remote::Opened;

/// Bytes read at a time, at least, from a local file.
const WINDOW: usize = 1 << 20;
/// The same for a remote file, where each request costs a round trip.
const REMOTE_WINDOW: usize = 4 << 20;

/// The bytes of a file.
pub(crate) struct Ranges {
    bytes: Kind,
    length: u64,
}

enum Kind {
    File(Mutex<File>),
    /// Fetched by a runtime on another thread.
    Remote(Box<Opened>, Handle),
    /// In memory already.
    Held(Bytes),
}

impl Ranges {
    /// Opens a shard for random access. Needs a running tokio runtime for a remote file.
    pub(super) fn open(shard: &Shard) -> io::Result<Self> {
        if let Location::Remote(remote) = &shard.place {
            let opened = Opened::new(remote)?;
            return Ok(Self {
                length: opened.length(),
                bytes: Kind::Remote(Box::new(opened), Handle::current()),
            });
        }
        Self::of_file(rho_files::open_named(&shard.path)?)
    }

    /// The bytes of an open file.
    pub(crate) fn of_file(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            bytes: Kind::File(Mutex::new(file)),
            length,
        })
    }

    /// Bytes in memory.
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            bytes: Kind::Held(bytes),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn window(&self) -> usize {
        match &self.bytes {
            Kind::File(_) => WINDOW,
            Kind::Remote(..) => REMOTE_WINDOW,
            // Nothing is gained by reading ahead.
            Kind::Held(_) => 0,
        }
    }

    /// `length` bytes from `start` on. Fails if the file ends before that; nothing is allocated in that case.
    pub(super) fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.bytes {
            Kind::File(file) => {
                let mut bytes = vec![0; length];
                // A poisoned lock is harmless: each read seeks first.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            }
            Kind::Held(bytes) => Ok(bytes.slice(start as usize..end.unwrap_or(start) as usize)),
            Kind::Remote(_, _) if length == 0 => Ok(Bytes::new()),
            Kind::Remote(opened, handle) => {
                Ok(handle.block_on(opened.range(start, length as u64))?)
            }
        }
    }
}

/// A view with a read-ahead block, for small reads in sequence.
pub(crate) struct Window {
    ranges: Arc<Ranges>,
    start: u64,
    bytes: Bytes,
    /// Where reading ahead ends.
    end: u64,
}

impl Window {
    pub(super) fn new(ranges: Arc<Ranges>) -> Self {
        Self {
            end: ranges.length(),
            ranges,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// Reads nothing ahead from here on; what is read itself may be there.
    pub(super) fn read_ahead_to(&mut self, end: u64) {
        self.end = end.min(self.ranges.length());
    }

    /// Like [`Ranges::read`].
    pub(super) fn read(&mut self, start: u64, length: usize) -> io::Result<Bytes> {
        let inside = |window: &Self| {
            let from = usize::try_from(start.checked_sub(window.start)?).ok()?;
            let to = from.checked_add(length)?;
            (to <= window.bytes.len()).then(|| window.bytes.slice(from..to))
        };
        if let Some(bytes) = inside(self) {
            return Ok(bytes);
        }
        let window = self.ranges.window();
        if length >= window {
            return self.ranges.read(start, length);
        }
        let left = self.end.saturating_sub(start);
        let ahead = usize::try_from(left).unwrap_or(window).min(window);
        if ahead < length {
            return self.ranges.read(start, length);
        }
        self.bytes = self.ranges.read(start, ahead)?;
        self.start = start;
        inside(self).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
