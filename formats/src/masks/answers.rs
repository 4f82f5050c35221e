//! Takes a file of answers to rows (see [`crate::exchange`]) as an engine stored it, yields record batches of masks: the
//! columns by name and in order, without the rows that have an error. Engines drop the metadata, rename the items of
//! lists and number the rows of each worker, so `shard` and `row` say where a row stands in these files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray,
};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;
use serde_json::Value;

use super::MaskError;
use super::batches::Batches;
use super::frames::wrong;
use super::reader::broken;
use super::schema::{METADATA_KEY, MaskSchema, ROW, SHARD};
use crate::input::Rejection;

/// The column that says why a row has no scores.
pub(crate) const ERROR: &str = "error";

/// The record batches of one file of answers.
pub(super) struct Answers {
    batches: Batches,
    /// The columns of masks.
    schema: SchemaRef,
    /// Where the file has them; none for `shard` and `row`.
    from: Vec<Option<usize>>,
    error: Option<usize>,
    shard: String,
    /// Rows of the file that were read, those with an error included.
    rows: usize,
}

impl Answers {
    /// Finds the columns in a file.
    ///
    /// # Errors
    /// If it cannot be read, or a column is missing or of another type.
    pub(super) fn open(path: &Path, columns: &MaskSchema, shard: &str) -> Result<Self, MaskError> {
        let batches = open(path)?;
        let schema: SchemaRef = columns.to_arrow().into();
        let file = batches.schema();
        let mut from = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            if [SHARD, ROW].contains(&field.name().as_str()) {
                from.push(None);
                continue;
            }
            let unfit = |got: String| MaskError::AnswerColumn {
                path: path.to_path_buf(),
                column: field.name().clone(),
                expected: field.data_type().clone(),
                got,
            };
            let found = file.column_with_name(field.name());
            let (place, found) = found.ok_or_else(|| unfit("none".to_owned()))?;
            if !fits(found.data_type(), field.data_type()) {
                return Err(unfit(found.data_type().to_string()));
            }
            from.push(Some(place));
        }
        let error = error_column(path, file)?;
        Ok(Self {
            batches,
            schema,
            from,
            error,
            shard: shard.to_owned(),
            rows: 0,
        })
    }

    /// How the rows were scored, if the file says it.
    pub(super) fn metadata(&self) -> Option<Value> {
        let metadata = self.batches.schema().metadata().get(METADATA_KEY)?;
        serde_json::from_str(metadata).ok()
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn left(&self) -> u64 {
        self.batches.left()
    }

    /// Skips the next batch and returns its number of rows with scores; none at the end.
    pub(super) fn skip(&mut self) -> Result<Option<usize>, ArrowError> {
        Ok(self.next_of(Some(&[]))?.map(|batch| batch.num_rows()))
    }

    /// The next batch with only the columns at these indices of masks.
    pub(super) fn next_of(
        &mut self,
        only: Option<&[usize]>,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let Some(batch) = self.batches.next()? else {
            return Ok(None);
        };
        let rows = batch.num_rows();
        let scored = BooleanArray::from(scored(&batch, self.error)?);
        let first = i64::try_from(self.rows).map_err(|_| wrong("fewer rows"))?;
        self.rows += rows;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.from.len());
        for (field, from) in self.schema.fields().iter().zip(&self.from) {
            columns.push(match from {
                Some(place) => named(batch.column(*place), field.data_type())?,
                None if field.name() == ROW => {
                    Arc::new(Int64Array::from_iter_values((first..).take(rows)))
                }
                None => {
                    let shards = std::iter::repeat_n(&self.shard, rows);
                    Arc::new(StringArray::from_iter_values(shards))
                }
            });
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let batch = filter_record_batch(&batch, &scored)?;
        only.map_or(Ok(batch.clone()), |only| batch.project(only))
            .map(Some)
    }
}

/// The rows of a file of answers that have no scores.
pub struct AnswerErrors {
    path: PathBuf,
    batches: Batches,
    error: Option<usize>,
    shard: String,
    rows: usize,
}

impl AnswerErrors {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or its column of errors is none of texts.
    pub fn open(path: &Path, shard: &str) -> Result<Self, MaskError> {
        let batches = open(path)?;
        Ok(Self {
            error: error_column(path, batches.schema())?,
            path: path.to_path_buf(),
            batches,
            shard: shard.to_owned(),
            rows: 0,
        })
    }

