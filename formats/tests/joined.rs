//! Files that were joined, padded, or say fewer rows than they have: everything in them is read, or it is an error.

use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use rho_formats::{Compression, Kind, ReadOptions, ShardError};

use crate::support::{Outcome, compress, read_bytes};

fn batch(texts: impl IntoIterator<Item = String>) -> RecordBatch {
    let texts = StringArray::from_iter_values(texts);
    RecordBatch::try_from_iter([("text", Arc::new(texts) as _)]).unwrap()
}

fn batches(start: usize) -> [RecordBatch; 2] {
    [0, 2].map(|more| batch([0, 1].map(|text| (start + more + text).to_string())))
}

/// An Arrow stream with the texts `start` to `start + 3`, in two batches.
fn stream(start: usize) -> Vec<u8> {
    let [first, second] = batches(start);
    let mut writer = StreamWriter::try_new(Vec::new(), &first.schema()).unwrap();
    writer.write(&first).unwrap();
    writer.write(&second).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// The same as a file.
fn file(start: usize) -> Vec<u8> {
    let [first, second] = batches(start);
    let mut writer = FileWriter::try_new(Vec::new(), &first.schema()).unwrap();
    writer.write(&first).unwrap();
    writer.write(&second).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// A file without a batch.
fn empty_file() -> Vec<u8> {
    let schema = batch([]).schema();
    let mut writer = FileWriter::try_new(Vec::new(), &schema).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn texts(outcome: &Outcome) -> Vec<&str> {
    outcome
        .told()
        .iter()
        .map(|(_, text)| text.unwrap())
        .collect()
}

#[test]
fn joined_arrow_streams_and_files_are_read_on() {
    let expected: Vec<String> = (0..8).map(|text| text.to_string()).collect();
    let padded = [stream(0), vec![0; 56]].concat();
    for (what, parts) in [
        ("streams", [stream(0), stream(4)]),
        ("files", [file(0), file(4)]),
        ("a stream and a file", [stream(0), file(4)]),
        ("a file and a stream", [file(0), stream(4)]),
        ("a padded stream", [padded.clone(), stream(4)]),
    ] {
        let joined = parts.concat();
        for (name, bytes) in [
            ("a.arrow", joined.clone()),
            ("a.arrow.gz", compress(&joined, Compression::Gzip)),
        ] {
            let outcome = read_bytes(name, &bytes, &ReadOptions::default());
            assert!(
                outcome.error.is_none(),
                "{what} {name}: {:?}",
                outcome.error
            );
            assert_eq!(texts(&outcome), expected, "{what} {name}");
        }
    }
    for (what, bytes) in [
        ("a stream", stream(0)),
        ("a file", file(0)),
        ("padding", padded),
        ("an empty file", [empty_file(), file(0)].concat()),
    ] {
        let outcome = read_bytes("a.arrow", &bytes, &ReadOptions::default());
        assert!(outcome.error.is_none(), "{what}: {:?}", outcome.error);
        assert_eq!(texts(&outcome), expected[..4], "{what}");
    }
    let outcome = read_bytes("a.arrow", &empty_file(), &ReadOptions::default());
    assert!(outcome.error.is_none() && outcome.records.is_empty());
}

#[test]
fn bytes_behind_an_arrow_stream_are_an_error_after_its_rows() {
    let cut = |bytes: Vec<u8>, by: usize| bytes[..bytes.len() - by].to_vec();
    for (bytes, rows, said) in [
        (
            [stream(0), b"rubbish".to_vec()].concat(),
            4,
            "no Arrow stream",
        ),
        (
            [stream(0), vec![0, 0, 0, 0, 1]].concat(),
            4,
            "no Arrow stream",
        ),
        (
            [file(0), b"rubbish".to_vec()].concat(),
            4,
            "no Arrow stream",
        ),
        (
            [stream(0), cut(stream(4), 8)].concat(),
            8,
            "without an end mark",
        ),
        (cut(file(0), 3), 4, "inside its footer"),
    ] {
        let outcome = read_bytes("a.arrow", &bytes, &ReadOptions::default());
        assert_eq!(outcome.records.len(), rows, "{said}");
        let Some(ShardError::Damaged { row, source, .. }) = outcome.error else {
            panic!("{:?}", outcome.error);
        };
        assert_eq!(row, rows as i64);
        assert!(source.to_string().contains(said), "{source}");
    }
}

#[test]
fn a_batch_is_as_long_as_its_columns() {
    // The number of rows is in the batch and in each of its columns; no offset has the same bytes.
    let rows = 4099_u64;
    let whole = batch((0..rows).map(|_| "ab".to_owned()));
    let mut writer = StreamWriter::try_new(Vec::new(), &whole.schema()).unwrap();
    writer.write(&whole).unwrap();
    writer.finish().unwrap();
    let bytes = writer.into_inner().unwrap();
    let outcome = read_bytes("a.arrow", &bytes, &ReadOptions::default());
    assert!(outcome.error.is_none() && outcome.records.len() as u64 == rows);
    let windows = bytes.windows(8).enumerate();
    let places: Vec<_> = windows
        .filter_map(|(at, window)| (window == rows.to_le_bytes()).then_some(at))
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    for place in places {
        for lie in [rows - 1, rows + 1, 0, u64::MAX] {
            let mut bytes = bytes.clone();
            bytes[place..place + 8].copy_from_slice(&lie.to_le_bytes());
            let outcome = read_bytes("a.arrow", &bytes, &ReadOptions::default());
            assert!(
                matches!(outcome.error, Some(ShardError::Damaged { row: 0, .. })),
                "{place} {lie}: {:?}",
                outcome.error
            );
        }
    }
}

/// A Parquet file with the texts 0 to 3 in two row groups, and its metadata edited.
fn parquet(edit: impl Fn(ParquetMetaData) -> ParquetMetaData) -> Vec<u8> {
    let [first, second] = batches(0);
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), None).unwrap();
    writer.write(&first).unwrap();
    writer.flush().unwrap();
    writer.write(&second).unwrap();
    let bytes = writer.into_inner().unwrap();
    let metadata = ParquetMetaDataReader::new();
    let metadata = metadata
        .parse_and_finish(&bytes::Bytes::from(bytes.clone()))
        .unwrap();
    let length = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[length..length + 4].try_into().unwrap());
    let mut edited = bytes[..length - footer as usize].to_vec();
    ParquetMetaDataWriter::new(&mut edited, &edit(metadata))
        .finish()
        .unwrap();
    edited
}

