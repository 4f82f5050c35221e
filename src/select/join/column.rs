//! The numbers of all tokens of a corpus, on disk, as one column.

use std::collections::VecDeque;

use rho_formats::{MaskBatch, MaskColumns, Numbers};
use serde::{Deserialize, Serialize};

use super::{
    pairs::{Pairs, Waiting},
    plan::JoinPlan,
    table::{Row, Table},
};
use crate::{
    cli::{JoinMissing, JoinOn},
    hinted_error::HintedError,
    masks::finished::Input,
    on_disk::{Items, Place},
    stop::Stop,
};

/// Numbers that are gathered before they are written.
const WRITE: usize = 1 << 18;

/// A joined column.
pub(crate) struct Joined {
    name: String,
    /// The number of each document's first token.
    first_tokens: Items<u64>,
    /// NaN for tokens without a number.
    numbers: Items<f32>,
    pub(crate) counts: Counts,
}

/// What was joined.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Rows of the files.
    pub(crate) rows: u64,
    /// Documents with a row.
    pub(crate) documents: u64,
    /// Documents without one.
    pub(crate) missing: u64,
    /// Whether the rows have a number for each token.
    pub(crate) per_token: bool,
}

impl Joined {
    /// Reads the files and pairs them with the documents; `documents` is the number of them. None if the run is stopped.
    ///
    /// # Errors
    /// If a file cannot be read, or its rows do not fit the documents.
    pub(crate) fn of(
        plan: &JoinPlan,
        input: &Input,
        documents: u64,
        place: &Place,
        stop: &Stop,
    ) -> anyhow::Result<Option<Self>> {
        let mut table = Table::new(plan)?;
        let first_tokens = Items::new(place, documents)?;
        let numbers = Items::new(place, 0)?;
        let mut reading = Reading {
            input,
            on: plan.on,
            first_tokens: &first_tokens,
            stop,
            file: 0,
            open: None,
            document: 0,
            tokens: 0,
            ready: VecDeque::new(),
        };
        let mut writing = Writing {
            numbers: &numbers,
            start: 0,
            gathered: Vec::new(),
        };
        let mut counts = Counts::default();
        let pairs = Pairs { plan, place, stop };
        let whole = pairs.run(
            &mut || table.next(),
            &mut || reading.next(),
            &mut |waiting, row| {
                match row {
                    Some(_) => counts.documents += 1,
                    None => counts.missing += 1,
                }
                let numbers = numbers_of(plan, input, waiting, row)?;
                writing.write(waiting.first_token, &numbers)
            },
        )?;
        writing.flush()?;
        if !whole || stop.requested() {
            return Ok(None);
        }
        plan.must_be_unchanged()?;
        counts.rows = table.rows;
        counts.per_token = table.has_lists();
        Ok(Some(Self {
            name: plan.column.clone(),
            first_tokens,
            numbers,
            counts,
        }))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The documents of a record batch with this column as their last one. `first` is the number of the first of them.
    pub(crate) fn add_to(&self, batch: &MaskBatch, first: u64) -> anyhow::Result<MaskBatch> {
        let mut numbers = Vec::new();
        if batch.tokens() > 0 {
            let mut start = Vec::new();
            self.first_tokens.read(first..first + 1, &mut start)?;
            let start = start.first().copied().unwrap_or_default();
            let tokens = start..start + batch.tokens() as u64;
            self.numbers.read(tokens, &mut numbers)?;
        }
        Ok(batch.with_scores(&self.name, &numbers)?)
    }
}

/// The numbers of a document's tokens; NaN for none.
fn numbers_of(
    plan: &JoinPlan,
    input: &Input,
    waiting: &Waiting,
    row: Option<&Row>,
) -> anyhow::Result<Vec<f32>> {
    let tokens = waiting.tokens as usize;
    let Some(row) = row else {
        return match plan.missing {
            JoinMissing::Null => Ok(vec![f32::NAN; tokens]),
            JoinMissing::Error => {
                let (name, hash) = name(input, waiting.document)?;
                let key = match plan.on {
                    JoinOn::TokenHash => format!("the token hash {hash}"),
                    JoinOn::Id => format!("the id of {name}"),
                };
                Err(HintedError::error(
                    format!(
                        "{name}: expected a row with {key} in {}, got none",
                        plan.shown()
                    ),
                    "use --join-missing null to give such documents no scores",
                ))
            }
        };
    };
    match &row.numbers {
        Numbers::Null => Ok(vec![f32::NAN; tokens]),
        Numbers::One(number) => Ok(vec![*number; tokens]),
        Numbers::Each(numbers) if numbers.len() == tokens => Ok(numbers.clone()),
        Numbers::Each(numbers) => {
            let (name, _) = name(input, waiting.document)?;
            let file = &plan.shards[row.file as usize].path;
            Err(HintedError::error(
                format!(
                    "{} row {}: expected a number for each of the {tokens} tokens of {name}, got {}",
                    file.display(),
                    row.row,
                    numbers.len()
                ),
                "the numbers are those of the masks' input_ids, special tokens included; null for tokens without one",
            ))
        }
    }
}

/// The name of a document, for messages, and its token hash.
fn name(input: &Input, document: u64) -> anyhow::Result<(String, i64)> {
    let mut left = document;
    for file in 0..input.files.len() {
        let mut columns = MaskColumns::open(&input.path(file))?;
        while let Some(batch) = columns.next_of(&["id", "shard", "row", "token_hash"])? {
            if left < batch.rows() as u64 {
                let row = left as usize;
                let (hash, number) = batch.token_hash_and_row(row);
                let (id, shard) = (batch.id(row), batch.shard(row));
                let place = format!("{shard}#{number}");
                let name = match id == place {
                    true => place,
                    false => format!("{id} ({place})"),
                };
                return Ok((format!("document {name}"), hash));
            }
            left -= batch.rows() as u64;
        }
    }
    Ok((format!("document {document}"), 0))
}

/// Reads the documents of masks, in order, and records where their tokens begin.
struct Reading<'a> {
    input: &'a Input,
    on: JoinOn,
    first_tokens: &'a Items<u64>,
    stop: &'a Stop,
    file: usize,
    open: Option<MaskColumns>,
    document: u64,
    tokens: u64,
    ready: VecDeque<Waiting>,
}