    /// The rows without scores of the next batch; none at the end.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Rejection>>, MaskError> {
        let Some(place) = self.error else {
            return Ok(None);
        };
        let batch = self.batches.next_of(Some(&[place]));
        let batch = batch.map_err(|source| broken(&self.path, source))?;
        let Some(batch) = batch else { return Ok(None) };
        let errors = batch.column(0).as_string::<i32>();
        let rejected = errors.iter().enumerate().filter_map(|(i, reason)| {
            Some(Rejection {
                shard: self.shard.clone(),
                row: (self.rows + i) as i64,
                reason: reason?.to_owned(),
            })
        });
        let rejected = rejected.collect();
        self.rows += batch.num_rows();
        Ok(Some(rejected))
    }
}

fn open(path: &Path) -> Result<Batches, MaskError> {
    let file: File = rho_files::open_named(path).map_err(|source| MaskError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    Batches::open(file).map_err(|source| broken(path, source))
}

fn error_column(path: &Path, schema: &SchemaRef) -> Result<Option<usize>, MaskError> {
    match schema.column_with_name(ERROR) {
        Some((_, field)) if field.data_type() != &DataType::Utf8 => Err(MaskError::AnswerColumn {
            path: path.to_path_buf(),
            column: ERROR.to_owned(),
            expected: DataType::Utf8,
            got: field.data_type().to_string(),
        }),
        found => Ok(found.map(|(place, _)| place)),
    }
}

/// Whether each row has scores.
fn scored(batch: &RecordBatch, error: Option<usize>) -> Result<Vec<bool>, ArrowError> {
    let Some(place) = error else {
        return Ok(vec![true; batch.num_rows()]);
    };
    let errors = batch.column(place).as_string_opt::<i32>();
    let errors = errors.ok_or_else(|| wrong("texts in the column of errors"))?;
    Ok((0..errors.len()).map(|i| errors.is_null(i)).collect())
}

/// Whether a column of one type holds what a column of masks does: engines rename the items of lists, and Spark and plain
/// Parquet have no lists of a fixed size.
fn fits(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (DataType::List(found), DataType::List(wanted) | DataType::FixedSizeList(wanted, _)) => {
            fits(found.data_type(), wanted.data_type())
        }
        (found, wanted) => found.equals_datatype(wanted),
    }
}

/// The same column in the type that it has here.
fn named(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == kind {
        return Ok(Arc::clone(column));
    }
    let unfit = || wrong(&format!("{kind}, got {}", column.data_type()));
    match kind {
        DataType::List(item) => {
            let list = column.as_list_opt::<i32>().ok_or_else(unfit)?;
            let values = named(list.values(), item.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let list = ListArray::try_new(Arc::clone(item), offsets, values, nulls)?;
            Ok(Arc::new(list))
        }
        DataType::FixedSizeList(item, size) => {
            let (values, nulls) = match column.as_fixed_size_list_opt() {
                Some(list) => (Arc::clone(list.values()), list.nulls().cloned()),
                None => {
                    let list = column.as_list_opt::<i32>().ok_or_else(unfit)?;
                    (items_of_size(list, *size)?, list.nulls().cloned())
                }
            };
            let values = named(&values, item.data_type())?;
            let list = FixedSizeListArray::try_new(Arc::clone(item), *size, values, nulls)?;
            Ok(Arc::new(list))
        }
        _ => Err(unfit()),
    }
}

/// The items of lists that all have this size; nulls in the place of those of a null.
fn items_of_size(list: &ListArray, size: i32) -> Result<ArrayRef, ArrowError> {
    let mut places: Vec<Option<i32>> = Vec::new();
    for (i, ends) in list.offsets().windows(2).enumerate() {
        if list.is_null(i) {
            places.extend((0..size).map(|_| None));
        } else if ends[1] - ends[0] == size {
            places.extend((ends[0]..ends[1]).map(Some));
        } else {
            let got = ends[1] - ends[0];
            return Err(wrong(&format!("lists of {size} items, got one of {got}")));
        }
    }
    take(list.values(), &Int32Array::from(places), None)
}
