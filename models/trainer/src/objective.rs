//! Which targets of a global batch are trained on, and with what weights. Takes token losses and returns a weight for
//! each target. Does not know models.
//!
//! A global batch is all micro-batches of a step. Ranks, counts and means are over all of them together.

use rho_selection::{Cut, Direction, KeepRatio, RandomDocument, Seen, Share, select};

use crate::{Batch, Result, Target, TrainerError};

/// What a step trains on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// Selective language modelling: the highest excess loss, the model's own loss minus the stored reference loss
    /// (eq. 3 and 4).
    Slm {
        /// The share of scored tokens that is kept.
        keep: KeepRatio,
    },
    /// Causal language modelling: every token.
    Clm,
    /// As many targets as `Slm` keeps, at random: the baseline of every comparison.
    Random {
        /// The share of targets that is kept.
        keep: KeepRatio,
        /// Seed: the same seed and step keep the same tokens.
        seed: u64,
    },
    /// The precomputed bits of the masks (self-reference).
    Static,
    /// A weight for each token.
    Weighted,
    /// The highest own loss.
    Hard {
        /// The share of targets that is kept.
        keep: KeepRatio,
    },
    /// The lowest own loss.
    Easy {
        /// The share of targets that is kept.
        keep: KeepRatio,
    },
}

/// The selection of a global batch's targets, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selected {
    /// Whether each target is trained on.
    pub(crate) kept: Vec<bool>,
    /// The factor of each loss in the gradient. They add up to 1, plus the share of the mixed-in plain loss.
    pub(crate) weights: Vec<f32>,
}

/// The targets of all micro-batches and their losses, in one order.
pub(crate) struct Candidates<'a> {
    pub(crate) batches: &'a [Batch],
    /// For each micro-batch.
    pub(crate) targets: &'a [Vec<Target>],
    /// Own losses, concatenated over the micro-batches.
    pub(crate) losses: &'a [f32],
}

impl Candidates<'_> {
    /// A value for each target, from its micro-batch and its index in it.
    fn map<T>(&self, of: impl Fn(&Batch, usize) -> T) -> Vec<T> {
        let all = self.batches.iter().zip(self.targets);
        all.flat_map(|(batch, targets)| targets.iter().map(move |t| (batch, t.place)))
            .map(|(batch, place)| of(batch, place))
            .collect()
    }
}

