//! The rows of the other program's files: a key, and a number or a list of numbers.

use std::io::{self, Read, Write};

use rho_formats::{Content, ContentFields, Numbers, ReadOptions, Record as Line, ShardReader};
use tokio::runtime::Runtime;

use super::plan::JoinPlan;
use crate::{
    cli::{JoinOn, OPTION_NAMES},
    hinted_error::HintedError,
    on_disk::{Record, read_number, write_number},
    shards,
};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) key: Box<[u8]>,
    pub(super) numbers: Numbers,
    /// The index of its file, and its row there.
    pub(super) file: u64,
    pub(super) row: i64,
}

impl Row {
    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        const FIXED: usize = 160;
        let numbers = match &self.numbers {
            Numbers::Each(numbers) => size_of_val(numbers.as_slice()),
            _ => 0,
        };
        (FIXED + self.key.len() + numbers) as u64
    }

    /// Whether it says the same as another one.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
        match (&self.numbers, &other.numbers) {
            (Numbers::Each(a), Numbers::Each(b)) => bits(a) == bits(b),
            (a, b) => a == b,
        }
    }
}

impl Record for Row {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let (tag, numbers) = match &self.numbers {
            Numbers::Null => (0, &[][..]),
            Numbers::One(number) => (1, std::slice::from_ref(number)),
            Numbers::Each(numbers) => (2, &numbers[..]),
        };
        to.write_all(&[tag])?;
        let header = [self.file, self.row.cast_unsigned(), self.key.len() as u64];
        header
            .iter()
            .try_for_each(|&number| write_number(to, number))?;
        to.write_all(&self.key)?;
        write_number(to, numbers.len() as u64)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        to.write_all(&bytes)
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut tag = [0];
        from.read_exact(&mut tag)?;
        let (file, row) = (read_number(from)?, read_number(from)?.cast_signed());
        let mut key = vec![0; read_number(from)? as usize];
        from.read_exact(&mut key)?;
        let mut bytes = vec![0; read_number(from)? as usize * size_of::<f32>()];
        from.read_exact(&mut bytes)?;
        let numbers = bytes.as_chunks().0.iter().map(|n| f32::from_le_bytes(*n));
        let numbers: Vec<f32> = numbers.collect();
        Ok(Self {
            key: key.into(),
            numbers: match (tag, numbers.first()) {
                ([1], Some(&number)) => Numbers::One(number),
                ([2], _) => Numbers::Each(numbers),
                _ => Numbers::Null,
            },
            file,
            row,
        })
    }
}

/// Reads the rows of all files, in order.
pub(super) struct Table<'a> {
    plan: &'a JoinPlan,
    runtime: Runtime,
    options: ReadOptions,
    file: usize,
    open: Option<ShardReader>,
    /// Whether the rows have lists; none until one of them has a number.
    lists: Option<bool>,
    pub(super) rows: u64,
}

impl<'a> Table<'a> {
    pub(super) fn new(plan: &'a JoinPlan) -> anyhow::Result<Self> {
        Ok(Self {
            plan,
            runtime: shards::runtime()?,
            options: ReadOptions {
                content: ContentFields::Numbers {
                    numbers: plan.from.clone(),
                },
                source_field: Some(plan.on.name().to_owned()),
                names: OPTION_NAMES,
                ..ReadOptions::default()
            },
            file: 0,
            open: None,
            lists: None,
            rows: 0,
        })
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// If a file cannot be read, or a row has no key or no numbers.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Row>> {
        loop {
            let Some(shard) = self.plan.shards.get(self.file) else {
                return Ok(None);
            };
            let reader = match &mut self.open {
                Some(open) => open,
                none => {
                    let opened = shards::open(shard, &self.options);
                    none.insert(self.runtime.block_on(opened)?)
                }
            };
            let Some(line) = self.runtime.block_on(reader.next())? else {
                self.open = None;
                self.file += 1;
                continue;
            };
            self.rows += 1;
            return self.row(line).map(Some);
        }
    }

    fn row(&mut self, line: Line) -> anyhow::Result<Row> {
        let path = self.plan.shards[self.file].path.display();
        let document = match line {
            Line::Document(document) => document,
            Line::Rejected(rejection, _) => {
                return Err(HintedError::error(
                    format!("{path} row {}: {}", rejection.row, rejection.reason),
                    "each row needs a number, a list of numbers, or null; integers and floating-point numbers are read, decimals and texts are not: convert them first",
                ));
            }
        };
        let row = document.row;
        let on = self.plan.on;
        let key = document.source.ok_or_else(|| {
            HintedError::error(
                format!(
                    "{path} row {row}: expected {} in the column {:?}, got none",
                    match on {
                        JoinOn::TokenHash => "an integer",
                        JoinOn::Id => "a string or an integer",
                    },
                    on.name()
                ),
                "the column must have the name of --on, and a value in each row; a floating-point column cannot hold a token hash",
            )
        })?;
        let key: Box<[u8]> = match on {
            JoinOn::Id => key.into_bytes().into(),
            JoinOn::TokenHash => match key.parse::<i64>() {
                Ok(hash) => hash.to_le_bytes().into(),
                Err(_) => {
                    return Err(HintedError::error(
                        format!(
                            "{path} row {row}: expected a token hash as in the masks, a signed integer of 64 bits, got {key:?}"
                        ),
                        "pass the column token_hash of the masks on as it is, or join on the id",
                    ));
                }
            },
        };
        let Content::Numbers(numbers) = document.content else {
            // The options ask for numbers.
            return Err(HintedError::error(
                format!("{path} row {row}: expected numbers, got something else"),
                "name a column of numbers with --column",
            ));
        };
        let lists = match numbers {
            Numbers::Null => None,
            Numbers::One(_) => Some(false),
            Numbers::Each(_) => Some(true),
        };
        if let (Some(before), Some(now)) = (self.lists, lists)
            && before != now
        {
            let name = |lists: bool| if lists { "a list" } else { "a number" };
            return Err(HintedError::error(
                format!(
                    "{path} row {row}: expected {} as in the rows before, got {}",
                    name(before),
                    name(now)
                ),
                "give all rows a number for their document, or all of them a list with one for each token",
            ));
        }
        self.lists = self.lists.or(lists);
        Ok(Row {
            key,
            numbers,
            file: self.file as u64,
            row,
        })
    }

    /// Whether the rows have lists; false as well if no row has a number.
    pub(super) fn has_lists(&self) -> bool {
        self.lists == Some(true)
    }
}
