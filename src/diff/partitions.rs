//! Documents on disk, divided by the hash of their key, so that a document and its partner are in the same partition.
//! The files have no names: the system removes them when the program ends, however it ends.

use std::{
    fs::File,
    io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write},
};

use anyhow::Context as _;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::documents::{Document, Documents};

/// Each level opens twice as many files.
const PARTITIONS: usize = 32;

/// Partitions that are being written.
pub(super) struct Partitions {
    seed: u64,
    files: Vec<[BufWriter<File>; 2]>,
}

/// The documents of one side of a partition.
pub(super) struct OnDisk {
    file: BufReader<File>,
}

impl Partitions {
    /// Empty partitions; another seed divides documents in another way.
    pub(super) fn new(seed: u64) -> anyhow::Result<Self> {
        let file = || anyhow::Ok(BufWriter::new(tempfile::tempfile()?));
        let pair = |_| Ok([file()?, file()?]);
        let files: anyhow::Result<Vec<_>> = (0..PARTITIONS).map(pair).collect();
        let files = files.with_context(|| {
            let place = std::env::temp_dir();
            format!("{}: cannot create temporary files", place.display())
        })?;
        Ok(Self { seed, files })
    }

    pub(super) fn write(
        &mut self,
        side: usize,
        key: &[u8],
        document: &Document,
    ) -> anyhow::Result<()> {
        let hash = xxh3_64_with_seed(key, self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let file = &mut self.files[hash as usize % PARTITIONS][side];
        document.write(file).with_context(cannot_write)
    }

    /// The partitions, to be read from their start.
    pub(super) fn read(self) -> anyhow::Result<Vec<[OnDisk; 2]>> {
        let rewound = |writer: BufWriter<File>| {
            let mut file = writer.into_inner().map_err(|error| error.into_error())?;
            file.rewind()?;
            std::io::Result::Ok(OnDisk {
                file: BufReader::new(file),
            })
        };
        let files = self.files.into_iter();
        let files = files.map(|[a, b]| Ok([rewound(a)?, rewound(b)?]));
        let files: std::io::Result<Vec<_>> = files.collect();
        files.with_context(cannot_write)
    }
}

fn cannot_write() -> String {
    let place = std::env::temp_dir();
    format!("{}: cannot write a temporary file", place.display())
}

impl Documents for OnDisk {
    fn next(&mut self) -> anyhow::Result<Option<Document>> {
        let mut first = [0];
        match self.file.read_exact(&mut first) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.context("cannot read a temporary file")?,
        }
        let document = Document::read(&mut self.file, first[0] == 1);
        document.map(Some).context("cannot read a temporary file")
    }
}

impl Document {
    fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        to.write_all(&[u8::from(self.source.is_some())])?;
        let source = self.source.as_deref().unwrap_or_default();
        for text in [&self.id, &self.shard, source] {
            number(to, text.len() as u64)?;
            to.write_all(text.as_bytes())?;
        }
        for field in [
            self.row.cast_unsigned(),
            self.token_hash.cast_unsigned(),
            self.tokens as u64,
            self.numbers.len() as u64,
            self.masks.len() as u64,
        ] {
            number(to, field)?;
        }
        let mut bytes = Vec::new();
        for list in &self.numbers {
            bytes.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        for mask in &self.masks {
            bytes.extend(mask.iter().map(|&kept| u8::from(kept)));
        }
        to.write_all(&bytes)
    }

    /// Reads what [`write`](Self::write) wrote, after its first byte.
    fn read(from: &mut impl Read, has_source: bool) -> std::io::Result<Self> {
        let mut text = || {
            let mut bytes = vec![0; read_number(from)? as usize];
            from.read_exact(&mut bytes)?;
            String::from_utf8(bytes).map_err(std::io::Error::other)
        };
        let (id, shard, source) = (text()?, text()?, text()?);
        let mut field = || read_number(from);
        let (row, token_hash, tokens) = (field()?, field()?, field()? as usize);
        let (numbers, masks) = (field()?, field()?);
        let mut list = |width: usize| {
            let mut bytes = vec![0; tokens * width];
            from.read_exact(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        let numbers = (0..numbers).map(|_| {
            let bytes = list(4)?;
            let floats = bytes.as_chunks().0.iter();
            std::io::Result::Ok(floats.map(|float| f32::from_le_bytes(*float)).collect())
        });
        let numbers = numbers.collect::<std::io::Result<_>>()?;
        let masks = (0..masks).map(|_| Ok(list(1)?.into_iter().map(|kept| kept == 1).collect()));
        Ok(Self {
            id,
            shard,
            row: row.cast_signed(),
            source: has_source.then_some(source),
            token_hash: token_hash.cast_signed(),
            tokens,
            numbers,
            masks: masks.collect::<std::io::Result<_>>()?,
        })
    }
}

fn number(to: &mut impl Write, number: u64) -> std::io::Result<()> {
    to.write_all(&number.to_le_bytes())
}

fn read_number(from: &mut impl Read) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
