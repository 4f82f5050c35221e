//! Takes a mask file, yields its record batches column by column, as they lie: for whoever looks at all tokens and has
//! no time for rows. Refuses what the reader of rows refuses.

use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type, UInt8Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, SchemaRef};
use half::slice::HalfFloatSliceExt;
use xxhash_rust::xxh3::xxh3_64;

use super::frames::Frames;
use super::reader::{broken, open_beginning, open_frames};
use super::schema::{self, MaskSchema};
use super::{BatchCompression, MaskError};

/// The record batches of one mask file.
pub struct MaskColumns {
    path: PathBuf,
    frames: Frames,
    columns: MaskSchema,
    /// Rows handed out so far.
    rows: usize,
}

/// Some documents of a mask file.
#[derive(Debug, Clone)]
pub struct MaskBatch {
    pub(super) batch: RecordBatch,
    /// Where the tokens of each document begin and end, the same in all lists; of no document where no list was asked for.
    pub(super) offsets: OffsetBuffer<i32>,
}

impl MaskColumns {
    /// Opens a mask file.
    ///
    /// # Errors
    /// Where it cannot be read, is no Arrow stream, or holds no masks.
    pub fn open(path: &Path) -> Result<Self, MaskError> {
        let (frames, columns) = open_frames(path)?;
        Ok(Self::with(path, frames, columns))
    }

    /// Opens a mask file that is still being written: its first bytes, as
    /// [`MaskWriter::sync`](super::MaskWriter::sync) counted them.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where it is shorter.
    pub fn open_beginning(path: &Path, bytes: u64) -> Result<Self, MaskError> {
        let (frames, columns) = open_beginning(path, bytes)?;
        Ok(Self::with(path, frames, columns))
    }

    fn with(path: &Path, frames: Frames, columns: MaskSchema) -> Self {
        Self {
            path: path.to_path_buf(),
            frames,
            columns,
            rows: 0,
        }
    }

    /// Its columns, and how the masks were made.
    pub fn schema(&self) -> &MaskSchema {
        &self.columns
    }

