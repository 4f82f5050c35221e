//! Parquet for torchtune's `SFTDataset`: `tokens` (int32) and `mask` (bool), token-aligned and *inverted*: true for
//! tokens not to train on. torchtune makes the labels, shifts them in its recipes, and packs by itself.

use rho_formats::trainers::{ListColumns, ListFields, Lists, TableKind, TableSchema};

use super::{
    Abilities, Settings,
    rows::{Layout, Row},
};
use crate::convert::alignment;

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: false,
    dtype: false,
    file_bytes: None,
    ends_documents: false,
    stream: false,
};

#[derive(Default)]
pub(super) struct Torchtune {
    tokens: Lists<i32>,
    mask: Lists<bool>,
}

impl Layout for Torchtune {
    const KIND: TableKind = TableKind::Parquet;

    fn schema(settings: &Settings) -> TableSchema {
        ListFields::default()
            .with::<i32>("tokens")
            .with::<bool>("mask")
            .schema(&settings.metadata)
    }

    fn push(&mut self, row: &Row<'_>) {
        self.tokens.push(|ids| row.ids(ids));
        self.mask.push(|mask| {
            for part in row.parts {
                alignment::dropped(part.chosen, mask);
            }
        });
    }

    fn take(&mut self, _packed: bool) -> ListColumns {
        ListColumns::default()
            .with(&mut self.tokens)
            .with(&mut self.mask)
    }
}
