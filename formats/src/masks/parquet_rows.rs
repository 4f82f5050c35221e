//! Takes a Parquet file, yields its schema and record batches. Knows the data types of mask files, not their columns: see
//! `schema`. The files need not be our own: other programs may have written the same columns.
//!
//! Where batches end follows from the footer alone: so it is the same whichever columns are read. The row groups of our
//! own files are the batches that were written; larger ones, of other programs, are read in parts.
//!
//! The footer and the pages are checked before Parquet decodes them, as those of a corpus are (see
//! [`crate::input::parquet`]): its decoders trust sizes when they allocate, and panic on damaged pages.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Int32Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, RowGroups, RowSelection, RowSelector,
};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::frames::add_column_widths;
use super::schema::INPUT_IDS;
use crate::input::parquet::pages::{Budget, Chunk, Limited, PageValues};
use crate::input::parquet::{cause, footer, lies_in, total_rows};
use crate::input::ranges::Ranges;

/// What a Parquet file starts with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// A row group of at most this many rows and tokens is read as one batch; our own have fewer.
const MOST_ROWS: usize = 1 << 14;
const MOST_TOKENS: u64 = 1 << 21;

/// With this limit a page may be as large as Parquet can say.
const LARGEST_DOCUMENT: usize = 1 << 29;

/// The most values of all columns of a batch, for each byte of the file: equal values take almost no bytes.
const VALUES_PER_BYTE: u64 = 4096;
/// Files of fewer bytes may have as many values as one of these.
const SMALL_FILE: u64 = 1 << 12;

/// The rows of one file.
pub(super) struct ParquetRows {
    ranges: Arc<Ranges>,
    metadata: ParquetMetaData,
    schema: SchemaRef,
    /// The bytes that the values of the next batch may take.
    budget: Budget,
    most_bytes: usize,
    /// The row group of the next batch, and the batch's first row in it.
    group: usize,
    row: usize,
    /// A reader stands between the threads that share a file only for its schema: it can be sent, not shared.
    open: Mutex<Option<Open>>,
}

/// A reader that has come to the next batch.
struct Open {
    group: usize,
    row: usize,
    columns: Vec<usize>,
    reader: ParquetRecordBatchReader,
}