    /// The names of all columns, in order.
    pub fn names(&self) -> Vec<&str> {
        let fields = self.frames.schema().fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    /// The names of all columns of scores, of whatever type.
    pub fn scores(&self) -> Vec<&str> {
        let fields = self.frames.schema().fields().iter();
        let scores = fields.filter(|field| schema::is_score(field));
        scores.map(|field| field.name().as_str()).collect()
    }

    /// The names of all columns of weights.
    pub fn weights(&self) -> Vec<&str> {
        let fields = self.frames.schema().fields().iter();
        let weights = fields.filter(|field| schema::is_weights(field));
        weights.map(|field| field.name().as_str()).collect()
    }

    /// The names of all columns of codes.
    pub fn codes(&self) -> Vec<&str> {
        let fields = self.frames.schema().fields().iter();
        let codes = fields.filter(|field| schema::is_codes(field));
        codes.map(|field| field.name().as_str()).collect()
    }

    /// Bytes of the file that are not read yet.
    pub fn left(&self) -> u64 {
        self.frames.left()
    }

    /// Whether the columns and the metadata are those of another file.
    pub fn same_schema(&self, other: &Self) -> bool {
        self.frames.schema() == other.frames.schema()
    }

    pub(crate) fn arrow(&self) -> &SchemaRef {
        self.frames.schema()
    }

    /// How the batch that was read last is stored.
    pub fn compression(&self) -> BatchCompression {
        match self.frames.compressed() {
            true => BatchCompression::Zstd,
            false => BatchCompression::None,
        }
    }

    /// The next batch, whole; its token ids are compared with their hashes.
    ///
    /// # Errors
    /// Where the file breaks, or what it holds does not fit.
    pub fn next_batch(&mut self) -> Result<Option<MaskBatch>, MaskError> {
        let Some(batch) = self.read(None)? else {
            return Ok(None);
        };
        let checked = batch.check_tokens();
        checked.map_err(|(row, expected)| self.row(row, expected))?;
        self.rows += batch.rows();
        Ok(Some(batch))
    }

    /// Some columns of the next batch; the bytes of others are not read. Names that are not there are passed over.
    ///
    /// # Errors
    /// Where the file breaks, or the lists do not fit one another.
    pub fn next_of(&mut self, only: &[&str]) -> Result<Option<MaskBatch>, MaskError> {
        let fields = self.frames.schema().fields().iter();
        let places = fields.zip(0..);
        let wanted = places.filter(|(field, _)| only.contains(&field.name().as_str()));
        let wanted: Vec<usize> = wanted.map(|(_, place)| place).collect();
        let batch = self.read(Some(&wanted))?;
        self.rows += batch.as_ref().map_or(0, MaskBatch::rows);
        Ok(batch)
    }

    /// As [`next_of`](Self::next_of), with the token ids, their hashes and the rows' numbers; the ids are compared with
    /// their hashes.
    ///
    /// # Errors
    /// Where the file breaks, or what it holds does not fit.
    pub fn next_checked_of(&mut self, only: &[&str]) -> Result<Option<MaskBatch>, MaskError> {
        let always = [schema::INPUT_IDS, schema::TOKEN_HASH, schema::ROW];
        let wanted: Vec<&str> = always.iter().chain(only).copied().collect();
        let before = self.rows;
        let Some(batch) = self.next_of(&wanted)? else {
            return Ok(None);
        };
        batch.check_tokens().map_err(|(row, expected)| {
            let row = before + row;
            let path = self.path.clone();
            MaskError::Row {
                path,
                row,
                expected,
            }
        })?;
        Ok(Some(batch))
    }

    /// Passes over the next batch; false where there is none.
    ///
    /// # Errors
    /// Where the file breaks.
    pub fn skip_batch(&mut self) -> Result<bool, MaskError> {
        let skipped = self.frames.skip();
        let rows = skipped.map_err(|source| broken(&self.path, source))?;
        self.rows = self.rows.saturating_add(rows.unwrap_or(0));
        Ok(rows.is_some())
    }

    fn read(&mut self, only: Option<&[usize]>) -> Result<Option<MaskBatch>, MaskError> {
        let read = self.frames.next_of(only);
        let Some(batch) = read.map_err(|source| broken(&self.path, source))? else {
            return Ok(None);
        };
        MaskBatch::of(batch)
            .map(Some)
            .map_err(|expected| self.row(0, expected))
    }

    fn row(&self, row: usize, expected: &'static str) -> MaskError {
        MaskError::Row {
            path: self.path.clone(),
            row: self.rows + row,
            expected,
        }
    }
}

impl MaskBatch {
    fn of(batch: RecordBatch) -> Result<Self, &'static str> {
        let mut offsets: Option<OffsetBuffer<i32>> = None;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if column.null_count() > 0 && field.name() != schema::SOURCE {
                return Err("no null");
            }
            let Some(list) = column.as_list_opt::<i32>() else {
                continue;
            };
            let mask = list.values().data_type() == &DataType::Boolean;
            if mask && list.values().null_count() > 0 {
                return Err("no null in a mask");
            }
            match &offsets {
                None if list.value_offsets().first() != Some(&0) => {
                    return Err("lists from the beginning of their items");
                }
                None => offsets = Some(list.offsets().clone()),
                Some(offsets) if offsets[..] != *list.value_offsets() => {
                    return Err("as many scores and masks as tokens");
                }
                Some(_) => {}
            }
            if list.offsets().last() as usize != list.values().len() {
                return Err("lists up to the end of their items");
            }
        }
        Ok(Self {
            batch,
            offsets: offsets.unwrap_or_else(OffsetBuffer::new_empty),
        })
    }

    /// Documents in it.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Tokens in it.
    pub fn tokens(&self) -> usize {
        self.offsets.last() as usize
    }

    /// The places of each document's tokens among those of the batch.
    pub fn documents(&self) -> impl Iterator<Item = Range<usize>> {
        let offsets = self.offsets.windows(2);
        offsets.map(|ends| ends[0] as usize..ends[1] as usize)
    }

    /// Adds the scores of a column to `scores`, NaN where there is none. False where the column is not there.
    pub fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
        let Some(items) = self.items(column) else {
            return false;
        };
        let at = scores.len();
        if let Some(wide) = items.as_primitive_opt::<Float32Type>() {
            scores.extend_from_slice(wide.values());
        } else if let Some(narrow) = items.as_primitive_opt::<Float16Type>() {
            scores.resize(at + narrow.len(), 0.0);
            narrow.values().convert_to_f32_slice(&mut scores[at..]);
        } else {
            return false;
        }
        if let Some(nulls) = items.nulls() {
            unscore(nulls, &mut scores[at..]);
        }
        true
    }

    /// Adds a column of masks to `kept`. False where it is not there.
    pub fn mask(&self, column: &str, kept: &mut Vec<bool>) -> bool {
        let items = self.items(column);
        let Some(mask) = items.and_then(|items| items.as_boolean_opt()) else {
            return false;
        };
        kept.extend(mask.values().iter());
        true
    }

    /// Adds a column of codes to `codes`. False where it is not there.
    pub fn codes(&self, column: &str, codes: &mut Vec<Option<u8>>) -> bool {
        let items = self.items(column);
        let Some(items) = items.and_then(|items| items.as_primitive_opt::<UInt8Type>()) else {
            return false;
        };
        codes.extend(items.iter());
        true
    }

    /// The token ids of all documents; none where the column was not asked for.
    pub fn input_ids(&self) -> &[i32] {
        let items = self.items(schema::INPUT_IDS);
        let ids = items.and_then(|items| items.as_primitive_opt::<Int32Type>());
        ids.map_or(&[], |ids| ids.values())
    }

    /// The shard of a document; empty where the column was not asked for.
    pub fn shard(&self, row: usize) -> &str {
        self.string(schema::SHARD, row).unwrap_or_default()
    }

    /// The id of a document; empty where the column was not asked for.
    pub fn id(&self, row: usize) -> &str {
        self.string(schema::ID, row).unwrap_or_default()
    }

    /// Where a document says it is from; none where it does not, or the column is not there or was not asked for.
    pub fn source(&self, row: usize) -> Option<&str> {
        self.string(schema::SOURCE, row)
    }

    /// The text of a document; none where the column is not there or was not asked for.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.string(schema::TEXT, row)
    }

    fn string(&self, column: &str, row: usize) -> Option<&str> {
        let strings = self.batch.column_by_name(column)?.as_string_opt::<i32>()?;
        strings.is_valid(row).then(|| strings.value(row))
    }

    /// The token hash of a document, and its row in the shard; 0 where a column was not asked for.
    pub fn token_hash_and_row(&self, row: usize) -> (i64, i64) {
        let integer = |name| {
            let column = self.batch.column_by_name(name);
            let integers = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
            integers.map_or(0, |integers| integers.value(row))
        };
        (integer(schema::TOKEN_HASH), integer(schema::ROW))
    }

    /// A column as it lies; none where it is not there or was not asked for.
    pub(crate) fn array(&self, name: &str) -> Option<ArrayRef> {
        self.batch.column_by_name(name).cloned()
    }

    fn items(&self, column: &str) -> Option<&dyn Array> {
        let list: &ListArray = self.batch.column_by_name(column)?.as_list_opt::<i32>()?;
        Some(list.values())
    }

    /// The first row whose token ids are none, or do not fit their hash.
    fn check_tokens(&self) -> Result<(), (usize, &'static str)> {
        let ids = self.items(schema::INPUT_IDS);
        let Some(ids) = ids.and_then(|ids| ids.as_primitive_opt::<Int32Type>()) else {
            return Err((0, "integers"));
        };
        let row_of = |token: usize| self.documents().take_while(|d| d.end <= token).count();
        if ids.null_count() > 0 {
            let null = (0..ids.len()).find(|&i| ids.is_null(i));
            return Err((row_of(null.unwrap_or(0)), "token ids of 0 or more"));
        }
        if ids.values().iter().fold(0, |all, id| all | id) < 0 {
            let negative = ids.values().iter().position(|&id| id < 0);
            return Err((row_of(negative.unwrap_or(0)), "token ids of 0 or more"));
        }
        // As they lie; machines of the other byte order have none of Arrow's files either.
        let bytes = ids.values().inner().as_slice();
        for (row, document) in self.documents().enumerate() {
            let hash = xxh3_64(&bytes[document.start * 4..document.end * 4]).cast_signed();
            if hash != self.token_hash_and_row(row).0 {
                return Err((row, "token ids that fit their hash"));
            }
        }
        Ok(())
    }
}

/// Writes NaN where there is a null.
fn unscore(nulls: &NullBuffer, scores: &mut [f32]) {
    if nulls.null_count() == 0 {
        return;
    }
    // There are few of them, one a document: whole words of bits have none.
    let chunks = nulls.inner().bit_chunks();
    for (word, bits) in (0..).zip(chunks.iter_padded()) {
        let mut missing = !bits;
        while missing != 0 {
            let i = word * 64 + missing.trailing_zeros() as usize;
            let Some(score) = scores.get_mut(i) else {
                return;
            };
            *score = f32::NAN;
            missing &= missing - 1;
        }
    }
}
