//! Takes the record batches of a mask file and other lists for the same tokens, yields a file whose rows are the same
//! documents: the columns that name a document are copied unchanged, the new lists replace scores and masks. The caller
//! decides what the lists hold.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, UInt8Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::copy::list;
use super::schema::{self, METADATA_KEY, TEXT};
use super::top::is_top;
use super::{
    BatchCompression, FileFormat, MaskBatch, MaskColumns, MaskCopy, MaskFile, MasksFolder,
    OutputError, Storage,
};

/// The lists of a file, and how they were computed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLists {
    /// Names of the columns of numbers: `list<float32>`, with nulls for missing items.
    pub numbers: Vec<String>,
    /// Names of the columns of codes, whose meanings are in the metadata: `list<uint8>`, with nulls for missing items.
    pub codes: Vec<String>,
    /// The metadata of the file.
    pub metadata: Value,
}

/// Writes a file of lists. Blocks on file I/O. The file has a temporary name until
/// [`publish_copy`](MasksFolder::publish_copy).
pub struct ListsCopy {
    copy: MaskCopy,
}

impl ListsCopy {
    /// Starts the file `name` of a folder, overwriting a leftover with its temporary name.
    ///
    /// # Errors
    /// If the name leads out of the folder, two columns have the same name, or the file cannot be created.
    pub fn create(
        folder: &MasksFolder,
        name: &str,
        like: &MaskColumns,
        format: FileFormat,
        new: &NewLists,
    ) -> Result<Self, OutputError> {
        let (schema, from) = new_schema(like.arrow(), new)?;
        let storage = Storage {
            format,
            compression: BatchCompression::None,
        };
        let copy = MaskCopy::begin(folder, name, schema, from, storage)?;
        Ok(Self { copy })
    }

    /// Adds a batch, with numbers (NaN for a missing one) and codes for its tokens in the order of [`NewLists`].
    ///
    /// # Errors
    /// If there are fewer of them than columns, their lengths differ from the number of tokens, or the file cannot be
    /// written.
    pub fn write(
        &mut self,
        batch: &MaskBatch,
        numbers: &[Vec<f32>],
        codes: &[Vec<Option<u8>>],
    ) -> Result<(), OutputError> {
        let some = |number: &f32| (!number.is_nan()).then_some(*number);
        let numbers = numbers.iter().map(|numbers| {
            let items: Float32Array = numbers.iter().map(some).collect();
            list(batch, Arc::new(items) as ArrayRef, DataType::Float32)
        });
        let codes = codes.iter().map(|codes| {
            let items: UInt8Array = codes.iter().copied().collect();
            list(batch, Arc::new(items) as ArrayRef, DataType::UInt8)
        });
        self.copy.put_batch(batch, numbers.chain(codes))
    }

    /// Completes the file and syncs it, still under its temporary name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<MaskFile, OutputError> {
        self.copy.finish()
    }
}

/// The schema of the new file, and the column each of its columns is copied from. New ones go before the text.
fn new_schema(
    old: &SchemaRef,
    new: &NewLists,
) -> Result<(SchemaRef, Vec<Option<usize>>), OutputError> {
    let made = |field: &Field| {
        schema::is_selected(field)
            || schema::is_score(field)
            || schema::is_codes(field)
            || is_top(field)
    };
    let mut fields: Vec<(Arc<Field>, Option<usize>)> = (0..)
        .zip(old.fields())
        .filter(|(_, field)| !made(field))
        .map(|(place, field)| (Arc::clone(field), Some(place)))
        .collect();
    let text = fields.iter().position(|(field, _)| field.name() == TEXT);
    let at = text.unwrap_or(fields.len());
    let numbers = new.numbers.iter().map(|name| (name, schema::weights()));
    let codes = new.codes.iter().map(|name| (name, schema::codes()));
    let added: Vec<_> = numbers
        .chain(codes)
        .map(|(name, kind)| (Arc::new(Field::new(name, kind, true)), None))
        .collect();
    fields.splice(at..at, added);
    let mut seen = HashSet::new();
    if let Some((twice, _)) = fields.iter().find(|(field, _)| !seen.insert(field.name())) {
        return Err(OutputError::ColumnTwice {
            name: twice.name().clone(),
        });
    }
    let (fields, from): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let mut metadata = old.metadata().clone();
    metadata.insert(METADATA_KEY.to_owned(), new.metadata.to_string());
    Ok((Arc::new(Schema::new_with_metadata(fields, metadata)), from))
}
