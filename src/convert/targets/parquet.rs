//! Parquet with the masks' own columns, one file per shard. The files have the metadata of the masks.

use rho_formats::{
    MaskColumns,
    trainers::{Table, TableKind, TableSchema},
};

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written};
use crate::convert::documents::Documents;

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: true,
    weights: true,
    signed_weights: true,
    length: false,
    dtype: false,
    file_bytes: None,
    ends_documents: false,
    stream: false,
};

pub(super) struct OwnTable {
    schema: TableSchema,
}

struct OwnRows {
    table: Table,
    rows: u64,
}

impl OwnTable {
    pub(super) fn new(settings: &Settings, masks: &MaskColumns) -> Self {
        Self {
            schema: TableSchema::of_masks(masks, &settings.own_columns, &settings.metadata),
        }
    }
}

impl Target for OwnTable {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        let sink = files.create(".parquet")?;
        let table = Table::new(TableKind::Parquet, sink, self.schema.clone())?;
        Ok(Box::new(OwnRows { table, rows: 0 }))
    }
}

impl Writer for OwnRows {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        self.rows += documents.masks().rows() as u64;
        Ok(self.table.write_masks(documents.masks())?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        Ok(Written {
            files: vec![self.table.finish()?],
            rows: self.rows,
            ..Written::default()
        })
    }
}