impl ParquetRows {
    /// Reads the footer.
    pub(super) fn open(file: File) -> Result<Self, ArrowError> {
        let ranges = Arc::new(Ranges::of_file(file)?);
        let footer = footer::read(&ranges).map_err(input)?;
        let parsed = caught(|| {
            let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
            let of_file = metadata.file_metadata();
            let pairs = of_file.key_value_metadata();
            let schema = parquet_to_arrow_schema(of_file.schema_descr(), pairs)?;
            Ok((metadata, Arc::new(schema)))
        });
        let (metadata, schema): (ParquetMetaData, SchemaRef) = parsed?;
        total_rows(&metadata, ranges.length()).map_err(input)?;
        for field in schema.fields() {
            let kind = field.data_type();
            add_column_widths(kind, &mut Vec::new())
                .map_err(|_| wrong(&format!("types of mask files, got {kind}")))?;
        }
        // Then a column has one leaf, because mask files have no structs.
        let leaves = metadata.file_metadata().schema_descr().num_columns();
        let groups = metadata.row_groups();
        if leaves != schema.fields().len() || groups.iter().any(|g| g.num_columns() != leaves) {
            return Err(wrong("a chunk of each column in each row group"));
        }
        let values = ranges
            .length()
            .max(SMALL_FILE)
            .saturating_mul(VALUES_PER_BYTE);
        let most_values = usize::try_from(values).unwrap_or(usize::MAX);
        let most_bytes = most_values.saturating_mul(size_of::<i64>());
        Ok(Self {
            ranges,
            metadata,
            schema,
            budget: Arc::new(AtomicUsize::new(most_bytes)),
            most_bytes,
            group: 0,
            row: 0,
            open: Mutex::new(None),
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The bytes of the row groups that are not read to their end.
    pub(super) fn left(&self) -> u64 {
        let groups = self.metadata.row_groups().get(self.group..);
        let bytes = groups
            .unwrap_or_default()
            .iter()
            .map(|group| u64::try_from(group.compressed_size()).unwrap_or(0));
        bytes.fold(0, u64::saturating_add)
    }

    /// Skips the next batch and returns its number of rows; none at the end.
    pub(super) fn skip(&mut self) -> Result<Option<usize>, ArrowError> {
        let rows = self.rows_ahead()?;
        self.row += rows.unwrap_or(0);
        Ok(rows)
    }

    /// The next batch with only the columns at these indices, in ascending order; pages of others are not read.
    pub(super) fn next_of(
        &mut self,
        only: Option<&[usize]>,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let Some(rows) = self.rows_ahead()? else {
            return Ok(None);
        };
        let columns = match only {
            Some(only) => only.to_vec(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        if columns.is_empty() {
            self.row += rows;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            return RecordBatch::try_new_with_options(schema, Vec::new(), &options).map(Some);
        }
        self.budget.store(self.most_bytes, Ordering::Relaxed);
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        let here = open.take().filter(|open| {
            (open.group, open.row) == (self.group, self.row) && open.columns == columns
        });
        let mut open = match here {
            Some(open) => open,
            None => self.start(columns)?,
        };
        let batch = caught(|| Ok(open.reader.next().transpose()?))?;
        let batch = batch.filter(|batch| batch.num_rows() == rows);
        let batch =
            batch.ok_or_else(|| wrong("as many rows in each column as in its row group"))?;
        self.row += rows;
        open.row = self.row;
        self.open = Mutex::new(Some(open));
        let columns = batch.columns().iter().map(without_leftovers);
        RecordBatch::try_new(schema, columns.collect::<Result<_, _>>()?).map(Some)
    }

    /// The rows of the next batch; none at the end.
    fn rows_ahead(&mut self) -> Result<Option<usize>, ArrowError> {
        loop {
            let Some(group) = self.metadata.row_groups().get(self.group) else {
                return Ok(None);
            };
            // Not negative, because all of them were added up.
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            if self.row < rows {
                return Ok(Some(batch_rows(group).min(rows - self.row)));
            }
            self.group += 1;
            self.row = 0;
        }
    }

    /// A reader of some columns that starts at the next batch.
    fn start(&self, columns: Vec<usize>) -> Result<Open, ArrowError> {
        let group = Group {
            rows: self,
            metadata: self.metadata.row_group(self.group),
        };
        let descriptor = self.metadata.file_metadata().schema_descr();
        let reader = caught(|| {
            let mask = ProjectionMask::leaves(descriptor, columns.iter().copied());
            let hint = Some(self.schema.fields());
            let levels = parquet_to_arrow_field_levels(descriptor, mask, hint)?;
            let rest = group.num_rows() - self.row;
            let selection = (self.row > 0).then(|| {
                RowSelection::from(vec![RowSelector::skip(self.row), RowSelector::select(rest)])
            });
            let rows = batch_rows(group.metadata);
            let reader = ParquetRecordBatchReader::try_new_with_row_groups(
                &levels, &group, rows, selection,
            )?;
            Ok(reader)
        })?;
        Ok(Open {
            group: self.group,
            row: self.row,
            columns,
            reader,
        })
    }
}

/// The rows of each batch of a row group but the last.
fn batch_rows(group: &RowGroupMetaData) -> usize {
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let ids = group.columns().iter();
    let mut ids = ids.filter(|chunk| {
        chunk
            .column_path()
            .parts()
            .first()
            .is_some_and(|name| name == INPUT_IDS)
    });
    let tokens = ids.next().map_or(0, |chunk| chunk.num_values());
    let tokens = u64::try_from(tokens).unwrap_or(0);
    let most = match tokens <= MOST_TOKENS {
        true => rows,
        // As if all documents of the row group were of the same length.
        false => (u128::from(MOST_TOKENS) * rows as u128 / u128::from(tokens)) as usize,
    };
    most.clamp(1, MOST_ROWS)
}

/// A column with 0 in the place of each null item, as our writers leave it; Parquet's reader leaves other values there.
/// So what is copied from here is the same as what is copied from Arrow.
fn without_leftovers(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let list = column.as_list_opt::<i32>();
    let Some(list) = list.filter(|list| list.values().null_count() > 0) else {
        return Ok(Arc::clone(column));
    };
    let items = list.values();
    let items = (zero_nulls::<Float32Type>(items))
        .or_else(|| zero_nulls::<Float16Type>(items))
        .or_else(|| zero_nulls::<UInt8Type>(items))
        .or_else(|| zero_null_lists(items))
        .unwrap_or_else(|| Arc::clone(items));
    let DataType::List(field) = list.data_type() else {
        return Ok(Arc::clone(column));
    };
    let offsets = list.offsets().clone();
    let list = ListArray::try_new(Arc::clone(field), offsets, items, list.nulls().cloned())?;
    Ok(Arc::new(list))
}

/// None if the items are of another type.
fn zero_nulls<T: ArrowPrimitiveType>(items: &ArrayRef) -> Option<ArrayRef> {
    let items = items.as_primitive_opt::<T>()?;
    let mut values = items.values().to_vec();
    let nulls = items.nulls().cloned();
    if let Some(nulls) = &nulls {
        for null in (!nulls.inner()).set_indices() {
            values[null] = T::default_value();
        }
    }
    Some(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

/// The same for lists of a fixed length: zeros in null ones. None if the items are of another type.
fn zero_null_lists(lists: &ArrayRef) -> Option<ArrayRef> {
    let lists = lists.as_fixed_size_list_opt()?;
    let items = (zero_null_items::<Int32Type>(lists))
        .or_else(|| zero_null_items::<Float32Type>(lists))
        .or_else(|| zero_null_items::<Float16Type>(lists))?;
    let DataType::FixedSizeList(field, width) = lists.data_type() else {
        return None;
    };
    let nulls = lists.nulls().cloned();
    let lists = FixedSizeListArray::try_new(Arc::clone(field), *width, items, nulls);
    Some(Arc::new(lists.ok()?))
}

fn zero_null_items<T: ArrowPrimitiveType>(lists: &FixedSizeListArray) -> Option<ArrayRef> {
    let items = lists.values().as_primitive_opt::<T>()?;
    let width = lists.value_length() as usize;
    let in_null = |i: usize| lists.is_null(i / width);
    let values = items.values().iter().enumerate();
    let values: Vec<T::Native> = values
        .map(|(i, value)| match in_null(i) {
            true => T::default_value(),
            false => *value,
        })
        .collect();
    // Only the lists are null, not their items as well.
    let nulls = items.nulls().map(|nulls| {
        let valid = |i| nulls.is_valid(i) || in_null(i);
        NullBuffer::new(BooleanBuffer::collect_bool(items.len(), valid))
    });
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    Some(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

/// A row group, for Parquet's reader.
struct Group<'a> {
    rows: &'a ParquetRows,
    metadata: &'a RowGroupMetaData,
}

impl RowGroups for Group<'_> {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let ranges = &self.rows.ranges;
        let chunk = self.metadata.column(column);
        if !lies_in(chunk, ranges.length()) {
            return Err(ParquetError::General(
                "a column is outside the file".to_owned(),
            ));
        }
        let bytes = Chunk::column(Arc::clone(ranges), chunk, LARGEST_DOCUMENT).alone(chunk);
        let pages = SerializedPageReader::new(Arc::new(bytes), chunk, self.num_rows(), None)?;
        let budget = Arc::clone(&self.rows.budget);
        let pages = Limited::with_budget(Box::new(pages), chunk, PageValues::Flat, budget);
        Ok(Box::new(OneChunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.rows.metadata
    }
}

/// The pages of a column in one row group.
struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

/// Runs a decoder of Parquet; its panic becomes an error.
fn caught<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, ArrowError> {
    match rho_files::caught(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.0),
        Err(panic) => Err(wrong(&format!("pages that can be decoded, got {panic:?}"))),
    }
}

/// An error of Parquet, or of its Arrow reader, in which an error of the system stays one.
struct DecodeError(ArrowError);

impl From<ParquetError> for DecodeError {
    fn from(error: ParquetError) -> Self {
        Self(input(cause(error)))
    }
}

impl From<ArrowError> for DecodeError {
    fn from(error: ArrowError) -> Self {
        Self(error)
    }
}

/// An error of reading the file as an input.
fn input(error: io::Error) -> ArrowError {
    match error.raw_os_error() {
        Some(_) => ArrowError::IoError(error.to_string(), error),
        None => ArrowError::ExternalError(Box::new(error)),
    }
}

fn wrong(expected: &str) -> ArrowError {
    ArrowError::ParquetError(format!("expected {expected}"))
}
