//! Takes documents as ids and bits, yields shards of MosaicML's streaming datasets (MDS, version 2): a sample for each
//! document, with two arrays of equal length.
//!
//! ```text
//! u32 samples   u32 byte offset of each sample in the file, and the end of the last one   JSON: the columns
//! a sample:     u32 bytes of the mask, u32 bytes of the tokens, then both
//! an array:     u8 4 * dimensions + k   the length, an unsigned integer of 2^k bytes   the values
//! ```
//!
//! Columns are in the order of their names. Their type is in the JSON (`ndarray:uint32`). There are no arrays of bits,
//! so the mask is `uint8`, 1 for true. The offsets of the samples are known only at the end, so a shard stays in memory
//! until it is full. Source: `streaming/base/format/mds/{writer,encodings}.py`.

use serde_json::{Value, json};

use super::{IdType, Sink, numbers::put_bits};
use crate::masks::{MaskFile, OutputError};

/// The default size of a shard in bytes, as in `MDSWriter`.
pub const SHARD_BYTES: u64 = 1 << 26;

/// The largest shard: its offsets are 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64;

/// Collects the samples of one shard.
pub struct MdsShard {
    ids: IdType,
    header: String,
    size_limit: u64,
    /// The end of each sample in `samples`.
    ends: Vec<usize>,
    samples: Vec<u8>,
}

