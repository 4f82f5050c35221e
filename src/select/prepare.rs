//! What is found out about all documents before tokens are ranked: their scores of another program, which of them came
//! before, and which are selected. All of it is on disk. Memory does not grow with the corpus.

use rho_formats::{BatchCompression, MaskBatch, MaskColumns};
use rho_selection::WIDE_UNSCORED;

use super::{
    documents::Ranking,
    filter::Filter,
    join::Joined,
    plan::SelectPlan,
    record::{Dropped, DroppedBy},
};
use crate::{
    masks::duplicates::{HASHES, Occurrence, Search},
    on_disk::{Bits, Items, Place},
    run_folder::on_threads,
    stop::Stop,
};

/// What is known about all documents.
#[derive(Default)]
pub(super) struct Prepared {
    /// The number of each file's first document in the corpus; empty if it is not needed.
    first: Vec<u64>,
    /// The column of another program.
    pub(super) joined: Option<Joined>,
    /// The documents that came before.
    duplicates: Option<Bits>,
    /// The documents that were not selected.
    unselected: Option<Bits>,
    pub(super) ranking: Option<Ranking>,
}

impl Prepared {
    /// Finds out what a plan needs; none if the run is stopped. `place` has room on disk.
    pub(super) fn of(
        plan: &SelectPlan,
        place: &Place,
        stop: &Stop,
    ) -> anyhow::Result<Option<Self>> {
        let mut prepared = Self::default();
        if !plan.needs_documents() {
            return Ok(Some(prepared));
        }
        let Some(count) = prepared.count(plan, stop)? else {
            return Ok(None);
        };
        if let Some(join) = &plan.joined {
            prepared.joined = Joined::of(join, &plan.input, count, place, stop)?;
            if prepared.joined.is_none() {
                return Ok(None);
            }
        }
        if plan.drop_duplicates && !prepared.find_duplicates(plan, place, count, stop)? {
            return Ok(None);
        }
        if plan.documents.is_some() && !prepared.select_documents(plan, place, count, stop)? {
            return Ok(None);
        }
        Ok(Some(prepared))
    }

    /// Counts the documents of each file by the headers of its record batches; returns their sum.
    fn count(&mut self, plan: &SelectPlan, stop: &Stop) -> anyhow::Result<Option<u64>> {
        let mut count = 0;
        for file in 0..plan.input.files.len() {
            if stop.requested() {
                return Ok(None);
            }
            let mut columns = MaskColumns::open(&plan.input.path(file))?;
            while columns.skip_batch()? {}
            self.first.push(count);
            count += columns.rows() as u64;
        }
        Ok(Some(count))
    }

    fn find_duplicates(
        &mut self,
        plan: &SelectPlan,
        place: &Place,
        count: u64,
        stop: &Stop,
    ) -> anyhow::Result<bool> {
        let found = Bits::new(place, count)?;
        let mut setting = found.set();
        let search = Search {
            place,
            most: HASHES,
        };
        let mut wanted = vec!["token_hash"];
        wanted.extend(plan.filter.iter().flat_map(Filter::columns));
        let (mut file, mut open) = (0, None);
        let mut ready = Vec::new().into_iter();
        let mut next = || {
            loop {
                if let Some(next) = ready.next() {
                    return Ok(Some(next));
                }
                if stop.requested() || file == plan.input.files.len() {
                    return Ok(None);
                }
                let batches: &mut Batches<'_> = match &mut open {
                    Some(open) => open,
                    none => none.insert(Batches::open(plan, self, file)?),
                };
                let Some(batch) = batches.next_of(&wanted)? else {
                    open = None;
                    file += 1;
                    continue;
                };
                let first = batches.first_of(&batch);
                let passed = match &plan.filter {
                    Some(filter) => filter.holds(&batch)?,
                    None => vec![true; batch.rows()],
                };
                let rows = (first..).zip(passed).enumerate();
                let passed = rows.filter(|&(_, (_, passed))| passed);
                let occurrences = passed.map(|(row, (document, _))| Occurrence {
                    token_hash: batch.token_hash_and_row(row).0,
                    group: document,
                    document,
                    tokens: 0,
                });
                ready = occurrences.collect::<Vec<_>>().into_iter();
            }
        };
        search.run(&mut next, &mut |one| {
            setting.set(one.document)?;
            Ok(true)
        })?;
        setting.end()?;
        self.duplicates = Some(found);
        Ok(!stop.requested())
    }

    fn select_documents(
        &mut self,
        plan: &SelectPlan,
        place: &Place,
        count: u64,
        stop: &Stop,
    ) -> anyhow::Result<bool> {
        let Some(rule) = &plan.documents else {
            return Ok(true);
        };
        let mut wanted = rule.columns();
        wanted.extend(plan.filter.iter().flat_map(Filter::columns));
        let all = Items::<u64>::new(place, count)?;
        on_threads(plan.threads, plan.input.files.len(), stop, |next| {
            while let Some(file) = next() {
                let mut batches = Batches::open(plan, self, file)?;
                while let Some(batch) = batches.next_of(&wanted)? {
                    if stop.requested() {
                        break;
                    }
                    let first = batches.first_of(&batch);
                    let mut keys = rule.keys(&batch)?;
                    let kept = self.kept(plan, &batch, first)?;
                    for (key, reason) in keys.iter_mut().zip(kept.into_iter().flatten()) {
                        if reason.is_some() {
                            *key = WIDE_UNSCORED;
                        }
                    }
                    all.write(first, &keys)?;
                }
            }
            Ok(())
        })?;
        let unselected = Bits::new(place, count)?;
        self.ranking = rule.rank(&all, count, &unselected, stop)?;
        self.unselected = Some(unselected);
        Ok(self.ranking.is_some() && !stop.requested())
    }

    /// Why each document of a record batch is dropped, as far as is known; none if none can be.
    fn kept(
        &self,
        plan: &SelectPlan,
        batch: &MaskBatch,
        first: u64,
    ) -> anyhow::Result<Option<Vec<Option<Reason>>>> {
        let mut reasons: Option<Vec<Option<Reason>>> = None;
        let mut add = |reason: Reason, is_dropped: Vec<bool>| {
            let reasons = reasons.get_or_insert_with(|| vec![None; batch.rows()]);
            for (own, is_dropped) in reasons.iter_mut().zip(is_dropped) {
                if is_dropped && own.is_none() {
                    *own = Some(reason);
                }
            }
        };
        if let Some(filter) = &plan.filter {
            let mut holds = filter.holds(batch)?;
            holds.iter_mut().for_each(|holds| *holds = !*holds);
            add(Reason::Filter, holds);
        }
        let rows = first..first + batch.rows() as u64;
        if let Some(duplicates) = &self.duplicates {
            add(Reason::Duplicate, duplicates.read(rows.clone())?);
        }
        if let Some(unselected) = &self.unselected {
            add(Reason::Unselected, unselected.read(rows)?);
        }
        Ok(reasons)
    }
}

