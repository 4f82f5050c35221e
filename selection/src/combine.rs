//! Combines the scores of several references, or several columns, into one score per token.

/// How several references' scores of a token become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// The lowest: a token is easy if any reference finds it easy.
    Min,
    /// The mean.
    Mean,
    /// The highest: a token is easy if all references find it easy.
    Max,
    /// The product.
    Product,
}

impl Combine {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::Min, Self::Mean, Self::Max, Self::Product];

    /// Combines one or more slices of equal length, token by token. The result is NaN where any of them is.
    ///
    /// Everything is computed in f32, so the stored scores always give the same bits: the mean is the sum in the
    /// order of the references, divided by their number; of equal scores (-0 equals 0) the first is taken.
    pub fn of(self, scores: &[&[f32]]) -> Vec<f32> {
        let Some((first, others)) = scores.split_first() else {
            return Vec::new();
        };
        let mut combined = first.to_vec();
        for other in others {
            for (all, &one) in combined.iter_mut().zip(*other) {
                *all = match self {
                    Self::Mean => *all + one,
                    Self::Product => *all * one,
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

    /// Its name: `min`, `mean`, `max` or `product`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Product => "product",
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
        assert_eq!(of(Combine::Product), [6.0, 0.1 * 0.2 * 0.4]);
        // In f32, (0.1 + 0.2) + 0.4 is 0.70000005.
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
