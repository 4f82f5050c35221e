//! Finds the cuts of the scope `corpus`, by counting over all files before anything is written, on several threads.
//! Memory does not grow with the corpus. Only the counted columns of the files are read.
//!
//! If each source is ranked by itself, a few sources are counted at a time, so that the histograms of many fit in
//! memory: the files are read once more for every few sources.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use rho_formats::MaskBatch;
use rho_selection::{Coarse, Cut, Direction, Fine, Seen, Share};

use super::{
    filter::Filter,
    plan::SelectPlan,
    prepare::{Batches, Prepared},
    record::DroppedBy,
};
use crate::{
    run_folder::on_threads,
    selections::{
        cuts::{Cuts, Group},
        rule::{Pick, Rule, Selection},
        scores::{self, Documents},
    },
    stop::Stop,
};

/// Bytes of all histograms that are in memory at a time; one takes at most [`HISTOGRAM`].
const HISTOGRAMS: usize = 256 << 20;
const HISTOGRAM: usize = 1 << 20;

/// A selection that ranks.
struct Ranked<'a> {
    selection: &'a Selection,
    direction: Direction,
    share: Share,
}

/// Finds the cuts; none if the run is stopped.
pub(super) fn cuts(
    plan: &SelectPlan,
    prepared: &Prepared,
    stop: &Stop,
) -> anyhow::Result<Option<Cuts>> {
    let ranked = ranked(&plan.rule);
    let sources = plan.sources.clone().unwrap_or_else(|| vec![None]);
    let at_a_time = HISTOGRAMS / (HISTOGRAM * ranked.len().max(1) * plan.threads.max(1));
    let (mut groups, mut counts) = (Vec::new(), vec![(0, 0); ranked.len()]);
    for first in (0..sources.len()).step_by(at_a_time.max(1)) {
        let some = first..sources.len().min(first + at_a_time.max(1));
        let counter = Counter {
            plan,
            prepared,
            ranked: &ranked,
            sources: &sources,
            some,
        };
        let Some(cuts) = counter.cuts(stop, &mut counts)? else {
            return Ok(None);
        };
        let named = sources[counter.some.clone()].iter().zip(cuts);
        groups.extend(named.map(|(source, cuts)| Group {
            source: source.clone(),
            cuts,
        }));
    }
    let mut cuts = Cuts {
        groups,
        counts,
        before: vec![BTreeMap::new(); plan.input.shards.len()],
    };
    // The order of equal scores matters only if a cut divides them.
    let mut all = cuts.groups.iter().flat_map(|group| &group.cuts);
    if all.any(Cut::divides_equals) {
        let Some(seen) = equals(plan, prepared, &ranked, &cuts, stop)? else {
            return Ok(None);
        };
        let mut sums: BTreeMap<usize, Vec<Seen>> = BTreeMap::new();
        for (before, seen) in cuts.before.iter_mut().zip(seen) {
            for (group, seen) in seen {
                let sum = sums.entry(group);
                let sum = sum.or_insert_with(|| vec![Seen::default(); seen.len()]);
                before.insert(group, sum.clone());
                add(sum, &seen);
            }
        }
    }
    Ok(Some(cuts))
}

fn add(sum: &mut [Seen], other: &[Seen]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        sum.floor += other.floor;
        sum.ceiling += other.ceiling;
    }
}

/// The selections of a rule that rank; in this scope, all do.
fn ranked(rule: &Rule) -> Vec<Ranked<'_>> {
    let ranked = rule.selections.iter().filter_map(|selection| {
        let Pick::Ranked(direction, share) = selection.pick else {
            return None;
        };
        Some(Ranked {
            selection,
            direction,
            share,
        })
    });
    ranked.collect()
}

/// The counter of one selection.
enum Count {
    Coarse(Coarse),
    Fine(Fine),
}

