//! Takes the record batches of a mask file and new masks for the same tokens, yields a mask file of the same name: the
//! other columns are copied unchanged. The caller decides which tokens are kept.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use rho_files::{Folder, InsidePath};
use serde_json::Value;

use super::encode::{END, Encoder};
use super::names::{partial_of_file, rewritten_of_file};
use super::rewrite::rewrite;
use super::schema::{self, METADATA_KEY, TEXT, WEIGHT};
use super::writer::writing;
use super::{FileFormat, MaskBatch, MaskColumns, MaskFile, MasksFolder, OutputError, Storage};

/// The columns that replace the masks and weights of a file, and how they were computed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewColumns {
    /// Whether the masks and weights of the old file are kept.
    pub keep: bool,
    /// Names of score columns that the batches have in addition to those of the old file, as their last columns.
    pub scores: Vec<String>,
    /// Names of the mask columns.
    pub masks: Vec<String>,
    /// Names of the weight columns; they start with `weight_`.
    pub weights: Vec<String>,
    /// The metadata of the new file.
    pub metadata: Value,
}

/// Writes a mask file from another one. Blocks on file I/O. The file has a temporary name until
/// [`publish_copy`](MasksFolder::publish_copy).
pub struct MaskCopy {
    folder: Folder,
    name: InsidePath,
    path: PathBuf,
    schema: SchemaRef,
    /// For each column the index of the one it is copied from; `None` for new ones.
    from: Vec<Option<usize>>,
    encoder: Encoder,
    storage: Storage,
    file: File,
    bytes: u64,
}

impl MaskCopy {
    /// Starts the file `name` of a folder, overwriting a leftover with its temporary name. See
    /// [`mask_file_name_in`](super::mask_file_name_in) for names that say the format.
    ///
    /// # Errors
    /// If the name leads out of the folder, two columns have the same name, or the file cannot be created.
    pub fn create(
        folder: &MasksFolder,
        name: &str,
        like: &MaskColumns,
        storage: Storage,
        new: &NewColumns,
    ) -> Result<Self, OutputError> {
        let (schema, from) = new_schema(like.arrow(), new)?;
        Self::begin(folder, name, schema, from, storage)
    }

