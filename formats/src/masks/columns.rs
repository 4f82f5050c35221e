//! Takes a mask file, yields its record batches column by column: for code that processes all tokens, where reading row
//! by row is too slow. Refuses what the reader of rows refuses.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type, UInt8Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use half::slice::HalfFloatSliceExt;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::answers::Answers;
use super::batches::Batches;
use super::reader::{NO_CONTEXT, broken, open_batches, open_beginning};
use super::schema::{self, MaskSchema};
use super::top::{self, TOP_IDS, TOP_LOGPROBS};
use super::{BatchCompression, MaskError};

/// The record batches of one mask file.
pub struct MaskColumns {
    path: PathBuf,
    batches: Batches,
    columns: MaskSchema,
    /// The number of rows returned so far.
    rows: usize,
}

/// Some documents of a mask file.
#[derive(Debug, Clone)]
pub struct MaskBatch {
    pub(super) batch: RecordBatch,
    /// The offsets of each document's tokens, the same in all list columns; empty if no list column was requested.
    pub(super) offsets: OffsetBuffer<i32>,
}

impl MaskColumns {
    /// Opens a mask file.
    ///
    /// # Errors
    /// If it cannot be read, is none of the formats, or holds no masks.
    pub fn open(path: &Path) -> Result<Self, MaskError> {
        let (batches, columns) = open_batches(path)?;
        Ok(Self::with(path, batches, columns))
    }

    /// Opens the first bytes of a mask file that is still being written, as many as
    /// [`MaskWriter::sync`](super::MaskWriter::sync) returned.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if the file is shorter.
    pub fn open_beginning(path: &Path, bytes: u64) -> Result<Self, MaskError> {
        let (batches, columns) = open_beginning(path, bytes)?;
        Ok(Self::with(path, batches, columns))
    }

    /// Opens a file of answers to rows, in any format of masks, as masks with these columns and without the rows that
    /// have no scores. The rows are those of `shard`, numbered from 0. Also returns how they were scored, if the file
    /// says it.
    ///
    /// # Errors
    /// If it cannot be read, or a column is missing or of another type.
    pub fn of_answers(
        path: &Path,
        columns: &MaskSchema,
        shard: &str,
    ) -> Result<(Self, Option<Value>), MaskError> {
        let answers = Answers::open(path, columns, shard)?;
        let metadata = answers.metadata();
        let batches = Batches::Answers(Box::new(answers));
        Ok((Self::with(path, batches, columns.clone()), metadata))
    }

    fn with(path: &Path, batches: Batches, columns: MaskSchema) -> Self {
        Self {
            path: path.to_path_buf(),
            batches,
            columns,
            rows: 0,
        }
    }

    /// The columns, and how the masks were created.
    pub fn schema(&self) -> &MaskSchema {
        &self.columns
    }

