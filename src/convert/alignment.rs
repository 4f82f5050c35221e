//! The only place in `convert` that knows about alignment (the shift by one) and about the meaning of a bit.
//!
//! Masks are *token-aligned*: entry `i` is about token `i` as a target, given the tokens before it. Some trainers
//! expect this and shift by themselves. Others expect *prediction-aligned* entries: entry `i` is about the token
//! predicted at `i`, which is token `i + 1`. One expects inverted bits.
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
//! The first token of a document, or of a part of one, has no token before it in the sequence: it is never a target,
//! whatever its bit. All functions append the entries of one document, or one part, to `to`.

/// The label of a token that is not a target: the default `ignore_index` of `torch.nn.functional.cross_entropy`.
pub(crate) const IGNORE: i32 = -100;

/// The selection for a document's tokens: bits or weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Targets<'a> {
    Mask(&'a [bool]),
    Weights(&'a [f32]),
}

impl<'a> Targets<'a> {
    /// Whether token `i` is a target.
    pub(crate) fn is_target(&self, i: usize) -> bool {
        self.weight(i) != 0.0
    }

    /// The weight of token `i` as a target; bits are 0 or 1.
    fn weight(&self, i: usize) -> f32 {
        match self {
            _ if i == 0 => 0.0,
            Self::Mask(mask) => f32::from(u8::from(mask[i])),
            // A token without a weight is not a target.
            Self::Weights(weights) if weights[i].is_nan() => 0.0,
            Self::Weights(weights) => weights[i],
        }
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Mask(mask) => mask.len(),
            Self::Weights(weights) => weights.len(),
        }
    }

    /// The number of target tokens.
    pub(crate) fn targets(&self) -> usize {
        (1..self.len()).filter(|&i| self.is_target(i)).count()
    }

    /// Appends the weight of each token as a target.
    pub(crate) fn weights(&self, to: &mut Vec<f32>) {
        to.extend((0..self.len()).map(|i| self.weight(i)));
    }
}

/// Bits, token-aligned; true: train on this token as a target.
pub(crate) fn kept(chosen: Targets<'_>, to: &mut Vec<bool>) {
    to.extend((0..chosen.len()).map(|i| chosen.is_target(i)));
}

/// Bits, token-aligned; true: do *not* train on this token.
pub(crate) fn dropped(chosen: Targets<'_>, to: &mut Vec<bool>) {
    to.extend((0..chosen.len()).map(|i| !chosen.is_target(i)));
}

/// Labels, token-aligned: the token itself if it is a target, else [`IGNORE`].
pub(crate) fn labels(ids: &[i32], chosen: Targets<'_>, to: &mut Vec<i32>) {
    to.extend(
        ids.iter()
            .enumerate()
            .map(|(i, &id)| match chosen.is_target(i) {
                true => id,
                false => IGNORE,
            }),
    );
}

/// Labels, prediction-aligned: entry `i` is token `i + 1` if that is a target. The last entry is [`IGNORE`].
pub(crate) fn shifted_labels(ids: &[i32], chosen: Targets<'_>, to: &mut Vec<i32>) {
    let at = to.len();
    labels(ids, chosen, to);
    shift(to, at, IGNORE);
}

/// Weights, prediction-aligned: entry `i` is the weight of token `i + 1` as a target; the last one is 0.
pub(crate) fn shifted_weights(chosen: Targets<'_>, to: &mut Vec<f32>) {
    let at = to.len();
    chosen.weights(to);
    shift(to, at, 0.0);
}

/// The shift: makes token-aligned entries from `at` on prediction-aligned. The last entry becomes `none`, because the
/// last token has nothing to predict.
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
        let mask = Targets::Mask(&MASK);
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
            made(|to| shifted_weights(Targets::Weights(&weights), to)),
            [0.5, 0.0, 2.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_first_token_is_never_a_target() {
        let all = Targets::Mask(&[true; 5]);
        assert_eq!(made(|to| labels(&IDS, all, to))[0], IGNORE);
        assert!(!made(|to| kept(all, to))[0]);
        assert!(made(|to| dropped(all, to))[0]);
        assert_eq!(all.targets(), 4);
        let (one, none) = (Targets::Mask(&[true]), Targets::Mask(&[]));
        assert_eq!(made(|to| shifted_labels(&[7], one, to)), [IGNORE]);
        assert!(made(|to| shifted_labels(&[], none, to)).is_empty());
    }

    #[test]
    fn entries_are_added_behind_others() {
        let mut to = vec![1, 2];
        shifted_labels(&IDS, Targets::Mask(&MASK), &mut to);
        assert_eq!(to, [1, 2, 3290, IGNORE, 319, 262, IGNORE]);
    }
}
