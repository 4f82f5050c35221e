//! Takes a file, yields any stretch of its bytes. For formats that are not read from front to back; runs on a thread
//! that may wait, see `worker`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// How much is fetched at least.
const WINDOW: usize = 1 << 20;

/// The bytes of a file.
pub(super) struct Ranges {
    file: Mutex<File>,
    length: u64,
}

impl Ranges {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self {
            file: Mutex::new(file),
            length,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// `length` bytes from `start` on. An end before that is an error; nothing is allocated for what is not there.
    pub(super) fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.length)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        // A thread that panicked while it held the lock left nothing behind that matters: each read seeks first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A view that reads ahead a little, for small reads one after the other.
pub(super) struct Window {
    ranges: Arc<Ranges>,
    start: u64,
    bytes: Bytes,
}

impl Window {
    pub(super) fn new(ranges: Arc<Ranges>) -> Self {
        Self {
            ranges,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    /// As [`Ranges::read`].
    pub(super) fn read(&mut self, start: u64, length: usize) -> io::Result<Bytes> {
        let inside = |window: &Self| {
            let from = usize::try_from(start.checked_sub(window.start)?).ok()?;
            let to = from.checked_add(length)?;
            (to <= window.bytes.len()).then(|| window.bytes.slice(from..to))
        };
        if let Some(bytes) = inside(self) {
            return Ok(bytes);
        }
        if length >= WINDOW {
            return self.ranges.read(start, length);
        }
        let left = self.ranges.length().saturating_sub(start);
        let ahead = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
        self.bytes = self.ranges.read(start, ahead)?;
        self.start = start;
        inside(self).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
