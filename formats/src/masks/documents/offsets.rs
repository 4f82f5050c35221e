//! Takes a mask file, yields the byte offsets of the columns of each record batch, without reading the columns. Reads
//! the offsets of the lists, and refuses what the readers of rows refuse; the items are checked when they are read.

use std::fs::File;
use std::path::Path;

use arrow_schema::{ArrowError, DataType};

use super::super::batches::Batches;
use super::super::frames::{Frames, Layout, nodes};
use super::super::reader::{broken, open_batches};
use super::super::schema;
use super::{DocumentColumns, MaskDocuments, MaskError, read_at};

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) file: u32,
    /// The index of the batch in its file.
    pub(super) ordinal: u32,
    /// The number of its first document.
    pub(super) first: usize,
    pub(super) tokens: u32,
    pub(super) token_hash: u64,
    pub(super) input_ids: u64,
    pub(super) scores: Vec<Items>,
    pub(super) masks: Vec<Items>,
}

/// The byte offsets in the file of the items of a list column, for one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items {
    /// The validity bitmap; none if no item is null.
    pub(super) valid: Option<u64>,
    pub(super) values: u64,
    /// Whether the items are 16-bit numbers.
    pub(super) narrow: bool,
}

impl MaskDocuments {
    pub(super) fn add(&mut self, path: &Path) -> Result<(), MaskError> {
        let (batches, _) = open_batches(path)?;
        let Batches::Arrow(mut frames) = batches else {
            return Err(MaskError::Parquet {
                path: path.to_path_buf(),
            });
        };
        let wanted = Wanted::of(&frames, &self.columns).map_err(|column| MaskError::NoColumn {
            path: path.to_path_buf(),
            column,
        })?;
        let mut file = rho_files::open_named(path).map_err(|source| MaskError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let number = self.files.len() as u32;
        let mut ordinal = 0;
        loop {
            let layout = frames
                .next_layout()
                .map_err(|source| broken(path, source))?;
            let Some(layout) = layout else {
                return Ok(());
            };
            if frames.compressed() {
                return Err(MaskError::Compressed {
                    path: path.to_path_buf(),
                });
            }
            let added = self.add_batch(&mut file, number, ordinal, &wanted, &layout);
            added.map_err(|source| broken(path, source))?;
            ordinal += 1;
        }
    }

    fn add_batch(
        &mut self,
        file: &mut File,
        number: u32,
        ordinal: u32,
        wanted: &Wanted,
        layout: &Layout,
    ) -> Result<(), ArrowError> {
        let wrong = |expected: &str| ArrowError::IpcError(format!("expected {expected}"));
        let length = |buffer: usize| layout.buffers[buffer].end - layout.buffers[buffer].start;
        let mut bytes = Vec::new();
        let mut ends: Option<Vec<u8>> = None;
        let mut tokens = 0;
        for list in wanted.lists() {
            let [_, offsets, valid, values] = [0, 1, 2, 3].map(|i| list.buffers + i);
            let (null_list, null_item) = (layout.nulls[list.node], layout.nulls[list.node + 1]);
            if null_list || null_item && !list.may_be_null {
                return Err(wrong("no null"));
            }
            if length(offsets) < (layout.rows as u64 + 1) * 4 {
                return Err(wrong("an offset for each list"));
            }
            let place = layout.buffers[offsets].start;
            read_at(file, place, (layout.rows + 1) * 4, &mut bytes)?;
            match &ends {
                None => {
                    tokens = self.add_offsets(&bytes).ok_or_else(|| {
                        wrong("lists that start at their first item and follow one another")
                    })?;
                    ends = Some(bytes.clone());
                }
                Some(ends) if *ends != bytes => {
                    return Err(wrong("as many scores and masks as tokens"));
                }
                Some(_) => {}
            }
            let bytes_of = |bits: u64| (bits * u64::from(tokens)).div_ceil(8);
            if length(values) < bytes_of(list.bits) || null_item && length(valid) < bytes_of(1) {
                return Err(wrong("an item for each token"));
            }
        }
        if layout.nulls[wanted.hash.node]
            || length(wanted.hash.buffers + 1) < layout.rows as u64 * 8
        {
            return Err(wrong("a hash for each document"));
        }
        let items = |lists: &[ColumnBuffers]| -> Vec<Items> {
            let items = lists.iter().map(|list| Items {
                valid: layout.nulls[list.node + 1].then(|| layout.buffers[list.buffers + 2].start),
                values: layout.buffers[list.buffers + 3].start,
                narrow: list.bits == 16,
            });
            items.collect()
        };
        self.tokens += u64::from(tokens);
        self.batches.push(Batch {
            file: number,
            ordinal,
            first: self.documents.len() - layout.rows,
            tokens,
            token_hash: layout.buffers[wanted.hash.buffers + 1].start,
            input_ids: layout.buffers[wanted.input_ids.buffers + 3].start,
            scores: items(&wanted.scores),
            masks: items(&wanted.masks),
        });
        Ok(())
    }

    /// Adds the documents of a batch. Returns their number of tokens; none if the offsets are not in order.
    fn add_offsets(&mut self, bytes: &[u8]) -> Option<u32> {
        let batch = u32::try_from(self.batches.len()).ok()?;
        let mut last = 0;
        for (i, offset) in bytes.as_chunks().0.iter().enumerate() {
            let offset = u32::try_from(i32::from_le_bytes(*offset)).ok()?;
            if offset < last || i == 0 && offset > 0 {
                return None;
            }
            if i > 0 {
                self.documents.push((batch, last));
            }
            last = offset;
        }
        Some(last)
    }
}

/// The positions of the requested columns in every batch of a file.
struct Wanted {
    hash: ColumnBuffers,
    input_ids: ColumnBuffers,
    scores: Vec<ColumnBuffers>,
    masks: Vec<ColumnBuffers>,
}

/// The index of a column's first buffer and of its node.
struct ColumnBuffers {
    buffers: usize,
    node: usize,
    /// The size of a list item, in bits.
    bits: u64,
    may_be_null: bool,
}

impl Wanted {
    /// The error is the name of the first missing column.
    fn of(frames: &Frames, columns: &DocumentColumns) -> Result<Self, String> {
        let place = |name: &str, kinds: &[DataType]| {
            let mut node = 0;
            for (i, field) in frames.schema().fields().iter().enumerate() {
                let kind = field.data_type();
                if field.name() == name && kinds.iter().any(|k| kind.equals_datatype(k)) {
                    let bits = match kind {
                        DataType::List(item) => match item.data_type() {
                            DataType::Boolean => 1,
                            DataType::Float16 => 16,
                            _ => 32,
                        },
                        _ => 64,
                    };
                    return Ok(ColumnBuffers {
                        buffers: frames.buffers_of(i).start,
                        node,
                        bits,
                        may_be_null: schema::is_number(field),
                    });
                }
                node += nodes(kind);
            }
            Err(name.to_owned())
        };
        let numbers = schema::numbers();
        let all = |names: &[String], kinds: &[DataType]| -> Result<Vec<ColumnBuffers>, String> {
            names.iter().map(|name| place(name, kinds)).collect()
        };
        Ok(Self {
            hash: place(schema::TOKEN_HASH, &[DataType::Int64])?,
            input_ids: place(schema::INPUT_IDS, &[schema::ids()])?,
            scores: all(&columns.scores, &numbers)?,
            masks: all(&columns.masks, &[schema::masks()])?,
        })
    }

    /// All list columns.
    fn lists(&self) -> impl Iterator<Item = &ColumnBuffers> {
        [&self.input_ids]
            .into_iter()
            .chain(&self.scores)
            .chain(&self.masks)
    }
}
