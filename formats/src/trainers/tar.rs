//! Takes record batches of masks, yields a tar file for WebDataset: the members of a sample are consecutive, and their
//! names up to the first dot are its key.
//!
//! ```text
//! part-0.jsonl/000000000.json                     all but the lists: {"id": ..., "shard": ..., "row": ..., ...}
//! part-0.jsonl/000000000.input_ids.npy            a list as a NumPy file; missing scores are NaN
//! part-0.jsonl/000000000.mask_intersection.npy    bits as bool
//! ```
//!
//! The key is the document's shard and its row number there. Owners and times are zero, so that the same samples give
//! the same bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;
use half::f16;
use serde_json::{Map, Value, json};
use tar::{EntryType, Header};

use super::Sink;
use crate::masks::{MaskBatch, MaskFile, OutputError, writing};

/// The block size of tar files, in bytes.
const BLOCK: usize = 512;

/// The end-of-archive mark of a tar file.
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The longest name that fits into a header. A longer one gets a member of its own before it, as in GNU tar.
const MOST_NAME: usize = 100;

/// Writes samples.
pub struct Samples {
    sink: Sink,
    columns: Vec<String>,
    member: Vec<u8>,
}

impl Samples {
    /// Writes these columns of the masks.
    pub fn new(sink: Sink, columns: Vec<String>) -> Self {
        Self {
            sink,
            columns,
            member: Vec::new(),
        }
    }

    /// Adds the documents of a record batch.
    ///
    /// # Errors
    /// If a column is missing or has a type that masks do not have, or the bytes cannot be written.
    pub fn write(&mut self, batch: &MaskBatch) -> Result<(), OutputError> {
        let arrays = self
            .columns
            .iter()
            .map(|name| (name.clone(), batch.array(name)));
        let arrays: Vec<(String, Option<ArrayRef>)> = arrays.collect();
        for row in 0..batch.rows() {
            // A dot ends the key, but only in the last part of a path.
            let (_, number) = batch.token_hash_and_row(row);
            let key = format!("{}/{number:09}", batch.shard(row));
            let mut object = Map::new();
            let mut lists = Vec::new();
            for (name, array) in &arrays {
                let unknown = || {
                    let what = format!("column {name:?} is not one of the masks");
                    writing(self.sink.path(), ArrowError::SchemaError(what))
                };
                let array = array.as_ref().ok_or_else(unknown)?;
                if let Some(strings) = array.as_string_opt::<i32>() {
                    let string = strings.is_valid(row).then(|| strings.value(row));
                    object.insert(name.clone(), json!(string));
                } else if let Some(integers) = array.as_primitive_opt::<Int64Type>() {
                    object.insert(name.clone(), json!(integers.value(row)));
                } else {
                    let list = array.as_list_opt::<i32>().ok_or_else(unknown)?;
                    lists.push((name, list.value(row)));
                }
            }
            self.member.clear();
            self.member
                .extend(Value::Object(object).to_string().bytes());
            self.put(&format!("{key}.json"))?;
            for (name, list) in lists {
                self.member.clear();
                if !npy(list.as_ref(), &mut self.member) {
                    let what = format!("column {name:?} is not one of the masks");
                    return Err(writing(self.sink.path(), ArrowError::SchemaError(what)));
                }
                self.put(&format!("{key}.{name}.npy"))?;
            }
        }
        self.sink.pass_on()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<MaskFile, OutputError> {
        self.sink.put(&END)?;
        self.sink.finish()
    }

    /// Writes the collected member.
    fn put(&mut self, name: &str) -> Result<(), OutputError> {
        let member = std::mem::take(&mut self.member);
        if name.len() > MOST_NAME {
            let mut long = name.as_bytes().to_vec();
            long.push(0);
            self.entry(b"././@LongLink", EntryType::GNULongName, &long)?;
        }
        self.entry(name.as_bytes(), EntryType::Regular, &member)?;
        self.member = member;
        Ok(())
    }

    fn entry(&mut self, name: &[u8], kind: EntryType, bytes: &[u8]) -> Result<(), OutputError> {
        let mut header = Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        let shown = name.len().min(MOST_NAME);
        field[..shown].copy_from_slice(&name[..shown]);
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.sink.put(header.as_bytes())?;
        self.sink.put(bytes)?;
        let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
        self.sink.put(&END[..padding])
    }
}

/// Appends the items of a list as a NumPy file; false if their type is one that masks do not have.
///
/// Format version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn npy(items: &dyn Array, to: &mut Vec<u8>) -> bool {
    if let Some(ids) = items.as_primitive_opt::<Int32Type>() {
        header("<i4", items.len(), to);
        to.extend(ids.values().iter().flat_map(|id| id.to_le_bytes()));
    } else if let Some(numbers) = items.as_primitive_opt::<Float32Type>() {
        header("<f4", items.len(), to);
        let numbers = numbers.iter().map(|number| number.unwrap_or(f32::NAN));
        to.extend(numbers.flat_map(f32::to_le_bytes));
    } else if let Some(numbers) = items.as_primitive_opt::<Float16Type>() {
        header("<f2", items.len(), to);
        let numbers = numbers.iter().map(|number| number.unwrap_or(f16::NAN));
        to.extend(numbers.flat_map(f16::to_le_bytes));
    } else if let Some(bits) = items.as_boolean_opt() {
        header("|b1", items.len(), to);
        to.extend(bits.values().iter().map(u8::from));
    } else {
        return false;
    }
    true
}