/// The same metadata with another number of rows in the first row group.
fn rows(metadata: &ParquetMetaData, of_group: i64) -> ParquetMetaData {
    let mut groups = metadata.row_groups().to_vec();
    groups[0] = groups[0]
        .clone()
        .into_builder()
        .set_num_rows(of_group)
        .build()
        .unwrap();
    ParquetMetaData::new(metadata.file_metadata().clone(), groups)
}

#[test]
fn row_groups_are_as_long_as_the_file_and_their_columns() {
    let read = |of_file: i64, of_group: i64| {
        let mut bytes = parquet(|metadata| rows(&metadata, of_group));
        // The writer adds up the row groups. In the footer: an i64, the next field; its zigzag value; a list.
        let sum = of_group + 2;
        let field = [0x16, sum as u8 * 2, 0x19];
        let windows = bytes.windows(3).enumerate();
        let places: Vec<_> = windows
            .filter_map(|(at, window)| (window == field).then_some(at))
            .collect();
        assert_eq!(places.len(), 1, "{places:?}");
        bytes[places[0] + 1] = of_file as u8 * 2;
        read_bytes("a.parquet", &bytes, &ReadOptions::default())
    };
    let outcome = read(4, 2);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(texts(&outcome), ["0", "1", "2", "3"]);
    for (of_file, of_group, rows, said) in [
        (5, 2, 0, "the 5 rows of its footer, got row groups of 4"),
        (3, 2, 0, "the 3 rows of its footer, got row groups of 4"),
        (3, 1, 1, "a row group of 1 rows with a column of more"),
        (5, 3, 2, "a column ends before its rows do"),
    ] {
        let outcome = read(of_file, of_group);
        assert_eq!(outcome.records.len(), rows, "{said}");
        let Some(ShardError::Damaged { kind, source, .. }) = outcome.error else {
            panic!("{said}: {:?}", outcome.error);
        };
        assert_eq!(kind, Kind::Parquet);
        assert!(source.to_string().contains(said), "{source}");
    }
}
