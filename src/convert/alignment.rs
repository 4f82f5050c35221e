//! The one place of `convert` that knows which way round things are: the shift by one, and what a bit means.
//!
//! Masks are *token-aligned*: entry `i` speaks of token `i` as a target, given the tokens before it. Some trainers want that,
//! and shift by themselves; others want what is *prediction-aligned*, where entry `i` speaks of the token that is predicted
//! there, `i + 1`; and one wants bits that say the opposite.
//!
//! ```text
//! input_ids        464   3290   3332    319    262
//! mask               0      1      0      1      1    token-aligned; true: train on this token as a target
//! labels          -100   3290   -100    319    262    token-aligned: Hugging Face, GPT-NeoX
//! dropped            1      0      1      0      0    token-aligned; true: do not train on this token: torchtune
//!
//! shifted labels  3290   -100    319    262   -100    prediction-aligned: torchtitan
//! shifted weights    1      0      1      1      0    prediction-aligned: levanter
//! ```
//!
//! The first token of a document, or of a piece of one, has nothing before it in the sequence: it is never a target,
//! whatever its bit says. All functions add the entries of one document, or one piece, to `to`.

/// The label of a token that is no target, as `torch.nn.functional.cross_entropy` skips it by default.
pub(crate) const IGNORE: i32 = -100;

/// What was chosen of the tokens of a document: bits, or weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Chosen<'a> {
    Mask(&'a [bool]),
    Weights(&'a [f32]),
}

impl<'a> Chosen<'a> {
    /// Whether token `i` is a target.
    pub(crate) fn is_target(&self, i: usize) -> bool {
        self.weight(i) != 0.0
    }

    /// How much token `i` counts as a target: 0 or 1 where there are bits.
    fn weight(&self, i: usize) -> f32 {
        match self {
            _ if i == 0 => 0.0,
            Self::Mask(mask) => f32::from(u8::from(mask[i])),
            // What was not weighed is no target.
            Self::Weights(weights) if weights[i].is_nan() => 0.0,
            Self::Weights(weights) => weights[i],
        }
    }

    /// Tokens it speaks of.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Mask(mask) => mask.len(),
            Self::Weights(weights) => weights.len(),
        }
    }

    /// How many tokens are targets.
    pub(crate) fn targets(&self) -> usize {
        (1..self.len()).filter(|&i| self.is_target(i)).count()
    }

    /// Adds how much each token counts as a target.
    pub(crate) fn weights(&self, to: &mut Vec<f32>) {
        to.extend((0..self.len()).map(|i| self.weight(i)));
    }
}

/// Bits, token-aligned; true: train on this token as a target.
pub(crate) fn kept(chosen: Chosen<'_>, to: &mut Vec<bool>) {
    to.extend((0..chosen.len()).map(|i| chosen.is_target(i)));
}

/// Bits, token-aligned; true: do *not* train on this token.
pub(crate) fn dropped(chosen: Chosen<'_>, to: &mut Vec<bool>) {
    to.extend((0..chosen.len()).map(|i| !chosen.is_target(i)));
}

/// Labels, token-aligned: the token itself where it is a target.
pub(crate) fn labels(ids: &[i32], chosen: Chosen<'_>, to: &mut Vec<i32>) {
    to.extend(
        ids.iter()
            .enumerate()
            .map(|(i, &id)| match chosen.is_target(i) {
                true => id,
                false => IGNORE,
            }),
    );
}

/// Labels, prediction-aligned: entry `i` is token `i + 1` where that is a target. Nothing is predicted at the last token.
pub(crate) fn shifted_labels(ids: &[i32], chosen: Chosen<'_>, to: &mut Vec<i32>) {
    let at = to.len();
    labels(ids, chosen, to);
    shift(to, at, IGNORE);
}

/// Weights, prediction-aligned: entry `i` is how much token `i + 1` counts as a target; the last one is 0.
pub(crate) fn shifted_weights(chosen: Chosen<'_>, to: &mut Vec<f32>) {
    let at = to.len();
    chosen.weights(to);
    shift(to, at, 0.0);
}

/// The shift: what is token-aligned from `at` on becomes prediction-aligned, and `none` stands at the last token, which
/// predicts what comes after the end.
fn shift<T: Copy>(entries: &mut [T], at: usize, none: T) {
    if let Some(last) = entries.len().checked_sub(1).filter(|&last| last >= at) {
        entries.copy_within(at + 1.., at);
        entries[last] = none;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [i32; 5] = [464, 3290, 3332, 319, 262];
    const MASK: [bool; 5] = [false, true, false, true, true];

    fn made<T>(make: impl Fn(&mut Vec<T>)) -> Vec<T> {
        let mut to = Vec::new();
        make(&mut to);
        to
    }

    #[test]
    fn the_five_tokens_every_way_round() {
        let mask = Chosen::Mask(&MASK);
        assert_eq!(made(|to| kept(mask, to)), MASK);
        assert_eq!(made(|to| dropped(mask, to)), MASK.map(|kept| !kept));
        assert_eq!(
            made(|to| labels(&IDS, mask, to)),
            [IGNORE, 3290, IGNORE, 319, 262]
        );
        assert_eq!(
            made(|to| shifted_labels(&IDS, mask, to)),
            [3290, IGNORE, 319, 262, IGNORE]
        );
        assert_eq!(
            made(|to| shifted_weights(mask, to)),
            [1.0, 0.0, 1.0, 1.0, 0.0]
        );
        assert_eq!(mask.targets(), 3);
        let weights = [f32::NAN, 0.5, 0.0, 2.0, f32::NAN];
        assert_eq!(
            made(|to| shifted_weights(Chosen::Weights(&weights), to)),
            [0.5, 0.0, 2.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_first_token_is_never_a_target() {
        let all = Chosen::Mask(&[true; 5]);
        assert_eq!(made(|to| labels(&IDS, all, to))[0], IGNORE);
        assert!(!made(|to| kept(all, to))[0]);
        assert!(made(|to| dropped(all, to))[0]);
        assert_eq!(all.targets(), 4);
        let (one, none) = (Chosen::Mask(&[true]), Chosen::Mask(&[]));
        assert_eq!(made(|to| shifted_labels(&[7], one, to)), [IGNORE]);
        assert!(made(|to| shifted_labels(&[], none, to)).is_empty());
    }

    #[test]
    fn entries_are_added_behind_others() {
        let mut to = vec![1, 2];
        shifted_labels(&IDS, Chosen::Mask(&MASK), &mut to);
        assert_eq!(to, [1, 2, 3290, IGNORE, 319, 262, IGNORE]);
    }
}