fn header(kind: &str, items: usize, to: &mut Vec<u8>) {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({items},), }}")
        .into_bytes();
    // With the magic, the length and the newline, a multiple of 64.
    let whole = (MAGIC.len() + 2 + text.len() + 1).next_multiple_of(64);
    text.resize(whole - MAGIC.len() - 2 - 1, b' ');
    text.push(b'\n');
    // It fits: a number has at most twenty digits.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    to.extend_from_slice(MAGIC);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use arrow_array::{BooleanArray, Float32Array};

    use std::io::{Read, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps the written bytes for inspection.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn members_of_every_length_come_back() {
        let kept = Kept::default();
        let mut samples = Samples::new(Sink::stream(Box::new(kept.clone())), Vec::new());
        let members = [(10, 0), (99, 511), (100, 512), (101, 513), (700, 5)];
        let name = |length: usize| "a/".repeat(4) + &"n".repeat(length - 8);
        for (length, bytes) in members {
            samples.member = vec![7; bytes];
            samples.put(&name(length)).unwrap();
        }
        samples.finish().unwrap();
        let bytes = kept.0.lock().unwrap().clone();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = archive.entries().unwrap();
        for (length, bytes) in members {
            let mut entry = entries.next().unwrap().unwrap();
            assert_eq!(*entry.path_bytes(), *name(length).as_bytes());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(content, vec![7; bytes]);
        }
        assert!(entries.next().is_none());
    }

    #[test]
    fn arrays_as_numpy_saves_them() {
        // np.save(f, np.array([True, False])); open(f, "rb").read()
        let mut bytes = Vec::new();
        assert!(npy(&BooleanArray::from(vec![true, false]), &mut bytes));
        let text = b"{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }";
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        expected.extend(text);
        expected.resize(127, b' ');
        expected.extend(b"\n\x01\x00");
        assert_eq!(bytes, expected);

        let mut bytes = Vec::new();
        assert!(npy(&Float32Array::from(vec![None, Some(1.5)]), &mut bytes));
        assert_eq!(bytes.len(), 128 + 8);
        assert_eq!(bytes[132..], 1.5f32.to_le_bytes());
        assert!(f32::from_le_bytes(bytes[128..132].try_into().unwrap()).is_nan());
    }
}
