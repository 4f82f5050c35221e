//! Compares the arms with the baseline at equal tokens seen, equal tokens trained on, and equal time.
//!
//! Runs are compared where the shortest of them ends. A value between two evaluations is interpolated linearly. Each
//! run's learning rate decays to that run's own end, so a value from the middle of a run is not what a run of that
//! length would have reached: at equal tokens trained on, this is to the disadvantage of `clm`, whose value is from the
//! middle.

use super::curves::{Run, at};
use crate::results::{Axis, ComparedArm, Comparison, Difference, Mean, Verdict};

impl Difference {
    /// The mean difference of values paired by seed.
    pub(super) fn of(values: &[f64], baseline: &[f64]) -> Option<Self> {
        let pairs = values.iter().zip(baseline);
        let mean = Mean::of(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>())?;
        let verdict = match mean.holds_zero() {
            None => Verdict::OneSeed,
            Some(true) => Verdict::NotFound,
            Some(false) if mean.mean < 0.0 => Verdict::Lower,
            Some(false) => Verdict::Higher,
        };
        Some(Self { mean, verdict })
    }
}

/// None for a number that JSON cannot hold.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Compares the runs of the arms. Each arm's runs are in the order of the seeds. `baseline` is an index into `arms`.
pub(super) fn compare(arms: &[(&str, &[Run])], baseline: usize) -> Vec<Comparison> {
    let runs = || arms.iter().flat_map(|(_, runs)| runs.iter());
    let measures = runs().next().map(Run::measures).unwrap_or_default();
    let mut comparisons = Vec::new();
    for axis in Axis::ALL {
        let place = runs()
            .map(|run| run.end().on(axis))
            .fold(f64::INFINITY, f64::min);
        for measure in &measures {
            let values = |runs: &[Run]| -> Option<Vec<f64>> {
                let values = runs.iter().map(|run| at(&run.curve(measure), axis, place));
                values.collect()
            };
            let Some(of_baseline) = arms.get(baseline).and_then(|(_, runs)| values(runs)) else {
                continue;
            };
            let compared = arms.iter().enumerate().filter_map(|(i, (name, runs))| {
                let values = values(runs)?;
                let difference = (i != baseline).then(|| Difference::of(&values, &of_baseline));
                Some(ComparedArm {
                    arm: (*name).to_owned(),
                    mean: Mean::of(&values)?,
                    values: values.into_iter().map(finite).collect(),
                    difference: difference.flatten(),
                })
            });
            let start = |run: &Run| at(&run.curve(measure), Axis::TokensSeen, 0.0);
            comparisons.push(Comparison {
                axis,
                at: place,
                measure: measure.clone(),
                base: runs().next().and_then(start),
                arms: compared.collect(),
            });
        }
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_from_the_interval() {
        let verdict = |values: &[f64]| {
            let baseline = vec![1.0; values.len()];
            Difference::of(values, &baseline).unwrap().verdict
        };
        assert_eq!(verdict(&[0.5, 0.51, 0.49]), Verdict::Lower);
        assert_eq!(verdict(&[1.5, 1.51, 1.49]), Verdict::Higher);
        assert_eq!(verdict(&[0.5, 1.6, 0.9]), Verdict::NotFound);
        assert_eq!(verdict(&[0.5]), Verdict::OneSeed);
        // Pairing matters: the seeds differ by more than the arms do.
        let of = Difference::of(&[1.1, 2.1, 3.1], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(of.verdict, Verdict::Higher);
    }
}