    /// The names of all columns, in order.
    pub fn names(&self) -> Vec<&str> {
        let fields = self.batches.schema().fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    /// The names of all score columns, of any type.
    pub fn scores(&self) -> Vec<&str> {
        let fields = self.batches.schema().fields().iter();
        let scores = fields.filter(|field| schema::is_score(field));
        scores.map(|field| field.name().as_str()).collect()
    }

    /// The names of all weight columns.
    pub fn weights(&self) -> Vec<&str> {
        let fields = self.batches.schema().fields().iter();
        let weights = fields.filter(|field| schema::is_weights(field));
        weights.map(|field| field.name().as_str()).collect()
    }

    /// The names of all code columns.
    pub fn codes(&self) -> Vec<&str> {
        let fields = self.batches.schema().fields().iter();
        let codes = fields.filter(|field| schema::is_codes(field));
        codes.map(|field| field.name().as_str()).collect()
    }

    /// The unread bytes of the file.
    pub fn left(&self) -> u64 {
        self.batches.left()
    }

    /// Whether another file has the same columns and metadata.
    pub fn same_schema(&self, other: &Self) -> bool {
        self.batches.schema() == other.batches.schema()
    }

    /// The first difference between the columns of two files, in names or types, as the name of a column; the metadata
    /// may differ.
    pub fn other_column(&self, other: &Self) -> Option<String> {
        let (own, others) = (
            self.batches.schema().fields(),
            other.batches.schema().fields(),
        );
        let (mut own, mut others) = (own.iter(), others.iter());
        loop {
            match (own.next(), others.next()) {
                (None, None) => return None,
                (Some(a), Some(b)) if a == b => {}
                (Some(field), None) | (None, Some(field)) => return Some(field.name().clone()),
                (Some(a), Some(b)) => {
                    // The one that the other file lacks, if one of the two does.
                    let missing = other.batches.schema().field_with_name(a.name()).is_err();
                    return Some(if missing { a } else { b }.name().clone());
                }
            }
        }
    }

    pub(crate) fn arrow(&self) -> &SchemaRef {
        self.batches.schema()
    }

    /// The compression of the last batch read.
    pub fn compression(&self) -> BatchCompression {
        match self.batches.compressed() {
            true => BatchCompression::Zstd,
            false => BatchCompression::None,
        }
    }

    /// The next batch with all columns; checks the token ids against their hashes.
    ///
    /// # Errors
    /// If the file is broken, or its columns do not match each other.
    pub fn next_batch(&mut self) -> Result<Option<MaskBatch>, MaskError> {
        let Some(batch) = self.read(None)? else {
            return Ok(None);
        };
        let checked = batch.check_tokens().and_then(|()| batch.check_context());
        let checked = checked.and_then(|()| batch.check_top());
        checked.map_err(|(row, expected)| self.row(row, expected))?;
        self.rows += batch.rows();
        Ok(Some(batch))
    }

    /// The next batch with only these columns; the bytes of others are not read. Unknown names are ignored. If any is
    /// wanted, so are the targets: no caller can take a context token for a target.
    ///
    /// # Errors
    /// If the file is broken, or the lists do not match each other.
    pub fn next_of(&mut self, only: &[&str]) -> Result<Option<MaskBatch>, MaskError> {
        let fields = self.batches.schema().fields().iter();
        let places = fields.zip(0..);
        let is_wanted =
            |name: &str| only.contains(&name) || name == schema::TARGET && !only.is_empty();
        let wanted = places.filter(|(field, _)| is_wanted(field.name()));
        let wanted: Vec<usize> = wanted.map(|(_, place)| place).collect();
        let batch = self.read(Some(&wanted))?;
        self.rows += batch.as_ref().map_or(0, MaskBatch::rows);
        Ok(batch)
    }

    /// Like [`next_of`](Self::next_of), with the token ids, their hashes and the row numbers; checks the ids against
    /// their hashes.
    ///
    /// # Errors
    /// If the file is broken, or its columns do not match each other.
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

    /// Skips the next batch; false if there is none.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn skip_batch(&mut self) -> Result<bool, MaskError> {
        let skipped = self.batches.skip();
        let rows = skipped.map_err(|source| broken(&self.path, source))?;
        self.rows = self.rows.saturating_add(rows.unwrap_or(0));
        Ok(rows.is_some())
    }

