//! Finds and reads single documents of masks, with all their columns: the first, a random sample, or one by its id or
//! row. The statistics, which need all documents, read the files column by column instead.

use std::collections::BTreeSet;

use anyhow::Context as _;
use rho_formats::{MaskBatch, MaskColumns};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::files::Masks;
use crate::{document::Document, hinted_error::HintedError};

/// The position of a document in the mask files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPosition {
    file: usize,
    batch: usize,
    row: usize,
}

/// The columns that identify a row.
const NAMES: [&str; 3] = ["id", "shard", "row"];

impl Masks {
    /// Reads only the names of all documents, until `each` returns false.
    fn each_name(
        &self,
        mut each: impl FnMut(RowPosition, &MaskBatch) -> bool,
    ) -> anyhow::Result<()> {
        for file in 0..self.files.len() {
            let mut columns = self.open_file(file)?;
            let mut number = 0;
            while let Some(batch) = columns.next_of(&NAMES)? {
                for row in 0..batch.rows() {
                    let place = RowPosition {
                        file,
                        batch: number,
                        row,
                    };
                    if !each(place, &batch) {
                        return Ok(());
                    }
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// The first document, if there is any.
    pub(crate) fn first(&self) -> anyhow::Result<Option<RowPosition>> {
        let mut first = None;
        self.each_name(|place, _| {
            first = Some(place);
            false
        })?;
        Ok(first)
    }

    /// Random documents, in the order of the corpus; the same for the same seed and masks.
    pub(crate) fn sample(&self, count: usize, seed: u64) -> anyhow::Result<Vec<RowPosition>> {
        // The documents whose numbers have the lowest hashes.
        let mut lowest = BTreeSet::new();
        let mut number: u64 = 0;
        self.each_name(|place, _| {
            lowest.insert((xxh3_64_with_seed(&number.to_le_bytes(), seed), place));
            if lowest.len() > count {
                lowest.pop_last();
            }
            number += 1;
            true
        })?;
        let mut places: Vec<RowPosition> = lowest.into_iter().map(|(_, place)| place).collect();
        places.sort_unstable();
        Ok(places)
    }

    /// The first document with this id, and how many documents have it.
    ///
    /// # Errors
    /// If no document has it.
    pub(crate) fn by_id(&self, id: &str) -> anyhow::Result<(RowPosition, usize)> {
        let mut found: Option<(RowPosition, usize)> = None;
        let mut closest = Closest::to(id);
        self.each_name(|place, batch| {
            let name = batch.id(place.row);
            if name == id {
                found = Some(found.map_or((place, 1), |(first, count)| (first, count + 1)));
            } else if found.is_none() {
                closest.see(name);
            }
            true
        })?;
        found.ok_or_else(|| {
            HintedError::error(
                format!(
                    "{}: expected a document with the id {id:?}, got none",
                    self.path.display()
                ),
                closest.hint("id"),
            )
        })
    }

    /// The document at this row, or the first of a shard. The shard may be omitted if there is only one.
    ///
    /// # Errors
    /// If there is no such document.
    pub(crate) fn by_row(
        &self,
        shard: Option<&str>,
        row: Option<i64>,
    ) -> anyhow::Result<RowPosition> {
        let (mut found, mut last) = (None, None);
        let mut shards: Vec<String> = Vec::new();
        self.each_name(|place, batch| {
            let name = batch.shard(place.row);
            if shards.last().is_none_or(|last| last != name) {
                shards.push(name.to_owned());
            }
            if shard.is_none_or(|shard| shard == name) {
                let number = batch.token_hash_and_row(place.row).1;
                last = last.max(Some(number));
                if row.is_none_or(|row| row == number) && found.is_none() {
                    found = Some(place);
                }
            }
            true
        })?;
        let shown = self.path.display();
        if let (None, [_, _, ..]) = (shard, &shards[..]) {
            return Err(HintedError::error(
                format!(
                    "--row: expected --shard with it, because {shown} holds {} shards, got none",
                    shards.len()
                ),
                format!("name one of them, such as --shard {}", shards[0]),
            ));
        }
        found.ok_or_else(|| match (shard, last) {
            (Some(shard), None) => {
                let mut closest = Closest::to(shard);
                shards.iter().for_each(|name| closest.see(name));
                let message = format!("{shown}: expected a shard {shard:?}, got none");
                HintedError::error(message, closest.hint("shard"))
            }
            (_, last) => HintedError::error(
                format!(
                    "{shown}: expected a document at row {}, got none",
                    row.unwrap_or(0)
                ),
                match last {
                    Some(last) => format!(
                        "the last row is {last}; rows without a document are in rejected.jsonl"
                    ),
                    None => "the masks hold no document".to_owned(),
                },
            ),
        })
    }

    /// Reads documents, in the order of their places.
    pub(crate) fn documents(&self, places: &[RowPosition]) -> anyhow::Result<Vec<Document>> {
        let mut documents = Vec::with_capacity(places.len());
        let mut open: Option<(usize, MaskColumns)> = None;
        let mut held: Option<((usize, usize), MaskBatch)> = None;
        // Batches of the open file that were read or skipped.
        let mut read = 0;
        for place in places {
            let wanted = (place.file, place.batch);
            if held.as_ref().is_none_or(|(at, _)| *at != wanted) {
                let behind = open.as_ref().is_none_or(|(file, _)| *file != place.file);
                if behind || read > place.batch {
                    open = Some((place.file, self.open_file(place.file)?));
                    read = 0;
                }
                let columns = open.as_mut().map(|(_, columns)| columns);
                let columns = columns.context("no file is open")?;
                while read < place.batch {
                    columns.next_of(&[])?;
                    read += 1;
                }
                let batch = columns.next_batch()?;
                read += 1;
                held = Some((
                    wanted,
                    batch.context("the masks were truncated while they were read")?,
                ));
            }
            let (_, batch) = held.as_ref().context("no batch is held")?;
            documents.push(self.document(batch, place.row)?);
        }
        Ok(documents)
    }

    fn document(&self, batch: &MaskBatch, row: usize) -> anyhow::Result<Document> {
        let range = batch.documents().nth(row);
        let range = range.context("the masks were truncated while they were read")?;
        let numbers = |names: Vec<String>| {
            let columns = names.into_iter().map(|name| {
                let mut all = Vec::new();
                batch.all_scores(&name, &mut all);
                (name, all.get(range.clone()).unwrap_or_default().to_vec())
            });
            columns.collect()
        };
        let masks = self.masks().into_iter().map(|name| {
            let mut all = Vec::new();
            batch.mask(&name, &mut all);
            (name, all.get(range.clone()).unwrap_or_default().to_vec())
        });
        let codes = self.codes().into_iter().map(|name| {
            let mut all = Vec::new();
            batch.codes(&name, &mut all);
            (name, all.get(range.clone()).unwrap_or_default().to_vec())
        });
        Ok(Document {
            id: batch.id(row).to_owned(),
            shard: batch.shard(row).to_owned(),
            row: batch.token_hash_and_row(row).1,
            source: batch.source(row).map(str::to_owned),
            text: batch.text(row).map(str::to_owned),
            target: {
                let mut target = Vec::new();
                let found = batch.target(&mut target);
                found.then(|| target.get(range.clone()).unwrap_or_default().to_vec())
            },
            // No id is negative: the reader checked that.
            tokens: batch.input_ids()[range.clone()]
                .iter()
                .map(|id| id.cast_unsigned())
                .collect(),
            scores: numbers(self.scores()),
            weights: numbers(self.weights()),
            masks: masks.collect(),
            codes: codes.collect(),
        })
    }
}

/// The name that is most similar to another.
struct Closest<'a> {
    to: &'a str,
    found: Option<(f64, String)>,
}

impl<'a> Closest<'a> {
    fn to(to: &'a str) -> Self {
        Self { to, found: None }
    }

    fn see(&mut self, name: &str) {
        let likeness = strsim::jaro_winkler(self.to, name);
        if self.found.as_ref().is_none_or(|(best, _)| likeness > *best) {
            self.found = Some((likeness, name.to_owned()));
        }
    }

    fn hint(self, what: &str) -> String {
        match self.found {
            Some((_, name)) => format!("the closest {what} is {name:?}"),
            None => "the masks hold no document".to_owned(),
        }
    }
}