impl Count {
    fn add(&mut self, keys: &[u32]) {
        match self {
            Self::Coarse(coarse) => coarse.add(keys),
            Self::Fine(fine) => fine.add(keys),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Coarse(coarse), Self::Coarse(other)) => coarse.merge(other),
            (Self::Fine(fine), Self::Fine(other)) => fine.merge(other),
            _ => {}
        }
    }

    fn coarse(self) -> Option<Coarse> {
        match self {
            Self::Coarse(coarse) => Some(coarse),
            Self::Fine(_) => None,
        }
    }

    fn fine(self) -> Option<Fine> {
        match self {
            Self::Fine(fine) => Some(fine),
            Self::Coarse(_) => None,
        }
    }
}

/// The record batches of a file whose index is `number` modulo `of`. Files are divided so that a single file keeps all
/// threads busy.
#[derive(Clone, Copy)]
struct Part {
    number: usize,
    of: usize,
}

impl Part {
    /// The index of the file, and its part, for a part number counted over several files.
    fn of(i: usize, parts: usize) -> (usize, Self) {
        let part = Self {
            number: i % parts,
            of: parts,
        };
        (i / parts, part)
    }
}

/// Counts some sources over all files.
struct Counter<'a> {
    plan: &'a SelectPlan,
    prepared: &'a Prepared,
    ranked: &'a [Ranked<'a>],
    /// All sources; none alone if the tokens of all are ranked together.
    sources: &'a [Option<String>],
    /// Those that are counted.
    some: Range<usize>,
}

impl Counter<'_> {
    /// The cuts of each source; adds the scored and kept tokens of all to `counts`.
    fn cuts(
        &self,
        stop: &Stop,
        counts: &mut [(u64, u64)],
    ) -> anyhow::Result<Option<Vec<Vec<Cut>>>> {
        let selections = self.ranked.len();
        let number = self.some.len() * selections;
        let coarse = self.over_files(stop, &|| {
            let zero = || Count::Coarse(Coarse::default());
            (0..number).map(|_| zero()).collect()
        })?;
        let Some(coarse) = coarse else {
            return Ok(None);
        };
        let coarse: Vec<Coarse> = coarse.into_iter().filter_map(Count::coarse).collect();
        let share = |i: usize| {
            let source = self.sources[self.some.start + i / selections].as_deref();
            let share = self.ranked[i % selections].share;
            self.plan.rule.share(share, source)
        };
        let fine = self.over_files(stop, &|| {
            let fine = |i: usize| Count::Fine(coarse[i].fine(share(i)));
            (0..number).map(fine).collect()
        })?;
        let Some(fine) = fine else {
            return Ok(None);
        };
        for (i, coarse) in coarse.iter().enumerate() {
            let scored = coarse.scored();
            let (sum_scored, sum_kept) = &mut counts[i % selections];
            *sum_scored += scored;
            *sum_kept += share(i).of(scored).count;
        }
        let fine: Vec<Fine> = fine.into_iter().filter_map(Count::fine).collect();
        let cuts = fine.chunks(selections.max(1));
        Ok(Some(
            cuts.map(|cuts| cuts.iter().map(Fine::cut).collect())
                .collect(),
        ))
    }

    /// Counts all files, part by part on any free thread, and sums the counts of the threads.
    fn over_files(
        &self,
        stop: &Stop,
        zero: &(dyn Fn() -> Vec<Count> + Sync),
    ) -> anyhow::Result<Option<Vec<Count>>> {
        let (plan, selections) = (self.plan, self.ranked.len());
        let total = Mutex::new(zero());
        let (files, parts) = (plan.input.files.len(), plan.threads);
        let counted = on_threads(plan.threads, files * parts, stop, |next| {
            let mut counts = zero();
            while let Some(i) = next() {
                let (file, part) = Part::of(i, parts);
                each_batch(
                    plan,
                    self.prepared,
                    file,
                    part,
                    self.ranked,
                    stop,
                    |source, i, keys| {
                        let source = plan.sources.as_ref().map_or(Some(0), |sources| {
                            sources.binary_search_by(|s| s.as_deref().cmp(&source)).ok()
                        });
                        let own = source.filter(|source| self.some.contains(source));
                        if let Some(source) = own {
                            counts[(source - self.some.start) * selections + i].add(keys);
                        }
                    },
                )?;
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            for (total, count) in total.iter_mut().zip(&counts) {
                total.merge(count);
            }
            Ok(())
        });
        counted?;
        let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((!stop.requested()).then_some(total))
    }
}

