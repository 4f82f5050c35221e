//! Counts of tokens by loss and entropy, and of those kept: the plane in which self-reference selects.

/// Cells along each axis; the last one has no upper bound.
pub(crate) const CELLS: usize = 65;
/// The width of a cell, in nats; the last one begins at 16.
pub(crate) const WIDTH: f32 = 0.25;

/// Counts of tokens by loss and entropy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joint {
    masks: usize,
    /// For each cell its tokens, then those that each mask keeps. By loss, then by entropy.
    counts: Vec<u64>,
}

impl Joint {
    pub(super) fn new(masks: usize) -> Self {
        Self {
            masks,
            counts: vec![0; CELLS * CELLS * (masks + 1)],
        }
    }

    /// Counts a token with both scores.
    pub(super) fn add(&mut self, loss: f32, entropy: f32, kept: impl Iterator<Item = bool>) {
        let at = self.at(cell(loss), cell(entropy));
        self.counts[at] += 1;
        for (count, kept) in self.counts[at + 1..=at + self.masks].iter_mut().zip(kept) {
            *count += u64::from(kept);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
    }

    /// The number of tokens in a cell.
    pub(crate) fn tokens(&self, loss: usize, entropy: usize) -> u64 {
        self.counts[self.at(loss, entropy)]
    }

    /// The number of tokens of a cell that a mask keeps.
    pub(crate) fn kept(&self, loss: usize, entropy: usize, mask: usize) -> u64 {
        self.counts[self.at(loss, entropy) + 1 + mask]
    }

    fn at(&self, loss: usize, entropy: usize) -> usize {
        (loss * CELLS + entropy) * (self.masks + 1)
    }
}

/// The cell of a score; a negative score, which rounding may cause, is in the first.
fn cell(score: f32) -> usize {
    // The cast saturates: negative values become 0.
    ((score / WIDTH) as usize).min(CELLS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_by_loss_and_entropy() {
        let mut joint = Joint::new(1);
        joint.add(0.3, 0.0, [true].into_iter());
        joint.add(0.49, -0.1, [false].into_iter());
        joint.add(99.0, f32::INFINITY, [true].into_iter());
        let twice = joint.clone();
        joint.merge(&twice);
        assert_eq!((joint.tokens(1, 0), joint.kept(1, 0, 0)), (4, 2));
        assert_eq!((joint.tokens(64, 64), joint.kept(64, 64, 0)), (2, 2));
        assert_eq!(joint.tokens(0, 0), 0);
    }
}
