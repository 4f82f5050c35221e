//! Finds what several folders have: shards of the same name, and documents with the same tokens.
//!
//! Documents are compared by their token hash.

use std::{cell::RefCell, collections::HashSet, collections::VecDeque, ops::Range};

use rho_formats::MaskColumns;

use crate::{
    cli::OnDuplicate,
    hinted_error::HintedError,
    masks::{
        duplicates::{HASHES, Occurrence, Search},
        finished::Input,
    },
    on_disk::{Bits, Place},
    stop::Stop,
};

/// Most names in an error.
const SHOWN: usize = 5;

/// The documents of one folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) shards: u64,
    pub(super) documents: u64,
    pub(super) tokens: u64,
    /// Documents that an earlier folder has too: dropped.
    pub(super) dropped: u64,
    /// The names of the shards that an earlier folder has too; all their documents are dropped.
    pub(super) dropped_shards: Vec<String>,
}

/// What several folders have.
pub(super) struct Duplicates {
    /// By folder.
    pub(super) parts: Vec<Part>,
    /// By folder and file: the number of its first document among those of all folders.
    first: Vec<Vec<u64>>,
    /// The documents that are dropped; none if there are none.
    dropped: Option<Bits>,
}

impl Duplicates {
    /// Whether each of some documents of a file is kept; none if all are.
    pub(super) fn kept(
        &self,
        input: usize,
        file: usize,
        rows: Range<usize>,
    ) -> anyhow::Result<Option<Vec<bool>>> {
        let Some(dropped) = &self.dropped else {
            return Ok(None);
        };
        let first = self.first[input][file];
        let mut kept = dropped.read(first + rows.start as u64..first + rows.end as u64)?;
        kept.iter_mut().for_each(|bit| *bit = !*bit);
        Ok(kept.contains(&false).then_some(kept))
    }
}

/// Finds the duplicates; none if the run is stopped.
///
/// # Errors
/// If there are any and they are not to be dropped, or a file cannot be read.
pub(super) fn find(
    inputs: &[Input],
    on_duplicate: OnDuplicate,
    stop: &Stop,
) -> anyhow::Result<Option<Duplicates>> {
    let (mut parts, mut first) = (Vec::new(), Vec::new());
    let (mut names, mut count) = (HashSet::new(), 0);
    for input in inputs {
        let Some(listed) = shards(input, &names, stop)? else {
            return Ok(None);
        };
        let part = listed.part;
        if let (OnDuplicate::Error, Some(_)) = (on_duplicate, part.dropped_shards.first()) {
            return Err(same_shards(input, &part.dropped_shards));
        }
        names.extend(listed.names);
        parts.push(part);
        let before = listed.documents.into_iter().map(|documents: u64| {
            count += documents;
            count - documents
        });
        first.push(before.collect::<Vec<u64>>());
    }
    // The output folder is not created yet: duplicates may end the run.
    let place = Place::temporary();
    let dropped = Bits::new(&place, count)?;
    let setting = RefCell::new(dropped.set());
    let dropped_shards: Vec<HashSet<String>> = parts
        .iter()
        .map(|part| part.dropped_shards.iter().cloned().collect())
        .collect();
    let mut documents = Documents {
        inputs,
        stop,
        input: 0,
        file: 0,
        open: None,
        document: 0,
        ready: VecDeque::new(),
    };
    let search = Search {
        place: &place,
        most: HASHES,
    };
    let mut any = dropped_shards.iter().any(|shards| !shards.is_empty());
    let mut again = None;
    search.run(
        &mut || {
            while let Some((one, shard)) = documents.next()? {
                if !dropped_shards[one.group as usize].contains(&shard) {
                    return Ok(Some(one));
                }
                setting.borrow_mut().set(one.document)?;
            }
            Ok(None)
        },
        &mut |one| {
            if on_duplicate == OnDuplicate::Error {
                again = Some(one);
                return Ok(false);
            }
            any = true;
            let part = &mut parts[one.group as usize];
            part.dropped += 1;
            part.documents -= 1;
            part.tokens -= one.tokens;
            setting.borrow_mut().set(one.document)?;
            Ok(true)
        },
    )?;
    setting.into_inner().end()?;
    if stop.requested() {
        return Ok(None);
    }
    if let Some(one) = again {
        return Err(same_document(inputs, &first, one)?);
    }
    Ok(Some(Duplicates {
        parts,
        first,
        dropped: any.then_some(dropped),
    }))
}

