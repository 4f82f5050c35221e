//! Tables whose rows are training examples: documents, or packed sequences of one length. Each [`Layout`] defines the
//! columns and their alignment.
//!
//! Documents without targets are left out before packing, and so are rows without targets: they teach nothing, and in
//! some trainers their mean loss over no tokens would be NaN.

use std::marker::PhantomData;

use rho_formats::{
    MasksFolder,
    trainers::{ListColumns, Sink, Table, TableKind, TableSchema},
};

use super::{Settings, ShardFiles, Target, Writer, Written};
use crate::convert::{
    documents::Documents,
    packing::{DocumentPart, Packer},
};

/// The most tokens in a record batch, unless a single row has more.
const FULL: usize = 1 << 18;

/// A row to add to a table.
pub(super) struct Row<'a> {
    /// One document, or the parts that share a sequence.
    pub(super) parts: &'a [DocumentPart<'a>],
    /// The number of padding entries after the parts.
    pub(super) padding: usize,
    /// The token id of padding.
    pub(super) pad: i32,
}

impl Row<'_> {
    /// The number of tokens, without padding.
    pub(super) fn tokens(&self) -> usize {
        self.parts.iter().map(|part| part.ids.len()).sum()
    }

    /// Appends its token ids, with padding.
    pub(super) fn ids(&self, to: &mut Vec<i32>) {
        for part in self.parts {
            to.extend_from_slice(part.ids);
        }
        to.resize(to.len() + self.padding, self.pad);
    }

    /// Appends the position of each token in its part; padding counts as a part.
    pub(super) fn positions(&self, to: &mut Vec<i32>) {
        for length in self.lengths() {
            to.extend(0..length);
        }
    }

    /// The length of each part, and of the padding if there is any. They are below 2^31, as lists in masks are.
    pub(super) fn lengths(&self) -> impl Iterator<Item = i32> {
        let parts = self.parts.iter().map(|part| part.ids.len());
        let padding = (self.padding > 0).then_some(self.padding);
        parts.chain(padding).map(|length| length as i32)
    }
}

/// The columns of a table.
pub(super) trait Layout: Default + 'static {
    /// The kind of file that the trainer reads.
    const KIND: TableKind;

    /// What a user of packed sequences should know and would not notice.
    const NOTE: Option<&'static str> = None;

    /// The columns, for documents or for sequences.
    fn schema(settings: &Settings) -> TableSchema;

    /// Adds a row.
    fn push(&mut self, row: &Row<'_>);

    /// Takes the added rows, with columns in the order of the schema. `packed`: sequences, not documents.
    fn take(&mut self, packed: bool) -> ListColumns;
}

/// A table of such rows.
pub(super) struct Rows<L> {
    settings: Settings,
    layout: PhantomData<fn() -> L>,
}

impl<L: Layout> Rows<L> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            layout: PhantomData,
        }
    }

    fn writer(&self, sink: Sink) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(RowWriter {
            packer: self.settings.length.map(Packer::new),
            rows: Pending {
                table: Table::new(L::KIND, sink, L::schema(&self.settings))?,
                layout: L::default(),
                pad: self.settings.pad(),
                packed: self.settings.length.is_some(),
                tokens: 0,
                count: 0,
            },
            left_out: 0,
        }))
    }
}

impl<L: Layout> Target for Rows<L> {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        self.writer(files.create(match L::KIND {
            TableKind::Arrow => ".arrow",
            TableKind::Parquet => ".parquet",
        })?)
    }

    fn stream(&self, sink: Sink) -> Option<anyhow::Result<Box<dyn Writer>>> {
        (L::KIND == TableKind::Arrow).then(|| self.writer(sink))
    }

    fn note(&self) -> Option<&'static str> {
        self.settings.length.and(L::NOTE)
    }

    fn index(&self) -> &'static [&'static str] {
        match L::KIND {
            TableKind::Parquet => &[],
            _ => &[DATASET_INFO, STATE],
        }
    }

    fn finish(&self, folder: &MasksFolder, shards: &[&Written]) -> anyhow::Result<()> {
        if L::KIND == TableKind::Parquet {
            return Ok(());
        }
        // `datasets.load_from_disk` needs this file.
        folder.file(DATASET_INFO, Some(&|file| file.write_all(b"{}")))?;
        let files = shards.iter().flat_map(|shard| &shard.files);
        Ok(folder.list(&self.settings.metadata, files)?)
    }
}

const DATASET_INFO: &str = "dataset_info.json";
const STATE: &str = "state.json";

struct RowWriter<L> {
    packer: Option<Packer>,
    rows: Pending<L>,
    left_out: u64,
}

/// The rows of the next record batch, and their table.
struct Pending<L> {
    table: Table,
    layout: L,
    pad: i32,
    packed: bool,
    tokens: usize,
    count: u64,
}

impl<L: Layout> Pending<L> {
    fn push(&mut self, parts: &[DocumentPart<'_>], padding: usize) -> anyhow::Result<()> {
        if parts.iter().all(|part| part.chosen.targets() == 0) {
            return Ok(());
        }
        let row = Row {
            parts,
            padding,
            pad: self.pad,
        };
        let tokens = row.tokens() + padding;
        // Flush before adding, so that a long document is not added to an almost full batch.
        if self.tokens > 0 && self.tokens + tokens > FULL {
            self.flush()?;
        }
        self.layout.push(&row);
        self.tokens += tokens;
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.tokens > 0 {
            self.table.write(self.layout.take(self.packed))?;
            self.tokens = 0;
        }
        Ok(())
    }
}

impl<L: Layout> Writer for RowWriter<L> {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        for document in documents.iter() {
            if document.chosen.targets() == 0 {
                self.left_out += 1;
                continue;
            }
            match &mut self.packer {
                None => {
                    let part = DocumentPart {
                        ids: document.input_ids,
                        chosen: document.chosen,
                    };
                    self.rows.push(&[part], 0)?;
                }
                Some(packer) => {
                    packer.add(&document);
                    if packer.is_full() {
                        packer.pack(|parts, padding| self.rows.push(parts, padding))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_shard(&mut self) -> anyhow::Result<()> {
        if let Some(packer) = &mut self.packer {
            packer.pack(|parts, padding| self.rows.push(parts, padding))?;
        }
        self.rows.flush()
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        Ok(Written {
            files: vec![self.rows.table.finish()?],
            rows: self.rows.count,
            left_out: self.left_out,
            ..Written::default()
        })
    }
}
