//! Ranking the tokens of one scope.

use crate::KeepRatio;

/// Which end of the ranking is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The lowest scores: reference loss, entropy (self-reference, appendix H of the paper).
    Low,
    /// The highest scores: excess loss.
    High,
}

/// A score as an integer that orders as the number does, so that ranking is exact and NaN cannot come in between:
/// the bits of a negative number are turned over, those of a positive one get the top bit. -0 counts as 0.
fn order(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

/// Marks the tokens to keep among `scores` (NaN: not scored), which form one scope. Takes time linear in their number.
pub fn select(scores: &[f32], ratio: KeepRatio, direction: Direction) -> Vec<bool> {
    let key = |score: f32| match direction {
        Direction::Low => order(score),
        Direction::High => !order(score),
    };
    let mut keys: Vec<u32> = scores
        .iter()
        .filter(|s| !s.is_nan())
        .map(|&s| key(s))
        .collect();
    let kept = ratio.kept(keys.len());
    if kept == 0 {
        return vec![false; scores.len()];
    }
    // The key of the last token kept; all below it are kept, and of its equals the first few.
    let (below, &mut threshold, _) = keys.select_nth_unstable(kept - 1);
    let mut equals = kept - below.iter().filter(|&&k| k < threshold).count();
    let mut keep = |&score: &f32| {
        if score.is_nan() || key(score) > threshold {
            return false;
        }
        if key(score) < threshold {
            return true;
        }
        let first = equals > 0;
        equals -= usize::from(first);
        first
    };
    scores.iter().map(&mut keep).collect()
}

/// Tokens that both selections keep.
pub fn intersect(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(&a, &b)| a && b).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule, said plainly: sort everything, stable, and keep the first.
    fn by_sorting(scores: &[f32], ratio: KeepRatio, direction: Direction) -> Vec<bool> {
        let mut scored: Vec<usize> = (0..scores.len()).filter(|&i| !scores[i].is_nan()).collect();
        scored.sort_by(|&a, &b| {
            let order = scores[a].partial_cmp(&scores[b]).unwrap();
            if direction == Direction::Low {
                order
            } else {
                order.reverse()
            }
        });
        let mut keep = vec![false; scores.len()];
        for &i in &scored[..ratio.kept(scored.len())] {
            keep[i] = true;
        }
        keep
    }

    fn score() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -3.0f32..3.0,
            2 => (0u8..4).prop_map(f32::from),
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MIN_POSITIVE, -f32::NAN]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        #[test]
        fn equals_sorting_everything(
            scores in prop::collection::vec(score(), 0..200),
            ratio in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64],
            high in any::<bool>(),
        ) {
            let ratio = KeepRatio::new(ratio).unwrap();
            let direction = if high { Direction::High } else { Direction::Low };
            let keep = select(&scores, ratio, direction);
            prop_assert_eq!(&keep, &by_sorting(&scores, ratio, direction));
            let scored = scores.iter().filter(|s| !s.is_nan()).count();
            prop_assert_eq!(keep.iter().filter(|&&k| k).count(), ratio.kept(scored));
            prop_assert!(scores.iter().zip(&keep).all(|(s, &k)| !(s.is_nan() && k)));
        }
    }

    #[test]
    fn ties_go_to_the_earlier_token() {
        let keep = select(
            &[1.0, 0.0, -0.0, 0.0, f32::NAN],
            KeepRatio::new(0.5).unwrap(),
            Direction::Low,
        );
        assert_eq!(keep, [false, true, true, false, false]);
    }

    #[test]
    fn nothing_scored_keeps_nothing() {
        let all = KeepRatio::new(1.0).unwrap();
        assert_eq!(select(&[f32::NAN], all, Direction::Low), [false]);
        assert_eq!(select(&[], all, Direction::Low), [false; 0]);
    }
}
