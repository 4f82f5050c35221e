//! Finds the row of each document. Rows wait in memory up to a bound; if there are more, they and all documents are
//! divided among partitions on disk by the hash of their key, and each partition is joined by itself.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
};

use super::{plan::JoinPlan, table::Row};
use crate::{
    hinted_error::HintedError,
    on_disk::{Partitions, Place, Record, read_number, write_number},
    stop::Stop,
};

/// A document that waits for its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) key: Box<[u8]>,
    /// Its number in the corpus.
    pub(super) document: u64,
    /// The number of its first token in the corpus, and of its tokens.
    pub(super) first_token: u64,
    pub(super) tokens: u64,
}

impl Record for Waiting {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let numbers = [
            self.document,
            self.first_token,
            self.tokens,
            self.key.len() as u64,
        ];
        numbers
            .iter()
            .try_for_each(|&number| write_number(to, number))?;
        to.write_all(&self.key)
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut number = || read_number(from);
        let [document, first_token, tokens, length] = [number()?, number()?, number()?, number()?];
        let mut key = vec![0; length as usize];
        from.read_exact(&mut key)?;
        Ok(Self {
            key: key.into(),
            document,
            first_token,
            tokens,
        })
    }
}

/// What comes next, none at the end.
type Next<'a, T> = &'a mut dyn FnMut() -> anyhow::Result<Option<T>>;

/// Pairs documents with rows.
pub(super) struct Pairs<'a> {
    pub(super) plan: &'a JoinPlan,
    pub(super) place: &'a Place,
    pub(super) stop: &'a Stop,
}

impl Pairs<'_> {
    /// Passes each document to `each`, with its row if there is one. False if the run is stopped.
    pub(super) fn run(
        &self,
        rows: Next<'_, Row>,
        documents: Next<'_, Waiting>,
        each: &mut dyn FnMut(&Waiting, Option<&Row>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        self.level(rows, documents, each, 0)
    }

    /// `depth` counts the partitions around these rows: it varies the hash.
    fn level(
        &self,
        rows: Next<'_, Row>,
        documents: Next<'_, Waiting>,
        each: &mut dyn FnMut(&Waiting, Option<&Row>) -> anyhow::Result<()>,
        depth: u64,
    ) -> anyhow::Result<bool> {
        let mut by_key: HashMap<Box<[u8]>, Row> = HashMap::new();
        let mut bytes = 0;
        while let Some(row) = rows()? {
            if self.stop.requested() {
                return Ok(false);
            }
            if let Some(before) = by_key.get(&row.key) {
                if !before.says_the_same(&row) {
                    return Err(self.two(before, &row));
                }
                continue;
            }
            bytes += row.bytes();
            by_key.insert(row.key.clone(), row);
            // A single row stays even if it is larger than the bound.
            if bytes > self.plan.memory && by_key.len() > 1 {
                return self.on_disk(by_key, rows, documents, each, depth);
            }
        }
        while let Some(document) = documents()? {
            if self.stop.requested() {
                return Ok(false);
            }
            each(&document, by_key.get(&document.key))?;
        }
        Ok(true)
    }

    fn on_disk(
        &self,
        by_key: HashMap<Box<[u8]>, Row>,
        rows: Next<'_, Row>,
        documents: Next<'_, Waiting>,
        each: &mut dyn FnMut(&Waiting, Option<&Row>) -> anyhow::Result<()>,
        depth: u64,
    ) -> anyhow::Result<bool> {
        let mut of_rows = Partitions::new(self.place, depth)?;
        for row in by_key.into_values() {
            of_rows.write(&row.key, &row)?;
        }
        while let Some(row) = rows()? {
            if self.stop.requested() {
                return Ok(false);
            }
            of_rows.write(&row.key, &row)?;
        }
        let mut of_documents = Partitions::new(self.place, depth)?;
        while let Some(document) = documents()? {
            if self.stop.requested() {
                return Ok(false);
            }
            of_documents.write(&document.key, &document)?;
        }
        for (mut rows, mut documents) in of_rows.read()?.into_iter().zip(of_documents.read()?) {
            let whole = self.level(
                &mut || rows.next(),
                &mut || documents.next(),
                each,
                depth + 1,
            )?;
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The error about two rows with one key that say different things.
    fn two(&self, before: &Row, row: &Row) -> anyhow::Error {
        let place = |row: &Row| {
            let file = self.plan.shards.get(row.file as usize);
            let file = file.map_or(String::new(), |file| file.path.display().to_string());
            format!("{file} row {}", row.row)
        };
        // Which of them was met first does not depend on what fits in memory.
        let (first, second) = match (before.file, before.row) < (row.file, row.row) {
            true => (before, row),
            false => (row, before),
        };
        HintedError::error(
            format!(
                "{}: expected one value for each {}, got another one than in {}",
                place(second),
                self.plan.on.name(),
                place(first)
            ),
            "leave one row for each document; equal rows may repeat",
        )
    }
}
