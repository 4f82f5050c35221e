//! Statistics of all tokens that are needed before the first token is described: the mean loss under each checkpoint,
//! and the score above which each checkpoint would select a token. Exact, in two passes over the scores and constant
//! memory.

use rho_selection::{Coarse, Cut, Direction, Fine, KeepRatio, Share};

use super::{losses::Folders, plan::DynamicsPlan};
use crate::{groups::Group, hinted_error::HintedError, stop::Stop};

/// The times at which preference is shown, as shares of the way from the first to the last checkpoint (paper, figure
/// 14).
pub(super) const TIMES: [f64; 4] = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];

/// The bounds of five levels of equal size, from the most preferred.
const LEVELS: [f64; 4] = [0.2, 0.4, 0.6, 0.8];

/// The statistics.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    /// The mean loss under each checkpoint, in nats.
    pub(super) means: Vec<f64>,
    /// The mean loss under the reference, in nats.
    pub(super) reference_mean: Option<f64>,
    /// What each checkpoint would select; empty without a reference.
    pub(super) selected: Vec<Cut>,
    /// For each of [`TIMES`]: the index of the nearest checkpoint, and the bounds of its levels in nats.
    pub(super) times: Vec<(usize, [f32; 4])>,
}

/// The checkpoint nearest to each of [`TIMES`].
pub(super) fn nearest(x: &[f64]) -> Vec<usize> {
    let (first, last) = (x[0], x[x.len() - 1]);
    let at = |share: &f64| {
        let wanted = first + share * (last - first);
        let far = |i: &usize| (x[*i] - wanted).abs();
        let nearest = (0..x.len()).min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.unwrap_or(0)
    };
    TIMES.iter().map(at).collect()
}

/// A cut to find: the checkpoint that ranks, and the share to select.
struct Ranked {
    checkpoint: usize,
    share: Share,
}

/// Computes the statistics; None if the run was asked to stop.
pub(super) fn cuts(
    plan: &DynamicsPlan,
    groups: &[Group],
    folders: &Folders,
    stop: &Stop,
) -> anyhow::Result<Option<Cuts>> {
    let count = plan.checkpoints.len();
    let times = nearest(&plan.x);
    let mut ranked = Vec::new();
    if plan.reference.is_some() {
        let share = Share::Best(plan.keep);
        let all = 0..count;
        ranked.extend(all.map(|checkpoint| Ranked { checkpoint, share }));
    }
    for &checkpoint in &times {
        for level in LEVELS {
            let share = Share::Best(KeepRatio::new(level)?);
            ranked.push(Ranked { checkpoint, share });
        }
    }
    let wanted: Vec<usize> = (0..count)
        .filter(|i| ranked.iter().any(|ranked| ranked.checkpoint == *i))
        .collect();

    let mut coarse = vec![Coarse::default(); count];
    let (mut sums, mut reference_sum, mut tokens) = (vec![0.0; count], 0.0, 0);
    let counted = each(groups, folders, stop, |batch| {
        for i in 0..batch.tokens() {
            if batch.complete[i] {
                tokens += 1;
                for (sum, losses) in sums.iter_mut().zip(&batch.losses) {
                    *sum += f64::from(losses[i]);
                }
                if let Some(reference) = &batch.reference {
                    reference_sum += f64::from(reference[i]);
                }
            }
        }
        for &checkpoint in &wanted {
            coarse[checkpoint].add(&batch.keys(checkpoint));
        }
    })?;
    if !counted {
        return Ok(None);
    }
    if tokens == 0 {
        return Err(HintedError::error(
            "--corpus: expected text to score, got no token that all checkpoints have a loss of",
            "name a corpus with documents of at least two tokens",
        ));
    }
    let mut fine: Vec<Fine> = ranked
        .iter()
        .map(|ranked| coarse[ranked.checkpoint].fine(ranked.share))
        .collect();
    let counted = each(groups, folders, stop, |batch| {
        for &checkpoint in &wanted {
            let keys = batch.keys(checkpoint);
            let of = ranked.iter().zip(&mut fine);
            for (_, fine) in of.filter(|(ranked, _)| ranked.checkpoint == checkpoint) {
                fine.add(&keys);
            }
        }
    })?;
    if !counted {
        return Ok(None);
    }
    let mut cuts: Vec<Cut> = fine.iter().map(Fine::cut).collect();
    let bounds = cuts.split_off(cuts.len() - times.len() * LEVELS.len());
    // The lowest score of each level. With fewer tokens than levels, the first levels are empty.
    let bound = |cut: &Cut| {
        let (_, last) = cut.bounds();
        last.map_or(f32::MAX, |key| Direction::High.score(key))
    };
    let bounds = bounds.chunks_exact(LEVELS.len());
    let bounds = bounds.map(|cuts| [&cuts[0], &cuts[1], &cuts[2], &cuts[3]].map(bound));
    Ok(Some(Cuts {
        means: sums.iter().map(|sum| sum / tokens as f64).collect(),
        reference_mean: plan
            .reference
            .as_ref()
            .map(|_| reference_sum / tokens as f64),
        selected: cuts,
        times: times.into_iter().zip(bounds).collect(),
    }))
}

/// Calls `see` for each batch of all shards; false if the run was asked to stop.
fn each(
    groups: &[Group],
    folders: &Folders,
    stop: &Stop,
    mut see: impl FnMut(&super::losses::Batch),
) -> anyhow::Result<bool> {
    for group in groups {
        let mut files = folders.open(&group.name, false)?;
        while let Some(batch) = files.next()? {
            if stop.requested() {
                return Ok(false);
            }
            see(&batch);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_nearest_checkpoints() {
        let places = |n: u32| (0..n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(nearest(&places(4)), [0, 1, 2, 3]);
        assert_eq!(nearest(&places(3)), [0, 1, 1, 2]);
        assert_eq!(nearest(&places(11)), [0, 3, 7, 10]);
        assert_eq!(nearest(&[0.0, 10.0, 20.0, 300.0]), [0, 2, 3, 3]);
    }
}
