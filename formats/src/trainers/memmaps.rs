//! Takes documents as ids and bits, yields OLMo's arrays: concatenated token ids and a mask of the same length, both
//! without a header, and a table with the start and end of each document.
//!
//! ```text
//! a.npy        u16 or u32   464 3290 3332 319 262 0 ...
//! a.npy        np.bool_       0    1    0   1   1 0 ...    of the same length, in another folder
//! a.csv.gz     text         0,6,<id>,<shard>,<row>         start, end (exclusive), origin: a line for each document
//! ```
//!
//! Despite their names these are not files of `numpy.save`: OLMo, OLMo-core and dolma read and write them with
//! `numpy.memmap`. OLMo-core finds the table by the name of the token file, with `.npy` replaced, splits its lines at
//! commas, and uses the first two fields.

use std::io::Write as _;

use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::{IdType, Sink, numbers::put_bits};
use crate::masks::{MaskFile, OutputError};

/// Writes the three files of a shard.
pub struct Memmaps {
    tokens: Sink,
    mask: Sink,
    table: GzEncoder<Sink>,
    ids: IdType,
    /// Tokens so far.
    at: u64,
    bytes: Vec<u8>,
}

/// The origin of a document.
#[derive(Debug, Clone, Copy)]
pub struct DocumentOrigin<'a> {
    /// The document's own id.
    pub id: &'a str,
    /// The shard of the corpus.
    pub shard: &'a str,
    /// The row number in the shard.
    pub row: i64,
}

impl Memmaps {
    /// Writes to these files.
    pub fn new(tokens: Sink, mask: Sink, table: Sink, ids: IdType) -> Self {
        Self {
            // Without name and time, so that the same documents give the same bytes.
            table: GzBuilder::new().write(table, Compression::default()),
            tokens,
            mask,
            ids,
            at: 0,
            bytes: Vec::new(),
        }
    }

    /// Adds a document: as many bits as ids.
    ///
    /// # Errors
    /// If an id does not fit into its type, or the bytes cannot be written.
    pub fn write(
        &mut self,
        ids: &[i32],
        bits: &[bool],
        place: DocumentOrigin<'_>,
    ) -> Result<(), OutputError> {
        self.bytes.clear();
        self.ids.put(ids, &mut self.bytes, self.tokens.path())?;
        self.tokens.put(&self.bytes)?;
        self.bytes.clear();
        put_bits(bits, &mut self.bytes);
        self.mask.put(&self.bytes)?;

        let start = self.at;
        self.at += ids.len() as u64;
        let (id, shard) = (cell(place.id), cell(place.shard));
        let line = format!("{start},{},{id},{shard},{}\n", self.at, place.row);
        let written = self.table.write_all(line.as_bytes());
        written.map_err(|source| self.table.get_ref().error(source))
    }

    /// Completes the files.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn finish(mut self) -> Result<[MaskFile; 3], OutputError> {
        let ended = self.table.try_finish();
        ended.map_err(|source| self.table.get_ref().error(source))?;
        // Everything is flushed: this only returns the sink.
        let table = self.table.finish();
        let table = table.map_err(|source| self.tokens.error(source))?;
        Ok([self.tokens.finish()?, self.mask.finish()?, table.finish()?])
    }
}

/// A cell of the table, quoted if necessary. A line break would end the line for OLMo-core even inside quotes, so it
/// becomes a space.
fn cell(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;

    use super::*;
    use crate::trainers::test_files;

    #[test]
    fn two_documents() {
        let (folder, new) = test_files();
        let files = ["tokens/a.npy", "mask/a.npy", "tokens/a.csv.gz"];
        let [tokens, mask, table] = files.map(|name| new.create(name).unwrap());
        let mut memmaps = Memmaps::new(tokens, mask, table, IdType::U16);
        let place = |id, row| DocumentOrigin {
            id,
            shard: "x,y.jsonl",
            row,
        };
        let (ids, bits) = (
            [464, 3290, 3332, 319, 262],
            [false, true, false, true, true],
        );
        memmaps.write(&ids, &bits, place("one", 0)).unwrap();
        memmaps.write(&[7], &[false], place("t\"w\no", 3)).unwrap();
        let written = memmaps.finish().unwrap();
        for file in &written {
            assert!(new.publish(file).unwrap());
        }
        assert_eq!(written.each_ref().map(|file| file.name.as_str()), files);
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let ids: Vec<u16> = read(files[0])
            .chunks(2)
            .map(|two| u16::from_le_bytes([two[0], two[1]]))
            .collect();
        assert_eq!(ids, [464, 3290, 3332, 319, 262, 7]);
        assert_eq!(read(files[1]), [0, 1, 0, 1, 1, 0]);
        let mut table = String::new();
        flate2::read::GzDecoder::new(&read(files[2])[..])
            .read_to_string(&mut table)
            .unwrap();
        assert_eq!(
            table,
            "0,5,one,\"x,y.jsonl\",0\n5,6,\"t\"\"w o\",\"x,y.jsonl\",3\n"
        );
        // The time of a gzip file: none.
        assert_eq!(read(files[2])[4..8], [0; 4]);
    }
}