/// Why a document is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Filter,
    Duplicate,
    Unselected,
}

/// The record batches of a file.
pub(super) struct Batches<'a> {
    plan: &'a SelectPlan,
    prepared: &'a Prepared,
    file: usize,
    columns: MaskColumns,
}

impl<'a> Batches<'a> {
    pub(super) fn open(
        plan: &'a SelectPlan,
        prepared: &'a Prepared,
        file: usize,
    ) -> anyhow::Result<Self> {
        let columns = MaskColumns::open(&plan.input.path(file))?;
        Ok(Self {
            plan,
            prepared,
            file,
            columns,
        })
    }

    /// The compression of the last record batch.
    pub(super) fn compression(&self) -> BatchCompression {
        self.columns.compression()
    }

    /// The next one with all columns.
    pub(super) fn next_batch(&mut self) -> anyhow::Result<Option<MaskBatch>> {
        let batch = self.columns.next_batch()?;
        self.with_joined(batch, true)
    }

    /// The next one with some columns.
    pub(super) fn next_of(&mut self, wanted: &[&str]) -> anyhow::Result<Option<MaskBatch>> {
        let joined = self.prepared.joined.as_ref().map(Joined::name);
        let is_wanted = joined.is_some_and(|name| wanted.contains(&name));
        let batch = match is_wanted {
            // Only a list says which tokens are whose.
            true => self.columns.next_of(&[wanted, &["input_ids"]].concat())?,
            false => self.columns.next_of(wanted)?,
        };
        self.with_joined(batch, is_wanted)
    }

    /// Adds the joined column, if it is wanted.
    fn with_joined(
        &self,
        batch: Option<MaskBatch>,
        is_wanted: bool,
    ) -> anyhow::Result<Option<MaskBatch>> {
        match (&batch, &self.prepared.joined) {
            (Some(own), Some(joined)) if is_wanted => {
                joined.add_to(own, self.first_of(own)).map(Some)
            }
            _ => Ok(batch),
        }
    }

    /// Skips the next one; false at the end.
    pub(super) fn skip(&mut self) -> anyhow::Result<bool> {
        Ok(self.columns.skip_batch()?)
    }

    /// The number in the corpus of the first document of the last record batch.
    fn first_of(&self, batch: &MaskBatch) -> u64 {
        let first = self.prepared.first.get(self.file);
        first.copied().unwrap_or(0) + (self.columns.rows() - batch.rows()) as u64
    }

    /// The documents of the last record batch from which tokens are selected; none if all of them are dropped. Adds the
    /// others to `dropped`.
    pub(super) fn choose(
        &self,
        batch: MaskBatch,
        dropped: &mut DroppedBy,
    ) -> anyhow::Result<Option<MaskBatch>> {
        let first = self.first_of(&batch);
        let Some(reasons) = self.prepared.kept(self.plan, &batch, first)? else {
            return Ok(Some(batch));
        };
        for (reason, tokens) in reasons.iter().zip(batch.documents()) {
            let to = match reason {
                None => continue,
                Some(Reason::Filter) => &mut dropped.filter,
                Some(Reason::Duplicate) => &mut dropped.duplicates,
                Some(Reason::Unselected) => &mut dropped.unselected,
            };
            to.add(Dropped {
                documents: 1,
                tokens: tokens.len() as u64,
            });
        }
        let kept: Vec<bool> = reasons.iter().map(Option::is_none).collect();
        match (kept.contains(&true), kept.contains(&false)) {
            (false, true) => Ok(None),
            (_, false) => Ok(Some(batch)),
            (true, true) => Ok(Some(batch.filter(&kept)?)),
        }
    }
}
