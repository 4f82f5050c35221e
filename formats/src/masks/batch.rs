//! Takes rows, yields record batches. Cuts them by content alone, so that the same rows give the same bytes. Writes
//! nothing: see `writer`.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{ArrowError, SchemaRef};

use super::{MaskRow, MaskSchema, token_hash};

/// A batch is full at this many rows, tokens, or bytes of ids, whichever comes first. Tokens are what counts as a
/// rule; the bytes are for ids so long that Arrow's 32-bit offsets would not reach across a batch of them.
const FULL_ROWS: usize = 1_000;
const FULL_TOKENS: usize = 1 << 18;
const FULL_ID_BYTES: usize = 1 << 24;

/// The longest document and id: with them an almost full batch still fits 32-bit offsets.
pub(super) const MOST_TOKENS: usize = i32::MAX as usize - FULL_TOKENS;
pub(super) const MOST_ID_BYTES: usize = i32::MAX as usize - FULL_ID_BYTES;

/// The rows of the next batch.
pub(super) struct Pending {
    schema: SchemaRef,
    shard: String,
    rows: usize,
    tokens: usize,
    id_bytes: usize,
    id: StringBuilder,
    row: Int64Builder,
    token_hash: Int64Builder,
    input_ids: ListBuilder<Int32Builder>,
    scores: Vec<ListBuilder<Float32Builder>>,
    masks: Vec<ListBuilder<BooleanBuilder>>,
}

impl Pending {
    pub(super) fn new(shard: &str, columns: &MaskSchema, schema: SchemaRef) -> Self {
        let scores = columns
            .scores
            .iter()
            .map(|_| ListBuilder::default())
            .collect();
        let masks = columns
            .masks
            .iter()
            .map(|_| ListBuilder::default())
            .collect();
        Self {
            schema,
            shard: shard.to_owned(),
            rows: 0,
            tokens: 0,
            id_bytes: 0,
            id: StringBuilder::new(),
            row: Int64Builder::new(),
            token_hash: Int64Builder::new(),
            input_ids: ListBuilder::default(),
            scores,
            masks,
        }
    }

    /// Adds a row whose lists are known to fit one another and the schema.
    pub(super) fn push(&mut self, row: &MaskRow) {
        self.id.append_value(&row.id);
        self.row.append_value(row.row);
        self.token_hash.append_value(token_hash(&row.input_ids));
        for token in &row.input_ids {
            self.input_ids.values().append_value(token.cast_signed());
        }
        self.input_ids.append(true);
        for (column, scores) in self.scores.iter_mut().zip(&row.scores) {
            for score in scores {
                column
                    .values()
                    .append_option((!score.is_nan()).then_some(*score));
            }
            column.append(true);
        }
        for (column, mask) in self.masks.iter_mut().zip(&row.masks) {
            column.values().append_slice(mask);
            column.append(true);
        }
        self.rows += 1;
        self.tokens += row.input_ids.len();
        self.id_bytes += row.id.len();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= FULL_ROWS || self.tokens >= FULL_TOKENS || self.id_bytes >= FULL_ID_BYTES
    }

    /// Takes out what was added, as a batch.
    pub(super) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let shard = StringArray::from_iter_values(repeat_n(&self.shard, self.rows));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(shard),
            Arc::new(self.row.finish()),
            Arc::new(self.token_hash.finish()),
            Arc::new(self.input_ids.finish()),
        ];
        for column in &mut self.scores {
            columns.push(Arc::new(column.finish()));
        }
        for column in &mut self.masks {
            columns.push(Arc::new(column.finish()));
        }
        self.rows = 0;
        self.tokens = 0;
        self.id_bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}
