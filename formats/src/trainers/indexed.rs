//! Takes sequences of numbers, yields an indexed dataset of Megatron (`MMapIndexedDataset`; in Megatron Core,
//! `IndexedDataset`): `.bin` has the concatenated numbers, `.idx` the offset of each sequence.
//!
//! ```text
//! .bin   i32 ...
//! .idx   "MMIDIDX\0\0"   u64 version 1   u8 type, 4 is i32   u64 sequences   u64 entries of the last table
//!        i32 lengths of the sequences
//!        i64 byte offsets of the sequences in .bin
//!        i64 the first sequence of each document, and one past the last
//! ```
//!
//! Here a document is one sequence. Source: `megatron/core/datasets/indexed_dataset.py`, and GPT-NeoX's
//! `megatron/data/indexed_dataset.py`, which agree about i32.

use super::{IdType, Sink};
use crate::masks::{MaskFile, OutputError};

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const VERSION: u64 = 1;
/// `DType.int32`.
const INT32: u8 = 4;

/// Writes the two files of one dataset.
pub struct Indexed {
    bin: Sink,
    idx: Sink,
    /// The lengths of the documents so far: all that stays in memory.
    lengths: Vec<i32>,
    bytes: Vec<u8>,
}

impl Indexed {
    /// Writes to these files.
    pub fn new(bin: Sink, idx: Sink) -> Self {
        Self {
            bin,
            idx,
            lengths: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Adds a document: its token ids, or its labels.
    ///
    /// # Errors
    /// If it is too long, or the bytes cannot be written.
    pub fn write(&mut self, numbers: &[i32]) -> Result<(), OutputError> {
        let length = i32::try_from(numbers.len()).map_err(|_| OutputError::TooLarge {
            path: self.bin.path().to_owned(),
            what: "tokens in a document",
            most: i32::MAX as u64,
        })?;
        self.bytes.clear();
        IdType::I32.put(numbers, &mut self.bytes, self.bin.path())?;
        self.lengths.push(length);
        self.bin.put(&self.bytes)
    }

    /// Writes the index, and completes both files.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn finish(mut self) -> Result<[MaskFile; 2], OutputError> {
        let count = self.lengths.len() as u64;
        let idx = &mut self.idx;
        idx.put(MAGIC)?;
        idx.put(&VERSION.to_le_bytes())?;
        idx.put(&[INT32])?;
        idx.put(&count.to_le_bytes())?;
        idx.put(&(count + 1).to_le_bytes())?;
        for length in &self.lengths {
            idx.put(&length.to_le_bytes())?;
        }
        let mut at = 0i64;
        for &length in &self.lengths {
            idx.put(&at.to_le_bytes())?;
            at += i64::from(length) * IdType::I32.width() as i64;
        }
        for document in 0..=count {
            idx.put(&document.to_le_bytes())?;
        }
        Ok([self.bin.finish()?, self.idx.finish()?])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trainers::test_files;

    /// The output of Megatron Core 0.16.1: `IndexedDatasetBuilder("x.bin", dtype=numpy.int32)`, `add_item` and
    /// `end_document` for each of the two, `finalize("x.idx")`; then `xxd -p`.
    const THEIRS: &str = "4d4d494449445800000100000000000000040200000000000000030000000000000005000000\
        0300000000000000000000001400000000000000000000000000000001000000000000000200000000000000";

    #[test]
    fn the_same_bytes_as_megatron() {
        let (folder, new) = test_files();
        let [bin, idx] = ["x.bin", "x.idx"].map(|name| new.create(name).unwrap());
        let mut indexed = Indexed::new(bin, idx);
        indexed.write(&[464, 3290, 3332, 319, 262]).unwrap();
        indexed.write(&[1, 2, -100]).unwrap();
        for file in indexed.finish().unwrap() {
            assert!(new.publish(&file).unwrap());
        }
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let hex: String = read("x.idx").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, THEIRS);
        let numbers: Vec<i32> = read("x.bin")
            .chunks(4)
            .map(|four| i32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, [464, 3290, 3332, 319, 262, 1, 2, -100]);
    }
}
