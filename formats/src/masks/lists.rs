//! Takes the record batches of a mask file with other lists for the same tokens, yields a file whose rows are the same
//! documents: what names a document is copied as it lies, scores and masks give way to the new lists. What the lists say
//! is decided elsewhere.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, UInt8Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::copy::list;
use super::schema::{self, METADATA_KEY, TEXT};
use super::{
    BatchCompression, MaskBatch, MaskColumns, MaskCopy, MaskFile, MasksFolder, OutputError,
};

/// The lists of a file, and how they were made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLists {
    /// Names of columns of numbers: `list<float32>`, null where there is none.
    pub numbers: Vec<String>,
    /// Names of columns of codes, which stand for words that the metadata tells: `list<uint8>`, null where there is none.
    pub codes: Vec<String>,
    /// The metadata of the file.
    pub metadata: Value,
}

/// Writes a file of lists. Blocks, as files do. It has a temporary name until
/// [`publish_copy`](MasksFolder::publish_copy).
pub struct ListsCopy {
    copy: MaskCopy,
}

impl ListsCopy {
    /// Begins the file `name` of a folder, whatever lay there under its temporary name.
    ///
    /// # Errors
    /// Where the name leads out of the folder, two columns have one name, or the file cannot be made.
    pub fn create(
        folder: &MasksFolder,
        name: &str,
        like: &MaskColumns,
        new: &NewLists,
    ) -> Result<Self, OutputError> {
        let (schema, from) = new_schema(like.arrow(), new)?;
        let copy = MaskCopy::begin(folder, name, schema, from, BatchCompression::None)?;
        Ok(Self { copy })
    }

    /// Adds a batch, with numbers (NaN for none) and codes for its tokens in the order of [`NewLists`].
    ///
    /// # Errors
    /// Where there are not as many of them as tokens, or the file cannot be written.
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

    /// Completes the file and puts it onto the disk, still under its temporary name.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(self) -> Result<MaskFile, OutputError> {
        self.copy.finish()
    }
}

/// The schema of the new file, and where its columns are from. New ones stand before the text.
fn new_schema(
    old: &SchemaRef,
    new: &NewLists,
) -> Result<(SchemaRef, Vec<Option<usize>>), OutputError> {
    let made = |field: &Field| {
        schema::is_selected(field) || schema::is_score(field) || schema::is_codes(field)
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
