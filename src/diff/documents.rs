//! The documents of some masks, one by one in their order, with the columns to compare.

use std::ops::Range;

use anyhow::Context as _;
use rho_formats::{MaskBatch, MaskColumns};

use crate::masks::files::Masks;

/// A document with the compared columns. Lists have one entry per token.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) shard: String,
    pub(super) row: i64,
    pub(super) source: Option<String>,
    pub(super) token_hash: i64,
    pub(super) tokens: usize,
    /// Scores and weights, in the order of [`Columns::numbers`]; NaN if a token has none.
    pub(super) numbers: Vec<Vec<f32>>,
    /// In the order of [`Columns::masks`].
    pub(super) masks: Vec<Vec<bool>>,
}

impl Document {
    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        // With its key, and a queue of its own that has room for four.
        const FIXED: usize = 800;
        let names = self.id.len() + self.shard.len() + self.source.as_ref().map_or(0, String::len);
        let lists = self.tokens * (self.numbers.len() * 4 + self.masks.len());
        (FIXED + names + lists) as u64
    }
}

/// Yields documents in a fixed order.
pub(super) trait Documents {
    /// The next document; none at the end.
    fn next(&mut self) -> anyhow::Result<Option<Document>>;
}

/// The columns that two masks have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Columns {
    /// Scores, then weights.
    pub(super) numbers: Vec<String>,
    pub(super) masks: Vec<String>,
}

/// Reads the documents of masks.
pub(super) struct FromFiles<'a> {
    masks: &'a Masks,
    columns: &'a Columns,
    /// The next file.
    file: usize,
    open: Option<MaskColumns>,
    loaded: Option<Loaded>,
}

/// A record batch, with the next row to yield.
struct Loaded {
    batch: MaskBatch,
    documents: Vec<Range<usize>>,
    numbers: Vec<Vec<f32>>,
    masks: Vec<Vec<bool>>,
    row: usize,
}

impl<'a> FromFiles<'a> {
    pub(super) fn new(masks: &'a Masks, columns: &'a Columns) -> Self {
        Self {
            masks,
            columns,
            file: 0,
            open: None,
            loaded: None,
        }
    }

    /// Reads the next record batch; false at the end.
    fn load(&mut self) -> anyhow::Result<bool> {
        let mut wanted = vec!["id", "shard", "source"];
        let named = self.columns.numbers.iter().chain(&self.columns.masks);
        wanted.extend(named.map(String::as_str));
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                none if self.file < self.masks.files.len() => {
                    self.file += 1;
                    none.insert(self.masks.open_file(self.file - 1)?)
                }
                _ => return Ok(false),
            };
            let Some(batch) = open.next_checked_of(&wanted)? else {
                self.open = None;
                continue;
            };
            let path = &self.masks.files[self.file - 1].path;
            let missing = |name: &str| format!("{}: expected a column {name:?}", path.display());
            let numbers = self.columns.numbers.iter().map(|name| {
                let mut all = Vec::new();
                let found = batch.scores(name, &mut all).then_some(all);
                found.with_context(|| missing(name))
            });
            let numbers = numbers.collect::<anyhow::Result<_>>()?;
            let masks = self.columns.masks.iter().map(|name| {
                let mut all = Vec::new();
                let found = batch.mask(name, &mut all).then_some(all);
                found.with_context(|| missing(name))
            });
            let masks = masks.collect::<anyhow::Result<_>>()?;
            self.loaded = Some(Loaded {
                documents: batch.documents().collect(),
                batch,
                numbers,
                masks,
                row: 0,
            });
            return Ok(true);
        }
    }
}

impl Documents for FromFiles<'_> {
    fn next(&mut self) -> anyhow::Result<Option<Document>> {
        loop {
            let next = self.loaded.as_mut().and_then(Loaded::next);
            if next.is_some() {
                return Ok(next);
            }
            if !self.load()? {
                return Ok(None);
            }
        }
    }
}

impl Loaded {
    fn next(&mut self) -> Option<Document> {
        let row = self.row;
        let tokens = self.documents.get(row)?.clone();
        self.row += 1;
        let (token_hash, number) = self.batch.token_hash_and_row(row);
        let numbers = self.numbers.iter();
        let masks = self.masks.iter();
        Some(Document {
            id: self.batch.id(row).to_owned(),
            shard: self.batch.shard(row).to_owned(),
            row: number,
            source: self.batch.source(row).map(str::to_owned),
            token_hash,
            tokens: tokens.len(),
            numbers: numbers.map(|all| all[tokens.clone()].to_vec()).collect(),
            masks: masks.map(|all| all[tokens.clone()].to_vec()).collect(),
        })
    }
}
