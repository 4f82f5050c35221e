//! Finds the cuts of the scope `corpus`, by counting over all files before anything is written, on several threads.
//! Memory does not grow with the corpus. Only the counted columns of the files are read.

use std::sync::{Mutex, PoisonError};

use rho_formats::{MaskBatch, MaskColumns};
use rho_selection::{Coarse, Cut, Direction, Fine, Seen, Share};

use super::plan::SelectPlan;
use crate::{
    masks::finished::Input,
    run_folder::on_threads,
    selections::{
        cuts::Cuts,
        rule::{Pick, Rule, Selection},
        scores,
    },
    stop::Stop,
};

/// A selection that ranks.
struct Ranked<'a> {
    selection: &'a Selection,
    direction: Direction,
    share: Share,
}

/// Finds the cuts; none if the run is stopped.
pub(super) fn cuts(plan: &SelectPlan, stop: &Stop) -> anyhow::Result<Option<Cuts>> {
    let ranked = ranked(&plan.rule);
    let pass = |zero: &(dyn Fn() -> Vec<Count> + Sync)| over_files(plan, &ranked, stop, zero);
    let Some(coarse) = pass(&|| {
        ranked
            .iter()
            .map(|_| Count::Coarse(Coarse::default()))
            .collect()
    })?
    else {
        return Ok(None);
    };
    let coarse: Vec<Coarse> = coarse.into_iter().filter_map(Count::coarse).collect();
    let fine = |i: usize| coarse[i].fine(ranked[i].share);
    let refined = pass(&|| (0..ranked.len()).map(|i| Count::Fine(fine(i))).collect())?;
    let Some(refined) = refined else {
        return Ok(None);
    };
    let fine: Vec<Fine> = refined.into_iter().filter_map(Count::fine).collect();
    let cuts: Vec<Cut> = fine.iter().map(Fine::cut).collect();
    let counts = ranked.iter().zip(&coarse).map(|(ranked, coarse)| {
        let scored = coarse.scored();
        (scored, ranked.share.of(scored).count)
    });
    let counts = counts.collect();
    // The order of equal scores matters only if a cut divides them.
    let shards = plan.input.shards.len();
    let mut before = vec![vec![Seen::default(); cuts.len()]; shards];
    if cuts.iter().any(Cut::divides_equals) {
        let Some(seen) = equals(plan, &ranked, &cuts, stop)? else {
            return Ok(None);
        };
        for shard in 1..shards {
            for i in 0..cuts.len() {
                let (sum, last) = (before[shard - 1][i], seen[shard - 1][i]);
                before[shard][i] = Seen {
                    floor: sum.floor + last.floor,
                    ceiling: sum.ceiling + last.ceiling,
                };
            }
        }
    }
    Ok(Some(Cuts {
        cuts,
        counts,
        before,
    }))
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

/// Counts all files, part by part on any free thread, and sums the counts of the threads.
fn over_files(
    plan: &SelectPlan,
    ranked: &[Ranked<'_>],
    stop: &Stop,
    zero: &(dyn Fn() -> Vec<Count> + Sync),
) -> anyhow::Result<Option<Vec<Count>>> {
    let total = Mutex::new(zero());
    let (files, parts) = (plan.input.files.len(), plan.threads);
    let counted = on_threads(plan.threads, files * parts, stop, |next| {
        let mut counts = zero();
        while let Some(i) = next() {
            let (file, part) = Part::of(i, parts);
            each_batch(&plan.input, file, part, ranked, stop, |i, keys| {
                counts[i].add(keys)
            })?;
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

/// How many tokens with the keys of the bounds each shard holds.
fn equals(
    plan: &SelectPlan,
    ranked: &[Ranked<'_>],
    cuts: &[Cut],
    stop: &Stop,
) -> anyhow::Result<Option<Vec<Vec<Seen>>>> {
    let shards = &plan.input.shards;
    let all = Mutex::new(vec![vec![Seen::default(); cuts.len()]; shards.len()]);
    let parts = plan.threads;
    on_threads(plan.threads, shards.len() * parts, stop, |next| {
        while let Some(i) = next() {
            let (shard, part) = Part::of(i, parts);
            let mut seen = vec![Seen::default(); cuts.len()];
            for file in shards[shard].clone() {
                each_batch(&plan.input, file, part, ranked, stop, |i, keys| {
                    cuts[i].see(keys, &mut seen[i]);
                })?;
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            for (sum, seen) in all[shard].iter_mut().zip(seen) {
                sum.floor += seen.floor;
                sum.ceiling += seen.ceiling;
            }
        }
        Ok(())
    })?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((!stop.requested()).then_some(all))
}

/// Passes the keys of a part of a file to `each`, record batch by record batch and selection by selection.
fn each_batch(
    input: &Input,
    file: usize,
    part: Part,
    ranked: &[Ranked<'_>],
    stop: &Stop,
    mut each: impl FnMut(usize, &[u32]),
) -> anyhow::Result<()> {
    let mut wanted = vec!["shard", "row", "token_hash"];
    wanted.extend(ranked.iter().flat_map(|r| r.selection.source.columns()));
    let mut columns = MaskColumns::open(&input.path(file))?;
    let (mut space, mut keys) = (Vec::new(), Vec::new());
    for number in 0.. {
        if stop.requested() {
            break;
        }
        if number % part.of != part.number {
            if !columns.skip_batch()? {
                break;
            }
            continue;
        }
        let Some(batch): Option<MaskBatch> = columns.next_of(&wanted)? else {
            break;
        };
        for (i, ranked) in ranked.iter().enumerate() {
            keys.clear();
            let source = &ranked.selection.source;
            scores::keys(source, ranked.direction, &batch, &mut space, &mut keys)?;
            each(i, &keys);
        }
    }
    Ok(())
}