    /// Starts a file with all columns of another one, and other metadata.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn whole(
        folder: &MasksFolder,
        name: &str,
        like: &MaskColumns,
        storage: Storage,
        metadata: &Value,
    ) -> Result<Self, OutputError> {
        let old = like.arrow();
        let from = (0..old.fields().len()).map(Some).collect();
        let mut other = old.metadata().clone();
        other.insert(METADATA_KEY.to_owned(), metadata.to_string());
        let schema = Arc::new(Schema::new_with_metadata(old.fields().clone(), other));
        Self::begin(folder, name, schema, from, storage)
    }

    /// Starts the file with these columns; `from` says which column each is copied from.
    pub(super) fn begin(
        folder: &MasksFolder,
        name: &str,
        schema: SchemaRef,
        from: Vec<Option<usize>>,
        storage: Storage,
    ) -> Result<Self, OutputError> {
        let name = InsidePath::new(name)?;
        let partial = partial_of_file(&name);
        let path = folder.path().join(&partial);
        let file = folder.folder().create(&partial);
        let file = file.map_err(|source| OutputError::Create {
            path: path.clone(),
            source,
        })?;
        let encoder =
            Encoder::new(&schema, storage.compression).map_err(|source| writing(&path, source))?;
        let mut copy = Self {
            folder: folder.folder().clone(),
            name,
            path,
            schema,
            from,
            encoder,
            storage,
            file,
            bytes: 0,
        };
        let schema = copy.encoder.schema().to_vec();
        copy.put(&schema)?;
        Ok(copy)
    }

    /// Adds a batch, with masks and weights for its tokens in the order of [`NewColumns`].
    ///
    /// # Errors
    /// If there are fewer of them than columns, their lengths differ from the number of tokens, or the file cannot be
    /// written.
    pub fn write(
        &mut self,
        batch: &MaskBatch,
        masks: &[&[bool]],
        weights: &[&[f32]],
    ) -> Result<(), OutputError> {
        let masks = masks
            .iter()
            .map(|mask| list(batch, Arc::new(bits(mask)) as ArrayRef, DataType::Boolean));
        let weights = weights.iter().map(|weights| {
            let values = Float32Array::from(weights.to_vec());
            list(batch, Arc::new(values) as ArrayRef, DataType::Float32)
        });
        self.put_batch(batch, masks.chain(weights))
    }

    /// Adds a batch; `new` yields the columns that are not copied.
    pub(super) fn put_batch(
        &mut self,
        batch: &MaskBatch,
        mut new: impl Iterator<Item = Result<ArrayRef, ArrowError>>,
    ) -> Result<(), OutputError> {
        let mut columns = Vec::with_capacity(self.from.len());
        for from in &self.from {
            columns.push(match from {
                Some(place) => Ok(Arc::clone(batch.batch.column(*place))),
                None => new.next().unwrap_or_else(|| {
                    let missing = "as many new lists as columns".to_owned();
                    Err(ArrowError::InvalidArgumentError(missing))
                }),
            });
        }
        let columns: Result<Vec<ArrayRef>, ArrowError> = columns.into_iter().collect();
        let bytes = columns
            .and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns))
            .and_then(|batch| self.encoder.batch(&batch))
            .map_err(|source| writing(&self.path, source))?;
        self.put(&bytes)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Completes the file and syncs it, still under a temporary name. Of another format than a stream, the stream stays
    /// until [`publish_copy`](MasksFolder::publish_copy).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<MaskFile, OutputError> {
        self.put(&END)?;
        self.file.sync_all().map_err(|source| OutputError::Write {
            path: self.path.clone(),
            source,
        })?;
        let rewritten = self.storage.format != FileFormat::ArrowStream;
        let (from, to) = (partial_of_file(&self.name), rewritten_of_file(&self.name));
        Ok(MaskFile {
            bytes: match rewritten {
                true => rewrite(&self.folder, &from, &to, self.storage)?,
                false => self.bytes,
            },
            name: self.name,
            rewritten,
        })
    }

    /// Removes the file. Its folders stay: other threads may be about to write there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard(self) -> Result<(), OutputError> {
        let name = partial_of_file(&self.name);
        let removed = self.folder.remove_file(&name);
        removed.map_err(|source| OutputError::Write {
            path: self.path,
            source,
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| OutputError::Write {
            path: self.path.clone(),
            source,
        })?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// The schema of the new file, and the column each of its columns is copied from. New masks and weights go where masks
/// do: before the text; scores go behind the others.
fn new_schema(
    old: &SchemaRef,
    new: &NewColumns,
) -> Result<(SchemaRef, Vec<Option<usize>>), OutputError> {
    let mut fields: Vec<(Arc<Field>, Option<usize>)> = (0..)
        .zip(old.fields())
        .filter(|(_, field)| new.keep || !schema::is_selected(field))
        .map(|(place, field)| (Arc::clone(field), Some(place)))
        .collect();
    let kind = &schema::numbers()[0];
    let scores = (old.fields().len()..)
        .zip(&new.scores)
        .map(|(place, name)| {
            let field = Field::new(name, kind.clone(), true);
            (Arc::new(field), Some(place))
        });
    let others = |(field, _): &(Arc<Field>, _)| schema::is_selected(field) || field.name() == TEXT;
    let last = fields
        .iter()
        .rposition(|(field, _)| schema::is_score(field));
    let first_other = fields.iter().position(others);
    let at = last.map(|last| last + 1).or(first_other);
    let at = at.unwrap_or(fields.len());
    for name in &new.scores {
        if fields.iter().any(|(field, _)| field.name() == name) {
            return Err(OutputError::ColumnTwice { name: name.clone() });
        }
    }
    fields.splice(at..at, scores.collect::<Vec<_>>());
    let text = fields.iter().position(|(field, _)| field.name() == TEXT);
    let at = text.unwrap_or(fields.len());
    let masks = new.masks.iter().map(|name| (name, schema::masks()));
    let weights = new.weights.iter().map(|name| (name, schema::weights()));
    let added: Vec<_> = masks
        .chain(weights)
        .map(|(name, kind)| (Arc::new(Field::new(name, kind, true)), None))
        .collect();
    for (field, _) in &added {
        let taken = fields.iter().any(|(other, _)| other.name() == field.name());
        let twice = added
            .iter()
            .filter(|(other, _)| other.name() == field.name());
        if taken || twice.count() > 1 {
            return Err(OutputError::ColumnTwice {
                name: field.name().clone(),
            });
        }
    }
    debug_assert!(new.weights.iter().all(|name| name.starts_with(WEIGHT)));
    fields.splice(at..at, added);
    let (fields, from): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let mut metadata = old.metadata().clone();
    metadata.insert(METADATA_KEY.to_owned(), new.metadata.to_string());
    Ok((Arc::new(Schema::new_with_metadata(fields, metadata)), from))
}

fn bits(mask: &[bool]) -> BooleanArray {
    BooleanArray::new(BooleanBuffer::collect_bool(mask.len(), |i| mask[i]), None)
}

/// Items as one list per document of a batch.
pub(super) fn list(
    batch: &MaskBatch,
    items: ArrayRef,
    kind: DataType,
) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new_list_field(kind, true));
    let list = ListArray::try_new(field, batch.offsets.clone(), items, None)?;
    Ok(Arc::new(list))
}
