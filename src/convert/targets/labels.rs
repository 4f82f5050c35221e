//! A Hugging Face dataset for Transformers, TRL and axolotl, to open with `datasets.load_from_disk`. Everything is
//! token-aligned, because the models shift labels themselves.
//!
//! | column | | in |
//! |---|---|---|
//! | `input_ids` | list&lt;int32&gt; | documents, sequences |
//! | `attention_mask` | list&lt;int8&gt;, 0 in the padding | documents, sequences |
//! | `labels` | list&lt;int32&gt;, -100 for tokens that are no targets | documents, sequences |
//! | `position_ids` | list&lt;int32&gt;, from 0 in every part and in the padding | sequences |
//! | `seq_lengths` | list&lt;int32&gt;, the length of each part, padding last; the name is TRL's | sequences |
//!
//! Transformers separates the documents of a sequence by `position_ids`, but only without a cache and if it gets no
//! `attention_mask`.

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
    ends_documents: false,
    stream: true,
};

#[derive(Default)]
pub(super) struct Labels {
    input_ids: Lists<i32>,
    attention_mask: Lists<i8>,
    labels: Lists<i32>,
    position_ids: Lists<i32>,
    seq_lengths: Lists<i32>,
}

impl Layout for Labels {
    const KIND: TableKind = TableKind::Arrow;

    const NOTE: Option<&'static str> = Some(
        "Transformers separates the documents of a sequence only without a cache and without an attention_mask: set \
         model.config.use_cache = False and remove that column, or documents see each other (docs/trainers.md)",
    );

    fn schema(settings: &Settings) -> TableSchema {
        let fields = ListFields::default()
            .with::<i32>("input_ids")
            .with::<i8>("attention_mask")
            .with::<i32>("labels");
        let fields = match settings.length {
            None => fields,
            Some(_) => fields
                .with::<i32>("position_ids")
                .with::<i32>("seq_lengths"),
        };
        fields.schema(&settings.metadata)
    }

    fn push(&mut self, row: &Row<'_>) {
        self.input_ids.push(|ids| row.ids(ids));
        self.attention_mask.push(|attended| {
            attended.resize(attended.len() + row.tokens(), 1);
            attended.resize(attended.len() + row.padding, 0);
        });
        self.labels.push(|labels| {
            for part in row.parts {
                alignment::labels(part.ids, part.chosen, labels);
            }
            labels.resize(labels.len() + row.padding, IGNORE);
        });
        self.position_ids.push(|positions| row.positions(positions));
        self.seq_lengths
            .push(|lengths| lengths.extend(row.lengths()));
    }

    fn take(&mut self, packed: bool) -> ListColumns {
        let columns = ListColumns::default()
            .with(&mut self.input_ids)
            .with(&mut self.attention_mask)
            .with(&mut self.labels);
        // Only sequences have these two columns: for single documents they would be trivial.
        let (mut positions, mut lengths) = (
            std::mem::take(&mut self.position_ids),
            std::mem::take(&mut self.seq_lengths),
        );
        match packed {
            false => columns,
            true => columns.with(&mut positions).with(&mut lengths),
        }
    }
}
