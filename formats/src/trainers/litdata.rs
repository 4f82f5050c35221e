//! Takes documents as ids and bits, yields chunks of litdata for its `TokensLoader`: in two folders, one of token ids and
//! one of bits, with as many entries in each chunk, so that the same block of both is of the same tokens.
//!
//! ```text
//! u32 items   u32 where each item begins in the file, and where the last one ends   the items, without headers
//! ```
//!
//! An item is a document. The loader cuts a chunk into blocks of one length, whatever the items are; the rest of a
//! chunk that fills no block is not read. Where items lie is known at the end only, so a chunk stays in memory until
//! it is full. Source: `litdata/streaming/writer.py` (`_create_chunk`), `item_loader.py` (`TokensLoader`).

use serde_json::{Value, json};

use super::{IdType, Sink, numbers::put_bits};
use crate::masks::{MaskFile, OutputError};

/// What a chunk of token ids is cut at where nobody says otherwise.
pub const CHUNK_BYTES: u64 = 1 << 26;

/// No chunk is larger: places in it are 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64;

/// The numbers that litdata has for types of PyTorch (`_TORCH_DTYPES_MAPPING`).
const TORCH_INT32: u8 = 16;
const TORCH_BOOL: u8 = 19;

/// Gathers one chunk of ids and the chunk of bits that goes with it.
#[derive(Default)]
pub struct LitChunks {
    /// Tokens up to the end of each document.
    ends: Vec<usize>,
    ids: Vec<u8>,
    bits: Vec<u8>,
}

impl LitChunks {
    /// Whether a document of so many tokens still has a place in a chunk of `limit` bytes. An empty one has one for any.
    pub fn has_place(&self, tokens: usize, limit: u64) -> bool {
        let limit = limit.min(MOST_BYTES);
        let more = 4 + tokens * IdType::I32.width();
        self.ends.is_empty() || self.head() + (self.ids.len() + more) as u64 <= limit
    }

    /// Documents so far.
    pub fn documents(&self) -> usize {
        self.ends.len()
    }

    /// Adds a document: as many bits as ids.
    pub fn add(&mut self, ids: &[i32], bits: &[bool]) {
        IdType::I32.put_all(ids, &mut self.ids);
        put_bits(bits, &mut self.bits);
        self.ends.push(self.bits.len());
    }

    /// Writes both files; in their order, and with what their indices tell of them. The indices lie in the folders
    /// of the files, whose names they tell without them.
    ///
    /// # Errors
    /// Where one cannot be written, or would be too large: one document can.
    pub fn finish(self, tokens: Sink, mask: Sink) -> Result<[(MaskFile, Value); 2], OutputError> {
        if self.head() + self.ids.len() as u64 > MOST_BYTES {
            return Err(OutputError::TooLarge {
                path: tokens.path().to_owned(),
                what: "bytes in a chunk",
                most: MOST_BYTES,
            });
        }
        let write = |mut sink: Sink, width: usize, items: &[u8]| {
            let head = self.head() as usize;
            sink.put(&(self.ends.len() as u32).to_le_bytes())?;
            for end in [0].iter().chain(&self.ends) {
                sink.put(&((head + end * width) as u32).to_le_bytes())?;
            }
            sink.put(items)?;
            let file = sink.finish()?;
            let name = file.name.split_once('/').map_or("", |(_, name)| name);
            let told = json!({
                "chunk_bytes": file.bytes,
                "chunk_size": self.ends.len(),
                "dim": self.bits.len(),
                "filename": name,
            });
            Ok((file, told))
        };
        Ok([
            write(tokens, IdType::I32.width(), &self.ids)?,
            write(mask, 1, &self.bits)?,
        ])
    }

    fn head(&self) -> u64 {
        4 + 4 * (self.ends.len() as u64 + 1)
    }
}

/// What a folder of chunks holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LitStream {
    /// `torch.int32`.
    Ids,
    /// `torch.bool`.
    Bits,
}

/// `index.json` of one folder: what was told of its chunks, in the order in which they are to be read.
pub fn litdata_index(stream: LitStream, limit: u64, chunks: &[&Value]) -> Vec<u8> {
    let number = match stream {
        LitStream::Ids => TORCH_INT32,
        LitStream::Bits => TORCH_BOOL,
    };
    let index = json!({
        "chunks": chunks,
        "config": {
            "chunk_bytes": limit,
            "chunk_size": null,
            "compression": null,
            "data_format": [format!("no_header_tensor:{number}")],
            // One leaf, as PyTorch's pytree says it.
            "data_spec": r#"[1, {"type": null, "context": null, "children_spec": []}]"#,
            "encryption": null,
            "item_loader": "TokensLoader",
        },
    });
    index.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trainers::test_files;

    #[test]
    fn the_same_bytes_as_theirs() {
        let (folder, new) = test_files();
        let [tokens, mask] =
            ["tokens", "mask"].map(|at| new.create(&format!("{at}/s/a.bin")).unwrap());
        let mut chunks = LitChunks::default();
        let (ids, bits) = (
            [464, 3290, 3332, 319, 262],
            [false, true, false, true, true],
        );
        chunks.add(&ids, &bits);
        chunks.add(&[1, 2, 3], &[true; 3]);
        assert_eq!(chunks.documents(), 2);
        let written = chunks.finish(tokens, mask).unwrap();
        // litdata 0.2.76: `BinaryWriter(.., chunk_bytes="64MB", item_loader=TokensLoader())` with these two as tensors
        // of int32 and of bool; `xxd -p`.
        let theirs = [
            "02000000100000002400000030000000d0010000da0c0000040d00003f01000006010000010000000200000003000000",
            "020000001000000015000000180000000001000101010101",
        ];
        for ((file, told), theirs) in written.iter().zip(theirs) {
            assert!(new.publish(file).unwrap());
            let bytes = fs::read(folder.path().join(&file.name)).unwrap();
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, theirs);
            let expected = json!({
                "chunk_bytes": bytes.len(), "chunk_size": 2, "dim": 8, "filename": "s/a.bin",
            });
            assert_eq!(told, &expected);
        }
    }

    #[test]
    fn a_chunk_is_not_larger_than_it_is_to_be() {
        for limit in [1, 100, 101, 103, 104, 1_000] {
            let mut chunks = LitChunks::default();
            while chunks.has_place(10, limit) {
                chunks.add(&[5; 10], &[false; 10]);
            }
            let bytes = chunks.head() + chunks.ids.len() as u64;
            assert!(bytes <= limit || chunks.documents() == 1);
            assert!(bytes + 44 > limit);
        }
    }
}
