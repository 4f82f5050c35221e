//! Records on disk, divided by the hash of their key, so that equal keys are in the same partition, in their order.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    marker::PhantomData,
};

use anyhow::Context as _;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Place;

const PARTITIONS: usize = 32;

/// What can be written to a file and read back.
pub(crate) trait Record: Sized {
    /// Writes at least one byte.
    fn write(&self, to: &mut impl Write) -> io::Result<()>;
    /// Reads what [`write`](Self::write) wrote.
    fn read(from: &mut impl Read) -> io::Result<Self>;
}

/// Partitions that are being written.
pub(crate) struct Partitions<R> {
    seed: u64,
    place: Place,
    files: Vec<BufWriter<File>>,
    kind: PhantomData<fn(R)>,
}

/// The records of one partition.
pub(crate) struct OnDisk<R> {
    file: BufReader<File>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Record> Partitions<R> {
    /// Empty partitions; another seed divides keys in another way.
    pub(crate) fn new(place: &Place, seed: u64) -> anyhow::Result<Self> {
        let file = |_| Ok(BufWriter::new(place.file()?));
        let files: anyhow::Result<Vec<_>> = (0..PARTITIONS).map(file).collect();
        Ok(Self {
            seed,
            place: place.clone(),
            files: files?,
            kind: PhantomData,
        })
    }

    /// Adds a record.
    pub(crate) fn write(&mut self, key: &[u8], record: &R) -> anyhow::Result<()> {
        let hash = xxh3_64_with_seed(key, self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let written = record.write(&mut self.files[hash as usize % PARTITIONS]);
        written.with_context(|| self.place.cannot_write())
    }

    /// The partitions, to be read from their start. Partitions of the same seed have the same keys.
    pub(crate) fn read(self) -> anyhow::Result<Vec<OnDisk<R>>> {
        let rewound = |writer: BufWriter<File>| {
            let mut file = writer.into_inner().map_err(|error| error.into_error())?;
            file.rewind()?;
            io::Result::Ok(OnDisk {
                file: BufReader::new(file),
                kind: PhantomData,
            })
        };
        let files: io::Result<Vec<_>> = self.files.into_iter().map(rewound).collect();
        files.with_context(|| self.place.cannot_write())
    }
}

impl<R: Record> OnDisk<R> {
    /// The next record; none at the end.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<R>> {
        let ended = self.file.fill_buf().map(<[u8]>::is_empty);
        let cannot_read = "cannot read a temporary file";
        match ended.context(cannot_read)? {
            true => Ok(None),
            false => R::read(&mut self.file).map(Some).context(cannot_read),
        }
    }
}

/// Writes a number.
pub(crate) fn write_number(to: &mut impl Write, number: u64) -> io::Result<()> {
    to.write_all(&number.to_le_bytes())
}

/// Reads a number.
pub(crate) fn read_number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
