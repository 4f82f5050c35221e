//! Numbers of one size on the disk, by index, written and read in any order by several threads. Numbers that were never
//! written are zero.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    marker::PhantomData,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;

use super::Place;

/// A number of a fixed size.
pub(crate) trait Item: Copy {
    /// Its size in bytes.
    const SIZE: usize;
    /// Appends its bytes.
    fn put(self, to: &mut Vec<u8>);
    /// From its bytes.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! item {
    ($($kind:ty),*) => {$(
        impl Item for $kind {
            const SIZE: usize = size_of::<Self>();

            fn put(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn of(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    )*};
}

item!(u8, u64, f32);

/// Numbers on the disk.
pub(crate) struct Items<T> {
    file: Mutex<File>,
    place: Place,
    kind: PhantomData<fn() -> T>,
}

impl<T: Item> Items<T> {
    /// This many zeros, which take no room.
    pub(crate) fn new(place: &Place, count: u64) -> anyhow::Result<Self> {
        let file = place.file()?;
        let bytes = count.checked_mul(T::SIZE as u64);
        let bytes = bytes.context("expected a number of items whose bytes can be counted")?;
        file.set_len(bytes).with_context(|| place.cannot_write())?;
        Ok(Self {
            file: Mutex::new(file),
            place: place.clone(),
            kind: PhantomData,
        })
    }

    /// Writes numbers from this index on.
    pub(crate) fn write(&self, first: u64, items: &[T]) -> anyhow::Result<()> {
        let mut bytes = Vec::with_capacity(items.len() * T::SIZE);
        items.iter().for_each(|item| item.put(&mut bytes));
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(first * T::SIZE as u64))?;
            file.write_all(&bytes)
        };
        self.with(write).with_context(|| self.place.cannot_write())
    }

    /// Appends the numbers of a range to `to`.
    pub(crate) fn read(&self, range: Range<u64>, to: &mut Vec<T>) -> anyhow::Result<()> {
        let count = range.end.saturating_sub(range.start) as usize;
        let mut bytes = vec![0; count * T::SIZE];
        let read = |file: &mut File| {
            file.seek(SeekFrom::Start(range.start * T::SIZE as u64))?;
            file.read_exact(&mut bytes)
        };
        self.with(read).context("cannot read a temporary file")?;
        to.extend(bytes.chunks_exact(T::SIZE).map(T::of));
        Ok(())
    }

    fn with(&self, use_it: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(&mut file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back() {
        let items = Items::<u64>::new(&Place::temporary(), 9).unwrap();
        items.write(3, &[7, u64::MAX]).unwrap();
        items.write(8, &[1]).unwrap();
        let mut read = Vec::new();
        items.read(2..9, &mut read).unwrap();
        assert_eq!(read, [0, 7, u64::MAX, 0, 0, 0, 1]);
        items.read(0..0, &mut read).unwrap();
        assert_eq!(read.len(), 7);
        items.read(5..10, &mut read).unwrap_err();
    }
}
