//! Takes rows, yields record batches. Cuts them by content alone, so that the same rows give the same bytes. `writer`
//! writes them.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float16Builder, Float32Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use half::f16;

use super::top::TopBuilder;
use super::{MaskRow, MaskSchema, ScoreType, token_hash};

/// A batch is full at this many rows, tokens, or bytes of ids or texts, whichever comes first. Usually that is the
/// tokens; the limit on bytes is for strings so long that a batch of them would exceed Arrow's 32-bit offsets. With many
/// alternatives per token it is their number.
const FULL_ROWS: usize = 1_000;
const FULL_TOKENS: usize = 1 << 18;
const FULL_STRING_BYTES: usize = 1 << 24;
const FULL_TOP_ITEMS: usize = 1 << 22;

/// The longest document, id and text: with them an almost full batch still fits 32-bit offsets.
pub(super) const MOST_TOKENS: usize = i32::MAX as usize - FULL_TOKENS;
pub(super) const MOST_STRING_BYTES: usize = i32::MAX as usize - FULL_STRING_BYTES;

/// The rows of the next batch.
pub(crate) struct Pending {
    schema: SchemaRef,
    /// The shard of the rows to come.
    shard: String,
    rows: usize,
    tokens: usize,
    id_bytes: usize,
    text_bytes: usize,
    id: StringBuilder,
    shards: StringBuilder,
    row: Int64Builder,
    token_hash: Int64Builder,
    input_ids: ListBuilder<Int32Builder>,
    scores: Vec<Scores>,
    top: Option<TopBuilder>,
    masks: Vec<ListBuilder<BooleanBuilder>>,
    weights: Vec<ListBuilder<Float32Builder>>,
    text: Option<StringBuilder>,
    source: Option<StringBuilder>,
    target: Option<ListBuilder<BooleanBuilder>>,
}

/// A column of scores.
enum Scores {
    Wide(ListBuilder<Float32Builder>),
    Narrow(ListBuilder<Float16Builder>),
}

impl Scores {
    fn push(&mut self, scores: &[f32]) {
        let some = |score: &f32| (!score.is_nan()).then_some(*score);
        match self {
            Self::Wide(column) => {
                scores
                    .iter()
                    .for_each(|s| column.values().append_option(some(s)));
                column.append(true);
            }
            Self::Narrow(column) => {
                let narrow = |s| some(s).map(f16::from_f32);
                scores
                    .iter()
                    .for_each(|s| column.values().append_option(narrow(s)));
                column.append(true);
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Wide(column) => Arc::new(column.finish()),
            Self::Narrow(column) => Arc::new(column.finish()),
        }
    }
}

impl Pending {
    pub(crate) fn new(shard: &str, columns: &MaskSchema, schema: SchemaRef) -> Self {
        let scores = columns
            .scores
            .iter()
            .map(|_| match columns.score_type {
                ScoreType::Float32 => Scores::Wide(ListBuilder::default()),
                ScoreType::Float16 => Scores::Narrow(ListBuilder::default()),
            })
            .collect();
        let masks = columns
            .masks
            .iter()
            .map(|_| ListBuilder::default())
            .collect();
        let weights = columns.weights.iter();
        Self {
            schema,
            shard: shard.to_owned(),
            rows: 0,
            tokens: 0,
            id_bytes: 0,
            text_bytes: 0,
            id: StringBuilder::new(),
            shards: StringBuilder::new(),
            row: Int64Builder::new(),
            token_hash: Int64Builder::new(),
            input_ids: ListBuilder::default(),
            scores,
            top: columns.top.map(TopBuilder::new),
            masks,
            weights: weights.map(|_| ListBuilder::default()).collect(),
            text: columns.text.then(StringBuilder::new),
            source: columns.source.then(StringBuilder::new),
            target: columns.target.then(ListBuilder::default),
        }
    }

    /// Sets the shard of the rows to come.
    pub(super) fn of_shard(&mut self, shard: &str) {
        if self.shard != shard {
            shard.clone_into(&mut self.shard);
        }
    }

    /// The shard of the rows to come.
    pub(super) fn shard(&self) -> &str {
        &self.shard
    }

    /// Adds a row whose lists are known to match each other and the schema.
    pub(crate) fn push(&mut self, row: &MaskRow) {
        self.id.append_value(&row.id);
        self.shards.append_value(&self.shard);
        self.row.append_value(row.row);
        self.token_hash.append_value(token_hash(&row.input_ids));
        for token in &row.input_ids {
            self.input_ids.values().append_value(token.cast_signed());
        }
        self.input_ids.append(true);
        if let (Some(column), Some(target)) = (&mut self.target, &row.target) {
            column.values().append_slice(target);
            column.append(true);
        }
        for (column, scores) in self.scores.iter_mut().zip(&row.scores) {
            column.push(scores);
        }
        if let (Some(columns), Some(top)) = (&mut self.top, &row.top) {
            columns.push(top);
        }
        for (column, mask) in self.masks.iter_mut().zip(&row.masks) {
            column.values().append_slice(mask);
            column.append(true);
        }
        for (column, weights) in self.weights.iter_mut().zip(&row.weights) {
            column.values().append_slice(weights);
            column.append(true);
        }
        if let Some(column) = &mut self.text {
            let text = row.text.as_deref().unwrap_or_default();
            column.append_value(text);
            self.text_bytes += text.len();
        }
        if let Some(column) = &mut self.source {
            column.append_option(row.source.as_deref());
            self.id_bytes += row.source.as_ref().map_or(0, String::len);
        }
        self.rows += 1;
        self.tokens += row.input_ids.len();
        self.id_bytes += row.id.len();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= FULL_ROWS
            || self.tokens >= FULL_TOKENS
            || self
                .top
                .as_ref()
                .is_some_and(|top| top.items() >= FULL_TOP_ITEMS)
            || self.id_bytes.max(self.text_bytes) >= FULL_STRING_BYTES
    }

    /// Takes the added rows as a batch.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.shards.finish()),
            Arc::new(self.row.finish()),
            Arc::new(self.token_hash.finish()),
            Arc::new(self.input_ids.finish()),
        ];
        if let Some(column) = &mut self.source {
            columns.push(Arc::new(column.finish()));
        }
        if let Some(column) = &mut self.target {
            columns.push(Arc::new(column.finish()));
        }
        for column in &mut self.scores {
            columns.push(column.finish());
        }
        if let Some(top) = &mut self.top {
            columns.extend(top.finish());
        }
        for column in &mut self.masks {
            columns.push(Arc::new(column.finish()));
        }
        for column in &mut self.weights {
            columns.push(Arc::new(column.finish()));
        }
        if let Some(column) = &mut self.text {
            columns.push(Arc::new(column.finish()));
        }
        self.rows = 0;
        self.tokens = 0;
        self.id_bytes = 0;
        self.text_bytes = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}