    /// The number of rows that were read or skipped so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn read(&mut self, only: Option<&[usize]>) -> Result<Option<MaskBatch>, MaskError> {
        let read = self.batches.next_of(only);
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
                    return Err("lists that start at their first item");
                }
                None => offsets = Some(list.offsets().clone()),
                Some(offsets) if offsets[..] != *list.value_offsets() => {
                    return Err("as many scores and masks as tokens");
                }
                Some(_) => {}
            }
            if list.offsets().last() as usize != list.values().len() {
                return Err("lists that end at their last item");
            }
        }
        Ok(Self {
            batch,
            offsets: offsets.unwrap_or_else(OffsetBuffer::new_empty),
        })
    }

    /// The same documents with one more column of scores, the last one: a number for each token, NaN for null.
    ///
    /// # Errors
    /// If there are not as many numbers as tokens, or no list says which tokens are whose.
    pub fn with_scores(&self, name: &str, scores: &[f32]) -> Result<Self, ArrowError> {
        let items = scores
            .iter()
            .map(|score| (!score.is_nan()).then_some(*score));
        let items: ArrayRef = Arc::new(Float32Array::from_iter(items));
        let list = super::copy::list(self, items, DataType::Float32)?;
        let schema = self.batch.schema();
        let own = Arc::new(Field::new(name, schema::numbers()[0].clone(), true));
        let fields: Vec<_> = schema.fields().iter().cloned().chain([own]).collect();
        let columns = self.batch.columns().iter().cloned().chain([list]).collect();
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
        let offsets = self.offsets.clone();
        Ok(Self { batch, offsets })
    }

    /// The documents for which `kept` is true, one entry for each.
    ///
    /// # Errors
    /// If there are not as many entries as documents.
    pub fn filter(&self, kept: &[bool]) -> Result<Self, ArrowError> {
        let kept = BooleanArray::from(kept.to_vec());
        let batch = filter_record_batch(&self.batch, &kept)?;
        Self::of(batch).map_err(|expected| ArrowError::ComputeError(format!("expected {expected}")))
    }

    /// The number of documents.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.offsets.last() as usize
    }

    /// The range of each document's tokens in the batch.
    pub fn documents(&self) -> impl Iterator<Item = Range<usize>> {
        let offsets = self.offsets.windows(2);
        offsets.map(|ends| ends[0] as usize..ends[1] as usize)
    }

    /// Appends a column of scores or weights to `scores`, with NaN for null and for context tokens, which are never
    /// ranked or counted. False if the column is missing.
    pub fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
        let at = scores.len();
        if !self.all_scores(column, scores) {
            return false;
        }
        let items = self.items(schema::TARGET);
        if let Some(target) = items.and_then(|items| items.as_boolean_opt()) {
            let all = scores[at..].iter_mut().zip(target.values());
            all.filter(|(_, target)| !target)
                .for_each(|(score, _)| *score = f32::NAN);
        }
        true
    }

    /// Like [`scores`](Self::scores), with the scores of context tokens.
    pub fn all_scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
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

    /// Appends a column of masks to `kept`. False if the column is missing.
    pub fn mask(&self, column: &str, kept: &mut Vec<bool>) -> bool {
        let items = self.items(column);
        let Some(mask) = items.and_then(|items| items.as_boolean_opt()) else {
            return false;
        };
        kept.extend(mask.values().iter());
        true
    }

    /// Appends which tokens may be targets to `target`. False if the column is missing or was not requested: then all
    /// may be.
    pub fn target(&self, target: &mut Vec<bool>) -> bool {
        self.mask(schema::TARGET, target)
    }

    /// The number of context tokens.
    pub fn context(&self) -> usize {
        let items = self.items(schema::TARGET);
        let target = items.and_then(|items| items.as_boolean_opt());
        target.map_or(0, |target| target.len() - target.values().count_set_bits())
    }

    /// Appends a column of codes to `codes`. False if the column is missing.
    pub fn codes(&self, column: &str, codes: &mut Vec<Option<u8>>) -> bool {
        let items = self.items(column);
        let Some(items) = items.and_then(|items| items.as_primitive_opt::<UInt8Type>()) else {
            return false;
        };
        codes.extend(items.iter());
        true
    }

    /// The token ids of all documents; empty if the column was not requested.
    pub fn input_ids(&self) -> &[i32] {
        let items = self.items(schema::INPUT_IDS);
        let ids = items.and_then(|items| items.as_primitive_opt::<Int32Type>());
        ids.map_or(&[], |ids| ids.values())
    }

    /// The shard of a document; empty if the column was not requested.
    pub fn shard(&self, row: usize) -> &str {
        self.string(schema::SHARD, row).unwrap_or_default()
    }

    /// The id of a document; empty if the column was not requested.
    pub fn id(&self, row: usize) -> &str {
        self.string(schema::ID, row).unwrap_or_default()
    }

    /// The source of a document; none if it has none, or the column is missing or was not requested.
    pub fn source(&self, row: usize) -> Option<&str> {
        self.string(schema::SOURCE, row)
    }

    /// Whether there is a column of sources, and it was requested.
    pub fn has_source(&self) -> bool {
        self.batch.column_by_name(schema::SOURCE).is_some()
    }

    /// The text of a document; none if the column is missing or was not requested.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.string(schema::TEXT, row)
    }

    fn string(&self, column: &str, row: usize) -> Option<&str> {
        let strings = self.batch.column_by_name(column)?.as_string_opt::<i32>()?;
        strings.is_valid(row).then(|| strings.value(row))
    }

    /// The token hash of a document, and its row number in the shard; 0 for a column that was not requested.
    pub fn token_hash_and_row(&self, row: usize) -> (i64, i64) {
        let integer = |name| {
            let column = self.batch.column_by_name(name);
            let integers = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
            integers.map_or(0, |integers| integers.value(row))
        };
        (integer(schema::TOKEN_HASH), integer(schema::ROW))
    }

    /// The Arrow array of a column; none if it is missing or was not requested.
    pub(crate) fn array(&self, name: &str) -> Option<ArrayRef> {
        self.batch.column_by_name(name).cloned()
    }

    fn items(&self, column: &str) -> Option<&dyn Array> {
        let list: &ListArray = self.batch.column_by_name(column)?.as_list_opt::<i32>()?;
        Some(list.values())
    }

    /// Checks the token ids. The error is the first row whose ids are invalid or do not match their hash.
    fn check_tokens(&self) -> Result<(), (usize, &'static str)> {
        let ids = self.items(schema::INPUT_IDS);
        let Some(ids) = ids.and_then(|ids| ids.as_primitive_opt::<Int32Type>()) else {
            return Err((0, "integers"));
        };
        if ids.null_count() > 0 {
            let null = (0..ids.len()).find(|&i| ids.is_null(i));
            return Err((self.row_of(null.unwrap_or(0)), "token ids of 0 or more"));
        }
        if ids.values().iter().fold(0, |all, id| all | id) < 0 {
            let negative = ids.values().iter().position(|&id| id < 0);
            return Err((self.row_of(negative.unwrap_or(0)), "token ids of 0 or more"));
        }
        // The bytes are little-endian, as the hash expects them: big-endian machines cannot read these files either.
        let bytes = ids.values().inner().as_slice();
        for (row, document) in self.documents().enumerate() {
            let hash = xxh3_64(&bytes[document.start * 4..document.end * 4]).cast_signed();
            if hash != self.token_hash_and_row(row).0 {
                return Err((row, "token ids that match their hash"));
            }
        }
        Ok(())
    }

    /// The document of a token.
    fn row_of(&self, token: usize) -> usize {
        self.documents().take_while(|d| d.end <= token).count()
    }

    /// Checks the most likely tokens. The error is the first row whose columns do not match each other.
    fn check_top(&self) -> Result<(), (usize, &'static str)> {
        let (Some(ids), Some(logprobs)) = (self.items(TOP_IDS), self.items(TOP_LOGPROBS)) else {
            return Ok(());
        };
        let checked = top::check(ids, logprobs);
        checked.map_err(|(token, expected)| (self.row_of(token), expected))
    }

    /// Checks that no mask keeps a context token. The error is the first row of which one does.
    fn check_context(&self) -> Result<(), (usize, &'static str)> {
        let mut target = Vec::new();
        if !self.target(&mut target) {
            return Ok(());
        }
        let schema = self.batch.schema();
        let masks = schema
            .fields()
            .iter()
            .filter(|field| schema::is_mask(field));
        let mut mask = Vec::with_capacity(target.len());
        for field in masks {
            mask.clear();
            self.mask(field.name(), &mut mask);
            for (row, tokens) in self.documents().enumerate() {
                if schema::keeps_context(&target[tokens.clone()], &mask[tokens]) {
                    return Err((row, NO_CONTEXT));
                }
            }
        }
        Ok(())
    }
}

/// Writes NaN for each null.
fn unscore(nulls: &NullBuffer, scores: &mut [f32]) {
    if nulls.null_count() == 0 {
        return;
    }
    // Nulls are rare, about one per document: most 64-bit words of the bitmap have none.
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