impl Objective {
    /// Checks that the batch has the column that the objective reads.
    ///
    /// # Errors
    /// If the column is missing or has a wrong length.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let (what, length) = match self {
            Self::Slm { .. } => ("reference_loss", batch.reference_loss.len()),
            Self::Static => ("mask", batch.mask.len()),
            Self::Weighted => ("weights", batch.weights.len()),
            _ => return Ok(()),
        };
        if length == batch.tokens() {
            return Ok(());
        }
        Err(TrainerError::Batch {
            what,
            expected: format!(
                "{} entries, because this objective reads them",
                batch.tokens()
            ),
            got: length.to_string(),
        })
    }

    /// Whether the selection depends on the model's own losses, so that all losses are needed before any gradient.
    pub(crate) fn ranks_own_losses(&self) -> bool {
        matches!(
            self,
            Self::Slm { .. } | Self::Hard { .. } | Self::Easy { .. }
        )
    }

    /// Selects the targets and weights them. `mix` is the weight of the plain loss that is added.
    pub(crate) fn select(&self, candidates: &Candidates<'_>, mix: f64, step: u64) -> Selected {
        let own = candidates.losses;
        let best = |scores: &[f32], keep, direction| select(scores, keep, direction);
        let mut weighted = None;
        let kept = match *self {
            Self::Clm => vec![true; own.len()],
            Self::Slm { keep } => {
                let reference = candidates.map(|batch, place| batch.reference_loss[place]);
                let excess: Vec<f32> = own.iter().zip(&reference).map(|(l, r)| l - r).collect();
                best(&excess, keep, Direction::High)
            }
            Self::Hard { keep } => best(own, keep, Direction::High),
            Self::Easy { keep } => best(own, keep, Direction::Low),
            Self::Random { keep, seed } => {
                let chance = RandomDocument::new(seed, "", step.cast_signed(), 0);
                let keys: Vec<u32> = (0..own.len()).map(|i| chance.key(i)).collect();
                let mut kept = Vec::with_capacity(keys.len());
                let mut marker = Cut::of(&keys, Share::Best(keep)).marker(Seen::default());
                marker.mark(&keys, &mut kept);
                kept
            }
            Self::Static => candidates.map(|batch, place| batch.mask[place]),
            Self::Weighted => {
                let weights = candidates.map(|batch, place| batch.weights[place]);
                let kept = weights.iter().map(|&w| w > 0.0).collect();
                weighted = Some(weights);
                kept
            }
        };
        let counts = weighted.unwrap_or_else(|| kept.iter().map(|&k| f32::from(k)).collect());
        let total: f64 = counts.iter().map(|&w| f64::from(w)).sum();
        let share = if total > 0.0 { 1.0 / total } else { 0.0 };
        let plain = if own.is_empty() {
            0.0
        } else {
            mix / own.len() as f64
        };
        let weights = counts
            .iter()
            .map(|&w| (f64::from(w) * share + plain) as f32);
        Selected {
            weights: weights.collect(),
            kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> Vec<Batch> {
        let one = |documents: Vec<Vec<u32>>, reference: Vec<f32>| {
            let mut batch = Batch::from_documents(4, &[documents]);
            batch.mask = vec![false, true, false, true];
            batch.weights = vec![9.0, 0.5, 0.0, 1.5];
            batch.reference_loss = reference;
            batch
        };
        let nan = f32::NAN;
        vec![
            one(vec![vec![1, 2, 3, 4]], vec![nan, 1.0, nan, 2.0]),
            one(vec![vec![5, 6], vec![7, 8]], vec![nan, 3.0, nan, 0.5]),
        ]
    }

    fn choose(objective: Objective, losses: &[f32], mix: f64) -> Selected {
        let batches = batches();
        let targets: Vec<_> = batches.iter().map(Batch::targets).collect();
        let candidates = Candidates {
            batches: &batches,
            targets: &targets,
            losses,
        };
        objective.select(&candidates, mix, 3)
    }

    #[test]
    fn ranks_all_micro_batches_together() {
        let keep = KeepRatio::new(0.5).unwrap();
        // Targets: 1, 2, 3 of the first batch, 1, 3 of the second. The second target has no reference.
        let losses = [2.0, 9.0, 2.5, 2.0, 3.0];
        let slm = choose(Objective::Slm { keep }, &losses, 0.0);
        // Excess loss: 1, none, 0.5, -1, 2.5: two of four are kept.
        assert_eq!(slm.kept, [true, false, false, false, true]);
        assert_eq!(slm.weights, [0.5, 0.0, 0.0, 0.0, 0.5]);
        let hard = choose(Objective::Hard { keep }, &losses, 0.0);
        assert_eq!(hard.kept, [false, true, true, false, true]);
        let easy = choose(Objective::Easy { keep }, &losses, 0.0);
        assert_eq!(easy.kept, [true, false, true, true, false]);
    }

    #[test]
    fn chosen_beforehand() {
        let losses = [0.0; 5];
        assert_eq!(choose(Objective::Clm, &losses, 0.0).weights, [0.2; 5]);
        let fixed = choose(Objective::Static, &losses, 0.0);
        assert_eq!(fixed.kept, [true, false, true, true, true]);
        let weighted = choose(Objective::Weighted, &losses, 0.0);
        assert_eq!(weighted.weights, [0.125, 0.0, 0.375, 0.125, 0.375]);
        assert_eq!(weighted.kept, [true, false, true, true, true]);
        let mixed = choose(Objective::Static, &losses, 0.1);
        assert_eq!(mixed.weights, [0.27, 0.02, 0.27, 0.27, 0.27]);
    }

    #[test]
    fn chance_keeps_exactly_its_share() {
        let keep = KeepRatio::new(0.6).unwrap();
        let chosen = |seed| choose(Objective::Random { keep, seed }, &[0.0; 5], 0.0).kept;
        assert_eq!(chosen(1), chosen(1));
        assert!((2..20).any(|seed| chosen(seed) != chosen(1)));
        assert!((0..20).all(|seed| chosen(seed).iter().filter(|&&k| k).count() == 3));
    }

    #[test]
    fn asks_for_its_column() {
        let keep = KeepRatio::new(0.6).unwrap();
        let bare = Batch::from_documents(4, &[vec![vec![1, 2, 3]]]);
        for objective in [
            Objective::Slm { keep },
            Objective::Static,
            Objective::Weighted,
        ] {
            assert!(objective.check(&bare).is_err(), "{objective:?}");
            assert!(objective.check(&batches()[0]).is_ok());
        }
        assert!(Objective::Clm.check(&bare).is_ok());
    }
}
