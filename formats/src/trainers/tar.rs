//! Takes record batches of masks, yields a tar file for WebDataset, written by the crate `webdataset`: the members of a
//! sample are consecutive, and their names up to the first dot are its key.
//!
//! ```text
//! part-0.jsonl/000000000.input_ids.npy            a list as a NumPy file; missing scores are NaN, missing ids -1
//! part-0.jsonl/000000000.json                     all but the lists: {"id": ..., "shard": ..., "row": ..., ...}
//! part-0.jsonl/000000000.mask_intersection.npy    bits as bool
//! ```
//!
//! The key is the document's shard and its row number there. Owners and times are fixed, so that the same samples give
//! the same bytes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray};
use arrow_schema::ArrowError;
use half::f16;
use serde_json::{Map, Value as Json, json};
use webdataset::TarWriter;
use webdataset::core::{Sample, Value};
use webdataset::shard::Compression;

use super::Sink;
use crate::masks::{MaskBatch, MaskFile, OutputError, writing};

/// Writes samples.
pub struct Samples {
    /// `None` once it is closed.
    writer: Option<TarWriter>,
    out: Shared,
    columns: Vec<String>,
}

impl Samples {
    /// Writes these columns of the masks.
    ///
    /// # Errors
    /// If the bytes cannot be written.
    pub fn new(sink: Sink, columns: Vec<String>) -> Result<Self, OutputError> {
        let out = Shared(Arc::new(Mutex::new(Out {
            sink: Some(sink),
            error: None,
        })));
        let writer = TarWriter::new(Box::new(out.clone()), Compression::None);
        let writer = writer.map_err(|error| out.failed(error))?;
        let writer = writer
            .with_owner("", "")
            .with_mode(0o644)
            .with_mtime(Some(0))
            // A column may have any name.
            .keep_meta(true);
        Ok(Self {
            writer: Some(writer),
            out,
            columns,
        })
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
            let mut sample = Sample::with_key(format!("{}/{number:09}", batch.shard(row)));
            let mut object = Map::new();
            for (name, array) in &arrays {
                let unknown = || self.out.unknown(name);
                let array = array.as_ref().ok_or_else(unknown)?;
                if let Some(strings) = array.as_string_opt::<i32>() {
                    let string = strings.is_valid(row).then(|| strings.value(row));
                    object.insert(name.clone(), json!(string));
                } else if let Some(integers) = array.as_primitive_opt::<Int64Type>() {
                    object.insert(name.clone(), json!(integers.value(row)));
                } else {
                    let list = array.as_list_opt::<i32>().ok_or_else(unknown)?;
                    let bytes = npy(list.value(row).as_ref()).ok_or_else(unknown)?;
                    sample.insert(format!("{name}.npy"), Value::Bytes(bytes.into()));
                }
            }
            let object = Json::Object(object).to_string();
            sample.insert("json", Value::Bytes(object.into()));
            self.put(&sample)?;
        }
        match &mut self.out.lock().sink {
            Some(sink) => sink.pass_on(),
            None => Ok(()),
        }
    }

    fn put(&mut self, sample: &Sample) -> Result<(), OutputError> {
        let writer = self.writer.as_mut();
        let writer = writer.expect("only `finish` takes the writer");
        let written = writer.write(sample).map(|_| ());
        written.map_err(|error| self.out.failed(error))
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<MaskFile, OutputError> {
        let closed = self.writer.take().map_or(Ok(()), TarWriter::close);
        closed.map_err(|error| self.out.failed(error))?;
        let sink = self.out.lock().sink.take();
        sink.expect("only `finish` and `drop` take the sink")
            .finish()
    }
}

impl Drop for Samples {
    /// A writer that is dropped writes the end-of-archive mark, which would make the file look complete.
    fn drop(&mut self) {
        self.out.lock().sink = None;
    }
}

/// The sink, which the writer of the crate holds as well.
#[derive(Clone)]
struct Shared(Arc<Mutex<Out>>);

