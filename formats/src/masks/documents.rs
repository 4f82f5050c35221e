//! Takes finished mask files, yields the tokens and columns of any document by its number, in any order: for a trainer
//! that reads a corpus larger than memory at random. Reads only the requested bytes of a file.
//!
//! Keeps eight bytes per document in memory: its record batch, and the offset of its tokens in the batch. Reading a
//! document takes one read for its hash and one or two for each column; the operating system caches what was read
//! before. Compressed files and Parquet cannot be read in this way and are refused. `offsets` finds the byte offsets of the columns.

mod offsets;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use half::f16;

use super::schema;
use super::{MaskColumns, MaskError, token_hash};
use offsets::Batch;

/// The most files that are kept open.
const OPEN_FILES: usize = 128;

/// The columns of a document to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentColumns {
    /// Columns of numbers, of any type: scores and weights.
    pub scores: Vec<String>,
    /// Mask columns.
    pub masks: Vec<String>,
}

/// The documents of some mask files, by number.
#[derive(Debug)]
pub struct MaskDocuments {
    columns: DocumentColumns,
    files: Vec<PathBuf>,
    batches: Vec<Batch>,
    /// For each document, its batch and the offset of its tokens in the batch.
    documents: Vec<(u32, u32)>,
    tokens: u64,
    open: HashMap<u32, File>,
}

/// A document that was read. Item `i` of each column belongs to token `i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentRead {
    /// Its tokens.
    pub input_ids: Vec<u32>,
    /// The columns of [`DocumentColumns::scores`], with NaN for null.
    pub scores: Vec<Vec<f32>>,
    /// The columns of [`DocumentColumns::masks`].
    pub masks: Vec<Vec<bool>>,
}

/// The id of a document, and its row in the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentName {
    /// Its own id, else `shard#row`.
    pub id: String,
    /// The shard of the corpus.
    pub shard: String,
    /// The row number in the shard.
    pub row: i64,
}

impl MaskDocuments {
    /// Finds the documents of the files, in order.
    ///
    /// # Errors
    /// If a file cannot be read, holds no masks, lacks one of the columns, or is compressed or Parquet.
    pub fn open(
        files: impl IntoIterator<Item = PathBuf>,
        columns: &DocumentColumns,
    ) -> Result<Self, MaskError> {
        let mut documents = Self {
            columns: columns.clone(),
            files: Vec::new(),
            batches: Vec::new(),
            documents: Vec::new(),
            tokens: 0,
            open: HashMap::new(),
        };
        for path in files {
            documents.add(&path)?;
            documents.files.push(path);
        }
        Ok(documents)
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The number of tokens of all documents.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The number of tokens of one document.
    ///
    /// # Panics
    /// If the document does not exist.
    pub fn length(&self, document: usize) -> usize {
        let (batch, start) = self.documents[document];
        let end = match self.documents.get(document + 1) {
            Some(&(next, end)) if next == batch => end,
            _ => self.batches[batch as usize].tokens,
        };
        (end - start) as usize
    }

    /// Reads a document into `into`, and overwrites what it held.
    ///
    /// # Errors
    /// If it cannot be read, its token ids are invalid, or they do not match their hash.
    ///
    /// # Panics
    /// If the document does not exist.
    pub fn read(&mut self, document: usize, into: &mut DocumentRead) -> Result<(), MaskError> {
        self.read_part(document, 0..self.length(document), into)
    }

    /// Reads some tokens of a document into `into`, and overwrites what it held. The hash is checked only if these are
    /// all tokens of the document.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Panics
    /// If the document does not exist, or has fewer tokens.
    pub fn read_part(
        &mut self,
        document: usize,
        tokens: Range<usize>,
        into: &mut DocumentRead,
    ) -> Result<(), MaskError> {
        let whole = self.length(document);
        assert!(
            tokens.start <= tokens.end && tokens.end <= whole,
            "tokens {tokens:?} of {whole}"
        );
        let length = tokens.len();
        let (number, start) = self.documents[document];
        let batch = &self.batches[number as usize];
        let (row, start) = (
            document - batch.first,
            u64::from(start) + tokens.start as u64,
        );
        let path = &self.files[batch.file as usize];
        let cannot_read = |source| MaskError::Read {
            path: path.clone(),
            source,
        };
        if !self.open.contains_key(&batch.file) && self.open.len() >= OPEN_FILES {
            self.open.clear();
        }
        let file = match self.open.entry(batch.file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rho_files::open_named(path).map_err(cannot_read)?),
        };
        let mut bytes = Vec::new();
        let mut at = |place: u64, length: usize, bytes: &mut Vec<u8>| -> Result<(), MaskError> {
            read_at(file, place, length, bytes).map_err(cannot_read)
        };
        let wrong = |expected| MaskError::Row {
            path: path.clone(),
            row,
            expected,
        };

        at(batch.input_ids + start * 4, length * 4, &mut bytes)?;
        into.input_ids.clear();
        let ids = bytes.as_chunks().0.iter();
        into.input_ids.extend(ids.map(|id| u32::from_le_bytes(*id)));
        if length == whole {
            at(batch.token_hash + row as u64 * 8, 8, &mut bytes)?;
            let hash = bytes.first_chunk().map(|hash| i64::from_le_bytes(*hash));
            if hash != Some(token_hash(&into.input_ids)) {
                return Err(wrong("token ids that match their hash"));
            }
        }
        if into.input_ids.iter().any(|&id| id > i32::MAX as u32) {
            return Err(wrong("token ids of 0 or more"));
        }

        into.scores.resize_with(batch.scores.len(), Vec::new);
        for (items, scores) in batch.scores.iter().zip(&mut into.scores) {
            scores.clear();
            let width = if items.narrow { 2 } else { 4 };
            let place = items.values + start * width;
            at(place, length * width as usize, &mut bytes)?;
            if items.narrow {
                let halves = bytes.as_chunks().0.iter();
                scores.extend(halves.map(|half| f16::from_le_bytes(*half).to_f32()));
            } else {
                let floats = bytes.as_chunks().0.iter();
                scores.extend(floats.map(|float| f32::from_le_bytes(*float)));
            }
            if let Some(valid) = items.valid {
                at(valid + start / 8, bits(start, length), &mut bytes)?;
                for (i, score) in scores.iter_mut().enumerate() {
                    if !bit(&bytes, start, i) {
                        *score = f32::NAN;
                    }
                }
            }
        }
        into.masks.resize_with(batch.masks.len(), Vec::new);
        for (items, mask) in batch.masks.iter().zip(&mut into.masks) {
            mask.clear();
            at(items.values + start / 8, bits(start, length), &mut bytes)?;
            mask.extend((0..length).map(|i| bit(&bytes, start, i)));
        }
        Ok(())
    }

