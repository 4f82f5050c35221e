//! Ranking the tokens of one scope.

use crate::{Cut, Direction, KeepRatio, Seen, Share};

/// Marks the tokens to keep among the `scores` of one scope (NaN: not scored), in linear time.
pub fn select(scores: &[f32], ratio: KeepRatio, direction: Direction) -> Vec<bool> {
    let mut keys = Vec::with_capacity(scores.len());
    direction.keys(scores, &mut keys);
    let mut kept = Vec::with_capacity(scores.len());
    let cut = Cut::of(&keys, Share::Best(ratio));
    cut.marker(Seen::default()).mark(&keys, &mut kept);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule by plain sorting: stable sort, then keep the first.
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