/// The documents of all folders, in order.
struct Documents<'a> {
    inputs: &'a [Input],
    stop: &'a Stop,
    input: usize,
    file: usize,
    open: Option<MaskColumns>,
    /// The number of the next document.
    document: u64,
    /// Of the last record batch, with the names of their shards.
    ready: VecDeque<(Occurrence, String)>,
}

impl Documents<'_> {
    /// The next document and its shard; none at the end, or if the run is stopped. Its group is its folder.
    fn next(&mut self) -> anyhow::Result<Option<(Occurrence, String)>> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(Some(next));
            }
            let Some(input) = self.inputs.get(self.input) else {
                return Ok(None);
            };
            if self.file == input.files.len() {
                (self.input, self.file) = (self.input + 1, 0);
                continue;
            }
            let open = match &mut self.open {
                Some(open) => open,
                none => none.insert(MaskColumns::open(&input.path(self.file))?),
            };
            if self.stop.requested() {
                return Ok(None);
            }
            let Some(batch) = open.next_checked_of(&["shard"])? else {
                self.open = None;
                self.file += 1;
                continue;
            };
            for (row, tokens) in batch.documents().enumerate() {
                let occurrence = Occurrence {
                    token_hash: batch.token_hash_and_row(row).0,
                    group: self.input as u64,
                    document: self.document,
                    tokens: tokens.len() as u64,
                };
                self.document += 1;
                self.ready
                    .push_back((occurrence, batch.shard(row).to_owned()));
            }
        }
    }
}

/// The shards of a folder.
struct Listed {
    part: Part,
    /// The names of those that no earlier folder has.
    names: HashSet<String>,
    /// The number of documents of each file.
    documents: Vec<u64>,
}

/// The shards of a folder and their documents; those of `names` are dropped.
fn shards(input: &Input, names: &HashSet<String>, stop: &Stop) -> anyhow::Result<Option<Listed>> {
    let mut part = Part::default();
    let mut own: HashSet<String> = HashSet::new();
    let mut dropped: HashSet<String> = HashSet::new();
    let mut counts = Vec::new();
    for file in 0..input.files.len() {
        let mut count = 0;
        let mut columns = MaskColumns::open(&input.path(file))?;
        while let Some(batch) = columns.next_of(&["shard", "input_ids"])? {
            if stop.requested() {
                return Ok(None);
            }
            count += batch.rows() as u64;
            for (row, tokens) in batch.documents().enumerate() {
                let shard = batch.shard(row);
                let is_new = !names.contains(shard);
                let seen = if is_new { &mut own } else { &mut dropped };
                if !seen.contains(shard) {
                    seen.insert(shard.to_owned());
                    if !is_new {
                        part.dropped_shards.push(shard.to_owned());
                    }
                }
                if is_new {
                    part.documents += 1;
                    part.tokens += tokens.len() as u64;
                } else {
                    part.dropped += 1;
                }
            }
        }
        counts.push(count);
    }
    part.shards = own.len() as u64;
    Ok(Some(Listed {
        part,
        names: own,
        documents: counts,
    }))
}

fn same_shards(input: &Input, names: &[String]) -> anyhow::Error {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    HintedError::error(
        format!(
            "{}: expected other shards than those of the folders before it, got {}{more} again",
            input.folder.display(),
            shown.join(", ")
        ),
        "keep those of the first folder with --on-duplicate first, or score one part under another name",
    )
}

/// The error about a document that an earlier folder has too.
fn same_document(
    inputs: &[Input],
    first: &[Vec<u64>],
    one: Occurrence,
) -> anyhow::Result<anyhow::Error> {
    let i = one.group as usize;
    let file = first[i].partition_point(|&first| first <= one.document) - 1;
    let mut left = (one.document - first[i][file]) as usize;
    let mut columns = MaskColumns::open(&inputs[i].path(file))?;
    let mut found = String::new();
    while let Some(batch) = columns.next_of(&["shard", "row"])? {
        if left < batch.rows() {
            let (shard, row) = (batch.shard(left), batch.token_hash_and_row(left).1);
            found = format!(": {shard} row {row}");
            break;
        }
        left -= batch.rows();
    }
    Ok(HintedError::error(
        format!(
            "{}: expected other documents than those of the folders before it, got the tokens of one again{found}",
            inputs[i].folder.display()
        ),
        "keep the first of each with --on-duplicate first; `rho-mask diff --join tokens` lists how many there are",
    ))
}