    /// The id, shard and row of a document, for messages. Slow: reads its file from the start.
    ///
    /// # Errors
    /// If its file cannot be read.
    ///
    /// # Panics
    /// If the document does not exist.
    pub fn name(&self, document: usize) -> Result<DocumentName, MaskError> {
        let batch = &self.batches[self.documents[document].0 as usize];
        let path = &self.files[batch.file as usize];
        let row = document - batch.first;
        let mut file = MaskColumns::open(path)?;
        let mut last = None;
        for _ in 0..=batch.ordinal {
            last = file.next_of(&[schema::ID, schema::SHARD, schema::ROW])?;
        }
        match last {
            Some(last) if row < last.rows() => Ok(DocumentName {
                id: last.id(row).to_owned(),
                shard: last.shard(row).to_owned(),
                row: last.token_hash_and_row(row).1,
            }),
            _ => Err(MaskError::Row {
                path: path.clone(),
                row,
                expected: "a file that does not change",
            }),
        }
    }

    /// The token hash of each document, in order.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn token_hashes(&self) -> Result<Vec<i64>, MaskError> {
        let mut hashes = Vec::with_capacity(self.len());
        let mut last: Option<(u32, File)> = None;
        let mut bytes = Vec::new();
        for (i, batch) in self.batches.iter().enumerate() {
            let path = &self.files[batch.file as usize];
            let cannot_read = |source| MaskError::Read {
                path: path.clone(),
                source,
            };
            let file = match &mut last {
                Some((file, opened)) if *file == batch.file => opened,
                last => {
                    let opened = rho_files::open_named(path).map_err(cannot_read)?;
                    &mut last.insert((batch.file, opened)).1
                }
            };
            let end = self
                .batches
                .get(i + 1)
                .map_or(self.len(), |next| next.first);
            let length = (end - batch.first) * 8;
            read_at(file, batch.token_hash, length, &mut bytes).map_err(cannot_read)?;
            let chunks = bytes.as_chunks().0.iter();
            hashes.extend(chunks.map(|hash| i64::from_le_bytes(*hash)));
        }
        Ok(hashes)
    }
}

/// The number of bytes that hold the bits of `length` items from `start` on.
fn bits(start: u64, length: usize) -> usize {
    (start as usize % 8 + length).div_ceil(8)
}

/// Bit `i` of the items from `start` on. `bytes` starts with the byte that holds the first of them.
fn bit(bytes: &[u8], start: u64, i: usize) -> bool {
    let at = start as usize % 8 + i;
    bytes
        .get(at / 8)
        .is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

fn read_at(file: &mut File, place: u64, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(length, 0);
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(bytes)
}