impl Reading<'_> {
    /// The next document; none at the end, or if the run is stopped.
    fn next(&mut self) -> anyhow::Result<Option<Waiting>> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(Some(next));
            }
            if self.stop.requested() || self.file == self.input.files.len() {
                return Ok(None);
            }
            let open = match &mut self.open {
                Some(open) => open,
                none => none.insert(MaskColumns::open(&self.input.path(self.file))?),
            };
            // A list says how many tokens each document has.
            let Some(batch) = open.next_of(&[self.on.name(), "input_ids"])? else {
                self.open = None;
                self.file += 1;
                continue;
            };
            let mut first_tokens = Vec::new();
            for (row, tokens) in batch.documents().enumerate() {
                first_tokens.push(self.tokens + tokens.start as u64);
                self.ready.push_back(Waiting {
                    key: match self.on {
                        JoinOn::TokenHash => batch.token_hash_and_row(row).0.to_le_bytes().into(),
                        JoinOn::Id => batch.id(row).as_bytes().into(),
                    },
                    document: self.document + row as u64,
                    first_token: self.tokens + tokens.start as u64,
                    tokens: tokens.len() as u64,
                });
            }
            self.first_tokens.write(self.document, &first_tokens)?;
            self.document += batch.rows() as u64;
            self.tokens += batch.tokens() as u64;
        }
    }
}

/// Writes numbers; those that follow each other together.
struct Writing<'a> {
    numbers: &'a Items<f32>,
    start: u64,
    gathered: Vec<f32>,
}

impl Writing<'_> {
    fn write(&mut self, first: u64, numbers: &[f32]) -> anyhow::Result<()> {
        let end = self.start + self.gathered.len() as u64;
        if first != end || self.gathered.len() > WRITE {
            self.flush()?;
            self.start = first;
        }
        self.gathered.extend_from_slice(numbers);
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if !self.gathered.is_empty() {
            self.numbers.write(self.start, &self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }
}
