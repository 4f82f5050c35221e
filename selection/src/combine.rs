//! Scores of several references to one score a token.

/// How the scores that several references have for a token become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// The lowest: a token is easy if it is so for one of them.
    Min,
    /// Their mean.
    Mean,
    /// The highest: a token is easy if it is so for all of them.
    Max,
}

impl Combine {
    /// Combines slices of equal length, at least one, token by token; NaN where one of them is.
    ///
    /// All in f32, so that whoever has the stored scores gets the same bits: the mean is their sum in the order of the
    /// references, divided by how many they are; of equal scores (-0 and 0 are) the first is taken.
    pub fn of(self, scores: &[&[f32]]) -> Vec<f32> {
        let Some((first, others)) = scores.split_first() else {
            return Vec::new();
        };
        let mut combined = first.to_vec();
        for other in others {
            for (all, &one) in combined.iter_mut().zip(*other) {
                *all = match self {
                    Self::Mean => *all + one,
                    Self::Min if one < *all || one.is_nan() => one,
                    Self::Max if one > *all || one.is_nan() => one,
                    Self::Min | Self::Max => *all,
                };
            }
        }
        if self == Self::Mean {
            let count = scores.len() as f32;
            combined.iter_mut().for_each(|sum| *sum /= count);
        }
        combined
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_by_token() {
        let scores: [&[f32]; 3] = [
            &[1.0, 0.1, f32::NAN, 2.0],
            &[3.0, 0.2, 1.0, f32::NAN],
            &[2.0, 0.4, 1.0, 0.5],
        ];
        let of = |combine: Combine| {
            let all = combine.of(&scores);
            assert!(all[2].is_nan() && all[3].is_nan(), "{combine:?}");
            [all[0], all[1]]
        };
        assert_eq!(of(Combine::Min), [1.0, 0.1]);
        assert_eq!(of(Combine::Max), [3.0, 0.4]);
        // In f32: (0.1 + 0.2) + 0.4 is 0.70000005 there.
        assert_eq!(of(Combine::Mean), [2.0, (0.1f32 + 0.2 + 0.4) / 3.0]);
        assert_eq!(Combine::Mean.of(&scores[..1])[..2], [1.0, 0.1]);
    }

    #[test]
    fn the_first_of_equals() {
        let zeros: [&[f32]; 2] = [&[-0.0], &[0.0]];
        assert!(Combine::Min.of(&zeros)[0].is_sign_negative());
        assert!(Combine::Max.of(&zeros)[0].is_sign_negative());
        assert_eq!(Combine::Max.of(&[]), [0.0f32; 0]);
    }
}
