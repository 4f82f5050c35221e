//! How well the loss of kept tokens predicts the task: eq. 7 of the paper, `log(S) = a log(L) + C`, a power law fitted
//! by least squares; figure 7.
//!
//! `S` is the score on the task (the loss after the marker, or the share of questions answered right). `L` is the mean
//! loss of the tokens that `slm` would keep (or, for comparison, of the others) over the steps since the previous
//! evaluation. The tokens are selected by the run's own excess loss, as in the paper.

use serde_json::Value;

use super::curves::Run;
use crate::results::{DownstreamPoint, Fit, Measure};

/// One point per evaluation of a run that has steps before it.
pub(super) fn points(arm: &str, seed: u64, run: &Run, measure: &Measure) -> Vec<DownstreamPoint> {
    let mut before = 0;
    let mut points = Vec::new();
    for (place, score) in run.curve(measure) {
        let means = losses(&run.steps, before, place.step);
        before = place.step;
        if let Some((selected, unselected)) = means {
            points.push(DownstreamPoint {
                arm: arm.to_owned(),
                seed,
                step: place.step,
                selected,
                unselected,
                score,
            });
        }
    }
    points
}

/// The mean losses of the steps after `from`, up to and including `to`; None without a reference to select by.
pub(super) fn losses(steps: &[Value], from: u64, to: u64) -> Option<(f64, f64)> {
    let steps = || {
        let within = |step: &&Value| {
            let number = step["step"].as_u64();
            number.is_some_and(|number| from < number && number <= to)
        };
        steps.iter().filter(within)
    };
    let mean = |name: &str| {
        let values: Vec<f64> = steps().filter_map(|step| step[name].as_f64()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Some((mean("loss_selected")?, mean("loss_unselected")?))
}

/// Fits the law to points of loss and score. Points that are not positive are skipped; None for fewer than three
/// points.
pub(super) fn fit(points: impl Iterator<Item = (f64, f64)>) -> Option<Fit> {
    let logs: Vec<(f64, f64)> = points
        .filter(|(loss, score)| *loss > 0.0 && *score > 0.0)
        .map(|(loss, score)| (loss.ln(), score.ln()))
        .collect();
    if logs.len() < 3 {
        return None;
    }
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| -> f64 { logs.iter().map(|p| of(p.0 - x, p.1 - y)).sum() };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let a = xy / xx;
    (xx > 0.0 && yy > 0.0).then(|| Fit {
        a,
        c: y - a * x,
        r_squared: xy * xy / (xx * yy),
        points: logs.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_found() {
        let law = |loss: f64| (loss, 0.7 * loss.powf(-1.5));
        let found = fit([1.0, 1.5, 2.0, 4.0].map(law).into_iter()).unwrap();
        assert!((found.a + 1.5).abs() < 1e-12 && (found.c - 0.7_f64.ln()).abs() < 1e-12);
        assert!((found.r_squared - 1.0).abs() < 1e-12);
        assert_eq!(fit([1.0, 2.0].map(law).into_iter()), None);
        // >>> x = np.log([1, 2, 3, 4]); y = np.log([2, 1, 2, 3]); np.polyfit(x, y, 1), np.corrcoef(x, y)[0, 1] ** 2
        let points = [(1.0, 2.0), (2.0, 1.0), (3.0, 2.0), (4.0, 3.0)];
        let found = fit(points.into_iter()).unwrap();
        assert!((found.a - 0.286_115_212_338_920_3).abs() < 1e-12);
        assert!((found.c - 0.393_904_275_823_369_73).abs() < 1e-12);
        assert!(
            (found.r_squared - 0.142_198_522_178_881_54).abs() < 1e-12,
            "{found:?}"
        );
    }
}