impl MdsShard {
    /// An empty shard that is full at `limit` bytes.
    pub fn new(ids: IdType, limit: u64) -> Self {
        Self {
            ids,
            // The format of Python's `json.dumps`.
            header: format!(
                concat!(
                    r#"{{"column_encodings": ["ndarray:uint8", "ndarray:{}"], "#,
                    r#""column_names": ["mask", "tokens"], "column_sizes": [null, null], "#,
                    r#""compression": null, "format": "mds", "hashes": [], "size_limit": {}, "version": 2}}"#
                ),
                ids.name(),
                limit
            ),
            size_limit: limit,
            ends: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Whether a document of `tokens` tokens still fits. Every document fits into an empty shard.
    pub fn has_place(&self, tokens: usize) -> bool {
        let limit = self.size_limit.min(MOST_BYTES);
        let sample = 8 + 2 * 9 + tokens * (1 + self.ids.width());
        self.ends.is_empty() || self.bytes() + 4 + sample as u64 <= limit
    }

    /// The number of samples so far.
    pub fn samples(&self) -> usize {
        self.ends.len()
    }

    /// Adds a document: as many bits as ids, at least one. `sink` is the file that the shard will be written to.
    ///
    /// # Errors
    /// If an id does not fit into its type, or the shard exceeds what the format can address, as a single document can
    /// make it.
    pub fn add(&mut self, ids: &[i32], bits: &[bool], sink: &Sink) -> Result<(), OutputError> {
        let head = array_head(ids.len());
        let sizes = [bits.len(), ids.len() * self.ids.width()].map(|bytes| head.len() + bytes);
        let begin = self.samples.len();
        for size in sizes {
            let size = u32::try_from(size).map_err(|_| too_large(sink))?;
            self.samples.extend_from_slice(&size.to_le_bytes());
        }
        self.samples.extend_from_slice(&head);
        put_bits(bits, &mut self.samples);
        self.samples.extend_from_slice(&head);
        if let Err(error) = self.ids.put(ids, &mut self.samples, sink.path()) {
            self.samples.truncate(begin);
            return Err(error);
        }
        self.ends.push(self.samples.len());
        match self.bytes() > MOST_BYTES {
            true => Err(too_large(sink)),
            false => Ok(()),
        }
    }

    /// Writes the file. Returns it with its entry for the index.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self, mut sink: Sink) -> Result<(MaskFile, Value), OutputError> {
        let count = self.ends.len();
        let first = (self.bytes() as usize).saturating_sub(self.samples.len());
        sink.put(&(count as u32).to_le_bytes())?;
        for end in [0].iter().chain(&self.ends) {
            sink.put(&((first + end) as u32).to_le_bytes())?;
        }
        sink.put(self.header.as_bytes())?;
        sink.put(&self.samples)?;
        let file = sink.finish()?;
        let told = json!({
            "column_encodings": ["ndarray:uint8", format!("ndarray:{}", self.ids.name())],
            "column_names": ["mask", "tokens"],
            "column_sizes": [null, null],
            "compression": null,
            "format": "mds",
            "hashes": [],
            "raw_data": {"basename": file.name, "bytes": file.bytes, "hashes": {}},
            "samples": count,
            "size_limit": self.size_limit,
            "version": 2,
            "zip_data": null,
        });
        Ok((file, told))
    }

    /// The size of the file so far, in bytes.
    fn bytes(&self) -> u64 {
        (4 + 4 * (self.ends.len() + 1) + self.header.len() + self.samples.len()) as u64
    }
}

/// `index.json`, from the entries of all shards in reading order.
pub fn mds_index(shards: &[Value]) -> Vec<u8> {
    json!({"version": 2, "shards": shards})
        .to_string()
        .into_bytes()
}

/// The header of an array with one dimension.
fn array_head(length: usize) -> Vec<u8> {
    let length = length as u64;
    let (k, bytes) = match length {
        0..=0xff => (0, 1),
        0x100..=0xffff => (1, 2),
        0x1_0000..=0xffff_ffff => (2, 4),
        _ => (3, 8),
    };
    let mut head = vec![1 << 2 | k];
    head.extend_from_slice(&length.to_le_bytes()[..bytes]);
    head
}

fn too_large(sink: &Sink) -> OutputError {
    OutputError::TooLarge {
        path: sink.path().to_owned(),
        what: "bytes in a shard",
        most: MOST_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trainers::test_files;

    /// The output of mosaicml-streaming 0.13.0: `MDSWriter(columns={"tokens": "ndarray:uint16", "mask":
    /// "ndarray:uint8"})` with the five tokens and then `[7]`, `[0]`; `xxd -p`.
    const THEIRS: &str = include_str!("mds.hex");

    fn made(ids: IdType, limit: u64, documents: &[(&[i32], &[bool])]) -> (Vec<u8>, Value) {
        let (folder, new) = test_files();
        let sink = new.create("shard.00000.mds").unwrap();
        let mut shard = MdsShard::new(ids, limit);
        for (ids, bits) in documents {
            shard.add(ids, bits, &sink).unwrap();
        }
        assert_eq!(shard.samples(), documents.len());
        let (file, told) = shard.finish(sink).unwrap();
        assert!(new.publish(&file).unwrap());
        (fs::read(folder.path().join(file.name)).unwrap(), told)
    }

    #[test]
    fn the_same_bytes_as_theirs() {
        let (bytes, told) = made(
            IdType::U16,
            SHARD_BYTES,
            &[
                (
                    &[464, 3290, 3332, 319, 262],
                    &[false, true, false, true, true],
                ),
                (&[7], &[false]),
            ],
        );
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, THEIRS.replace('\n', ""));
        assert_eq!(told["samples"], 2);
        assert_eq!(told["raw_data"]["bytes"], bytes.len());
        assert_eq!(told["column_encodings"][1], "ndarray:uint16");
    }

    #[test]
    fn long_arrays_have_long_lengths() {
        assert_eq!(array_head(255), [4, 255]);
        assert_eq!(array_head(256), [5, 0, 1]);
        assert_eq!(array_head(70_000), [6, 0x70, 0x11, 1, 0]);
    }

    #[test]
    fn a_shard_is_not_larger_than_it_is_to_be() {
        let (ids, bits) = (vec![1; 300], vec![true; 300]);
        let (folder, new) = test_files();
        let sink = new.create("a.mds").unwrap();
        for limit in [1, 2_000, 2_500, 10_000] {
            let mut shard = MdsShard::new(IdType::U32, limit);
            while shard.has_place(300) {
                shard.add(&ids, &bits, &sink).unwrap();
            }
            assert!(shard.bytes() <= limit || shard.samples() == 1);
            assert!(shard.bytes() + 1_600 > limit);
        }
        drop(folder);
    }

    #[test]
    fn an_id_that_does_not_fit_leaves_no_trace() {
        let (_folder, new) = test_files();
        let sink = new.create("a.mds").unwrap();
        let mut shard = MdsShard::new(IdType::U16, SHARD_BYTES);
        let error = shard.add(&[1, 70_000], &[false; 2], &sink).unwrap_err();
        assert!(error.to_string().ends_with("got 70000"), "{error}");
        assert_eq!((shard.samples(), shard.samples.len()), (0, 0));
    }
}
