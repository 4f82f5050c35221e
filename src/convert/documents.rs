//! The documents of a record batch of masks, as targets read them: token ids, with an end-of-sequence token if the
//! target needs one, and the selection. Everything here is token-aligned; `alignment` converts it to what a target
//! expects.

use std::ops::Range;

use rho_formats::MaskBatch;

use super::{alignment::Targets, end_of_sequence::Ending};
use crate::hinted_error::HintedError;

/// The column with the tokens to train on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// A column of bits.
    Mask(String),
    /// A column of weights.
    Weights(String),
}

impl Column {
    pub(crate) fn name(&self) -> &str {
        let (Self::Mask(name) | Self::Weights(name)) = self;
        name
    }
}

/// The documents of a record batch, in order.
pub(crate) struct Documents {
    masks: MaskBatch,
    ids: Vec<i32>,
    chosen: Values,
    /// The end of each document's tokens; the first begins at 0.
    ends: Vec<usize>,
    /// Documents that an end-of-sequence token was added to.
    pub(crate) ended: usize,
}

enum Values {
    Bits(Vec<bool>),
    Weights(Vec<f32>),
}

/// One document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Document<'a> {
    /// Its own id, else `shard#row`.
    pub(crate) id: &'a str,
    /// The shard of the corpus it is from.
    pub(crate) shard: &'a str,
    /// Its row there.
    pub(crate) row: i64,
    /// XXH3 of the ids in the masks, before an end-of-sequence token was added.
    pub(crate) token_hash: i64,
    /// At least one.
    pub(crate) input_ids: &'a [i32],
    /// One entry per id.
    pub(crate) chosen: Targets<'a>,
}

/// The error that a target cannot express negative weights; `what` begins it.
pub(super) fn negative(what: &str, to: &str) -> anyhow::Error {
    HintedError::error(
        format!("{what}: expected weights of at least 0 for --to {to}, got negative ones"),
        "convert to parquet, jsonl or webdataset, whose readers get the numbers; or select again with --min-weight 0: the loss that this trainer computes is divided by the sum of the weights",
    )
}

impl Documents {
    /// Reads the documents of a record batch, with the selection of `column`.
    pub(super) fn of(
        masks: MaskBatch,
        column: Option<&Column>,
        ending: Ending,
    ) -> anyhow::Result<Self> {
        let tokens = masks.tokens();
        let (mut bits, mut weights) = (Vec::new(), Vec::new());
        let (found, chosen) = match column {
            // No selection: no token is a target.
            None => (true, Values::Bits(vec![false; tokens])),
            Some(Column::Mask(name)) => (masks.mask(name, &mut bits), Values::Bits(bits)),
            Some(Column::Weights(name)) => {
                (masks.scores(name, &mut weights), Values::Weights(weights))
            }
        };
        if !found {
            let name = column.map_or("", Column::name);
            // The plan has checked the columns, and all files have the same ones.
            return Err(HintedError::error(
                format!("expected a column {name:?} beside the others"),
                "the file is damaged: create it again",
            ));
        }
        let ranges: Vec<Range<usize>> = masks.documents().collect();
        let added: Vec<Option<i32>> = ranges
            .iter()
            .map(|range| ending.added(&masks.input_ids()[range.clone()]))
            .collect();
        let ended = added.iter().flatten().count();
        let mut documents = Self {
            ids: Vec::new(),
            ends: ranges.iter().map(|range| range.end).collect(),
            chosen,
            masks,
            ended,
        };
        if ended > 0 {
            documents.put(&ranges, &added);
        }
        Ok(documents)
    }

    /// Copies the ids and appends a token to some documents. It is no target, because the reference never saw it there.
    fn put(&mut self, ranges: &[Range<usize>], added: &[Option<i32>]) {
        let tokens = self.masks.tokens() + self.ended;
        let mut ids = Vec::with_capacity(tokens);
        let (mut bits, mut weights) = (Vec::new(), Vec::new());
        for ((range, added), end) in ranges.iter().zip(added).zip(&mut self.ends) {
            ids.extend_from_slice(&self.masks.input_ids()[range.clone()]);
            ids.extend(added);
            match &self.chosen {
                Values::Bits(all) => {
                    bits.extend_from_slice(&all[range.clone()]);
                    bits.extend(added.map(|_| false));
                }
                Values::Weights(all) => {
                    weights.extend_from_slice(&all[range.clone()]);
                    weights.extend(added.map(|_| 0.0));
                }
            }
            *end = ids.len();
        }
        self.ids = ids;
        self.chosen = match self.chosen {
            Values::Bits(_) => Values::Bits(bits),
            Values::Weights(_) => Values::Weights(weights),
        };
    }

    /// The documents; those without tokens are skipped.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Document<'_>> {
        let rows = (0..self.ends.len()).map(|row| (row, self.range(row)));
        let rows = rows.filter(|(_, tokens)| !tokens.is_empty());
        rows.map(|(row, tokens)| {
            let (token_hash, number) = self.masks.token_hash_and_row(row);
            Document {
                id: self.masks.id(row),
                shard: self.masks.shard(row),
                row: number,
                token_hash,
                input_ids: &self.ids()[tokens.clone()],
                chosen: match &self.chosen {
                    Values::Bits(bits) => Targets::Mask(&bits[tokens]),
                    Values::Weights(weights) => Targets::Weights(&weights[tokens]),
                },
            }
        })
    }

    /// Refuses negative weights, for the target `to`, which cannot express them.
    pub(super) fn must_not_be_negative(&self, to: &str) -> anyhow::Result<()> {
        let Values::Weights(weights) = &self.chosen else {
            return Ok(());
        };
        let Some(i) = weights.iter().position(|&weight| weight < 0.0) else {
            return Ok(());
        };
        let document = self.ends.iter().take_while(|&&end| end <= i).count();
        let (_, row) = self.masks.token_hash_and_row(document);
        let (shard, weight) = (self.masks.shard(document), weights[i]);
        Err(negative(&format!("{shard} row {row}: weight {weight}"), to))
    }

    /// The number of target tokens.
    pub(crate) fn targets(&self) -> usize {
        self.iter().map(|document| document.chosen.targets()).sum()
    }

    /// The record batch, for targets that write the masks' own columns.
    pub(crate) fn masks(&self) -> &MaskBatch {
        &self.masks
    }

    fn ids(&self) -> &[i32] {
        match self.ended {
            0 => self.masks.input_ids(),
            _ => &self.ids,
        }
    }

    fn range(&self, row: usize) -> Range<usize> {
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        begin..self.ends[row]
    }
}
