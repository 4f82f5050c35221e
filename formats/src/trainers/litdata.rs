//! Takes documents as ids and bits, yields chunks of litdata for its `TokensLoader`, in two folders: one of token ids
//! and one of bits. Corresponding chunks have equally many entries, so a block of one matches the same block of the
//! other.
//!
//! ```text
//! u32 items   u32 byte offset of each item in the file, and the end of the last one   the items, without headers
//! ```
//!
//! An item is a document. The loader cuts a chunk into blocks of equal length, regardless of items; it does not read an
//! incomplete block at the end of a chunk. The offsets of the items are known only at the end, so a chunk stays in
//! memory until it is full. Source: `litdata/streaming/writer.py` (`_create_chunk`), `item_loader.py` (`TokensLoader`).

use serde_json::{Value, json};

use super::{IdType, Sink, numbers::put_bits};
use crate::masks::{MaskFile, OutputError};

/// The default size of a chunk of token ids, in bytes.
pub const CHUNK_BYTES: u64 = 1 << 26;

/// The largest chunk: its offsets are 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64;

/// litdata's numbers of PyTorch types (`_TORCH_DTYPES_MAPPING`).
const TORCH_INT32: u8 = 16;
const TORCH_BOOL: u8 = 19;

/// Collects one chunk of ids and its chunk of bits.
#[derive(Default)]
pub struct LitChunks {
    /// Tokens up to the end of each document.
    ends: Vec<usize>,
    ids: Vec<u8>,
    bits: Vec<u8>,
}

impl LitChunks {
    /// Whether a document of `tokens` tokens still fits into a chunk of `limit` bytes. Every document fits into an
    /// empty one.
    pub fn has_place(&self, tokens: usize, limit: u64) -> bool {
        let limit = limit.min(MOST_BYTES);
        let more = 4 + tokens * IdType::I32.width();
        self.ends.is_empty() || self.head() + (self.ids.len() + more) as u64 <= limit
    }

    /// The number of documents so far.
    pub fn documents(&self) -> usize {
        self.ends.len()
    }

    /// Adds a document: as many bits as ids.
    pub fn add(&mut self, ids: &[i32], bits: &[bool]) {
        IdType::I32.put_all(ids, &mut self.ids);
        put_bits(bits, &mut self.bits);
        self.ends.push(self.bits.len());
    }

    /// Writes both files. Returns each with its entry for the index of its folder; the index names the file relative to
    /// that folder.
    ///
    /// # Errors
    /// If one cannot be written, or is too large, as a single document can make it.
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
            Ok::<_, OutputError>((file, told))
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

/// The content of a folder of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LitStream {
    /// `torch.int32`.
    Ids,
    /// `torch.bool`.
    Bits,
}

/// `index.json` of one folder, from the entries of its chunks in reading order.
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
            // One leaf, in the notation of PyTorch's pytree.
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