/// How many tokens with the keys of the bounds each shard holds, by group and selection.
type SeenInShard = BTreeMap<usize, Vec<Seen>>;

/// Counts the tokens with the keys of the bounds, shard by shard.
fn equals(
    plan: &SelectPlan,
    prepared: &Prepared,
    ranked: &[Ranked<'_>],
    cuts: &Cuts,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<SeenInShard>>> {
    let shards = &plan.input.shards;
    let all = Mutex::new(vec![SeenInShard::new(); shards.len()]);
    let parts = plan.threads;
    on_threads(plan.threads, shards.len() * parts, stop, |next| {
        while let Some(i) = next() {
            let (shard, part) = Part::of(i, parts);
            let mut seen = SeenInShard::new();
            let zero = || vec![Seen::default(); ranked.len()];
            for file in shards[shard].clone() {
                each_batch(
                    plan,
                    prepared,
                    file,
                    part,
                    ranked,
                    stop,
                    |source, i, keys| {
                        if let Some(group) = cuts.group(source) {
                            let seen = seen.entry(group).or_insert_with(zero);
                            cuts.groups[group].cuts[i].see(keys, &mut seen[i]);
                        }
                    },
                )?;
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            for (group, seen) in seen {
                add(all[shard].entry(group).or_insert_with(zero), &seen);
            }
        }
        Ok(())
    })?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((!stop.requested()).then_some(all))
}

/// Passes the keys of a part of a file to `each`, record batch by record batch, source by source and selection by
/// selection.
fn each_batch(
    plan: &SelectPlan,
    prepared: &Prepared,
    file: usize,
    part: Part,
    ranked: &[Ranked<'_>],
    stop: &Stop,
    mut each: impl FnMut(Option<&str>, usize, &[u32]),
) -> anyhow::Result<()> {
    let mut wanted = vec!["shard", "row", "token_hash"];
    wanted.extend(ranked.iter().flat_map(|r| r.selection.source.columns()));
    let by_source = plan.sources.is_some();
    if by_source {
        wanted.push("source");
    }
    wanted.extend(plan.filter.iter().flat_map(Filter::columns));
    let mut batches = Batches::open(plan, prepared, file)?;
    let (mut space, mut keys, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0.. {
        if stop.requested() {
            break;
        }
        if number % part.of != part.number {
            if !batches.skip()? {
                break;
            }
            continue;
        }
        let Some(batch) = batches.next_of(&wanted)? else {
            break;
        };
        let Some(batch) = batches.choose(batch, &mut DroppedBy::default())? else {
            continue;
        };
        for (i, ranked) in ranked.iter().enumerate() {
            keys.clear();
            let source = &ranked.selection.source;
            scores::keys(source, ranked.direction, &batch, &mut space, &mut keys)?;
            if !by_source {
                each(None, i, &keys);
                continue;
            }
            for (source, ranges) in by_sources(&batch) {
                own.clear();
                own.extend(ranges.into_iter().flat_map(|range| &keys[range]));
                each(source, i, &own);
            }
        }
    }
    Ok(())
}

/// The tokens of each source in a record batch.
fn by_sources(batch: &MaskBatch) -> BTreeMap<Option<&str>, Vec<Range<usize>>> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for (row, tokens) in batch.documents().enumerate() {
        let source = Documents::source(batch, row);
        sources.entry(source).or_default().push(tokens);
    }
    sources
}
