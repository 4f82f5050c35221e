//! A Hugging Face dataset with the columns that torchtitan's data loaders yield: `input`; `labels`, *shifted*: label
//! `i` is token `i + 1` or -100; `positions`, which restart with each document. All are int32 and of equal length.
//!
//! torchtitan separates documents by positions or, in other versions, by end-of-sequence tokens. Rows have both, and
//! padding consists of end-of-sequence tokens.

use rho_formats::trainers::{ListColumns, ListFields, Lists, TableKind, TableSchema};

use super::{
    Abilities, Settings,
    rows::{Layout, Row},
};
use crate::convert::alignment::{self, IGNORE};

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: true,
    dtype: false,
    file_bytes: None,
    ends_documents: true,
    stream: true,
};

#[derive(Default)]
pub(super) struct Torchtitan {
    input: Lists<i32>,
    labels: Lists<i32>,
    positions: Lists<i32>,
}

impl Layout for Torchtitan {
    const KIND: TableKind = TableKind::Arrow;

    fn schema(settings: &Settings) -> TableSchema {
        ListFields::default()
            .with::<i32>("input")
            .with::<i32>("labels")
            .with::<i32>("positions")
            .schema(&settings.metadata)
    }

    fn push(&mut self, row: &Row<'_>) {
        self.input.push(|ids| row.ids(ids));
        self.labels.push(|labels| {
            for part in row.parts {
                alignment::shifted_labels(part.ids, part.chosen, labels);
            }
            labels.resize(labels.len() + row.padding, IGNORE);
        });
        self.positions.push(|positions| row.positions(positions));
    }

    fn take(&mut self, _packed: bool) -> ListColumns {
        ListColumns::default()
            .with(&mut self.input)
            .with(&mut self.labels)
            .with(&mut self.positions)
    }
}