struct Out {
    /// `None` once no more bytes may be written.
    sink: Option<Sink>,
    /// The error of the sink: that of the crate has only its text.
    error: Option<io::Error>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Out> {
        // Each call leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of the sink if there is one, else that of the crate.
    fn failed(&self, error: webdataset::Error) -> OutputError {
        let mut out = self.lock();
        let source = out.error.take().unwrap_or_else(|| io::Error::other(error));
        match &out.sink {
            Some(sink) => sink.error(source),
            None => OutputError::ReaderGone { source },
        }
    }

    fn unknown(&self, column: &str) -> OutputError {
        let what = format!("column {column:?} is not one of the masks");
        match &self.lock().sink {
            Some(sink) => writing(sink.path(), ArrowError::SchemaError(what)),
            None => OutputError::ReaderGone {
                source: io::Error::other(what),
            },
        }
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.lock();
        let written = match &mut out.sink {
            Some(sink) => sink.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| {
            let kind = error.kind();
            out.error.get_or_insert(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The items of a list as a NumPy file; `None` if their type is one that masks do not have.
///
/// Format version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn npy(items: &dyn Array) -> Option<Vec<u8>> {
    if let Some(lists) = items.as_fixed_size_list_opt() {
        return npy_of_lists(lists);
    }
    let mut bytes = Vec::new();
    let to = &mut bytes;
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
        return None;
    }
    Some(bytes)
}

/// Lists of one length as a NumPy file with two axes.
fn npy_of_lists(lists: &FixedSizeListArray) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let to = &mut bytes;
    let width = lists.value_length() as usize;
    let (shape, items) = (format!("{}, {width}", lists.len()), lists.values());
    let is_valid = |i: &usize| lists.is_valid(i / width) && items.is_valid(*i);
    let valid = (0..items.len()).map(|i| Some(i).filter(is_valid));
    if let Some(ids) = items.as_primitive_opt::<Int32Type>() {
        header_of("<i4", &shape, to);
        let ids = valid.map(|i| i.map_or(-1, |i| ids.value(i)));
        to.extend(ids.flat_map(i32::to_le_bytes));
    } else if let Some(numbers) = items.as_primitive_opt::<Float32Type>() {
        header_of("<f4", &shape, to);
        let numbers = valid.map(|i| i.map_or(f32::NAN, |i| numbers.value(i)));
        to.extend(numbers.flat_map(f32::to_le_bytes));
    } else if let Some(numbers) = items.as_primitive_opt::<Float16Type>() {
        header_of("<f2", &shape, to);
        let numbers = valid.map(|i| i.map_or(f16::NAN, |i| numbers.value(i)));
        to.extend(numbers.flat_map(f16::to_le_bytes));
    } else {
        return None;
    }
    Some(bytes)
}

fn header(kind: &str, items: usize, to: &mut Vec<u8>) {
    header_of(kind, &format!("{items},"), to);
}

fn header_of(kind: &str, shape: &str, to: &mut Vec<u8>) {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let mut text =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}").into_bytes();
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
    use std::io::Read;

    use arrow_array::{BooleanArray, Float32Array};
    use webdataset::shard::{TarFiles, group_by_keys};

    use super::*;

    /// Keeps the written bytes for inspection.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn samples(&self) -> Samples {
            Samples::new(Sink::stream(Box::new(self.clone())), Vec::new()).unwrap()
        }

        fn bytes(&self) -> Vec<u8> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sample(key: &str, bytes: usize) -> Sample {
        let mut sample = Sample::with_key(key);
        sample.insert("_a.npy", Value::Bytes(vec![7; bytes].into()));
        sample.insert("json", Value::Bytes("{}".into()));
        sample
    }

    #[test]
    fn members_of_every_length_come_back() {
        let kept = Kept::default();
        let mut samples = kept.samples();
        let members = [(10, 0), (92, 511), (93, 512), (94, 513), (700, 5)];
        let key = |length: usize| "a/".repeat(4) + &"n".repeat(length - 8);
        for (length, bytes) in members {
            samples.put(&sample(&key(length), bytes)).unwrap();
        }
        samples.finish().unwrap();
        let bytes = kept.bytes();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = archive.entries().unwrap();
        for (length, bytes) in members {
            let mut entry = entries.next().unwrap().unwrap();
            let name = format!("{}._a.npy", key(length));
            assert_eq!(*entry.path_bytes(), *name.as_bytes());
            let header = entry.header();
            let fixed = (header.mtime(), header.uid(), header.username_bytes());
            assert!(matches!(fixed, (Ok(0), Ok(0), Some(b""))), "{fixed:?}");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(content, vec![7; bytes]);
            let name = format!("{}.json", key(length));
            let entry = entries.next().unwrap().unwrap();
            assert_eq!(*entry.path_bytes(), *name.as_bytes());
        }
        assert!(entries.next().is_none());
        let files = TarFiles::new(Box::new(io::Cursor::new(bytes))).unwrap();
        let keys = group_by_keys(files).map(|sample| sample.unwrap().key().unwrap().to_owned());
        let expected: Vec<_> = members.iter().map(|(length, _)| key(*length)).collect();
        assert_eq!(keys.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_abandoned_file_has_no_end() {
        let whole = Kept::default();
        let mut samples = whole.samples();
        samples.put(&sample("a", 3)).unwrap();
        samples.finish().unwrap();
        let abandoned = Kept::default();
        let mut samples = abandoned.samples();
        samples.put(&sample("a", 3)).unwrap();
        drop(samples);
        let end = abandoned.bytes().len();
        assert_eq!(abandoned.bytes(), whole.bytes()[..end]);
        assert_eq!(whole.bytes()[end..], [0; 1024]);
    }

    /// A disk without room.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn errors_of_the_disk_stay_what_they_are() {
        let mut samples = Samples::new(Sink::stream(Box::new(Full)), Vec::new()).unwrap();
        // More than the buffer of the sink.
        let error = samples.put(&sample("a", 2 << 20)).unwrap_err();
        let OutputError::Write { source, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(source.raw_os_error(), Some(28));
    }

    #[test]
    fn arrays_as_numpy_saves_them() {
        // np.save(f, np.array([True, False])); open(f, "rb").read()
        let bytes = npy(&BooleanArray::from(vec![true, false])).unwrap();
        let text = b"{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }";
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        expected.extend(text);
        expected.resize(127, b' ');
        expected.extend(b"\n\x01\x00");
        assert_eq!(bytes, expected);

        let bytes = npy(&Float32Array::from(vec![None, Some(1.5)])).unwrap();
        assert_eq!(bytes.len(), 128 + 8);
        assert_eq!(bytes[132..], 1.5f32.to_le_bytes());
        assert!(f32::from_le_bytes(bytes[128..132].try_into().unwrap()).is_nan());
    }
}
