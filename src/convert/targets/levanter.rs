//! Parquet for levanter's `prebuilt` format: `input_ids` (int32) and `loss_weights` (f32), *prediction-aligned*: weight
//! `i` is that of token `i + 1`, and the last one is 0.
//!
//! levanter neither packs nor pads such rows: with `--length` they have the length of its sequences. It separates
//! documents by their end-of-sequence tokens, and padding consists of that token.

use rho_formats::trainers::{ListColumns, ListFields, Lists, TableKind, TableSchema};

use super::{
    Abilities, Settings,
    rows::{Layout, Row},
};
use crate::convert::alignment;

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: true,
    signed_weights: false,
    length: true,
    dtype: false,
    file_bytes: None,
    ends_documents: true,
    stream: false,
};

#[derive(Default)]
pub(super) struct Levanter {
    input_ids: Lists<i32>,
    loss_weights: Lists<f32>,
}

impl Layout for Levanter {
    const KIND: TableKind = TableKind::Parquet;

    fn schema(settings: &Settings) -> TableSchema {
        ListFields::default()
            .with::<i32>("input_ids")
            .with::<f32>("loss_weights")
            .schema(&settings.metadata)
    }

    fn push(&mut self, row: &Row<'_>) {
        self.input_ids.push(|ids| row.ids(ids));
        self.loss_weights.push(|weights| {
            for part in row.parts {
                alignment::shifted_weights(part.chosen, weights);
            }
            weights.resize(weights.len() + row.padding, 0.0);
        });
    }

    fn take(&mut self, _packed: bool) -> ListColumns {
        ListColumns::default()
            .with(&mut self.input_ids)
            .with(&mut self.loss_weights)
    }
}
